//! The warm view of this process, once there is one.

use std::sync::Arc;

use titus_store::controller::WarmView;
use tokio::sync::watch;

use super::error::{ApiError, ErrorKind};

/// Holds the view that reads are answered from: none while it is being read from the store, and another one where
/// the first fell too far behind.
#[derive(Debug, Default)]
pub struct Live(watch::Sender<Option<Arc<WarmView>>>);

impl Live {
    /// No view yet: every call but the probes answers UNAVAILABLE.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers from this view from now on. Streams that observe another one end.
    pub fn set(&self, view: Arc<WarmView>) {
        self.0.send_replace(Some(view));
    }

    /// The view, where there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<WarmView>> {
        self.0.borrow().clone()
    }

    /// The view, or the error that says that there is none.
    pub(crate) fn warm(&self) -> Result<Arc<WarmView>, ApiError> {
        let message = "the server is reading the cluster's state: try again in a moment";
        self.get()
            .ok_or_else(|| ApiError::new(ErrorKind::NotReady, message))
    }

    /// Waits until the view comes or goes; false when nobody can set one any more.
    pub(crate) async fn turned(&self, warm: bool) -> bool {
        self.0
            .subscribe()
            .wait_for(|view| view.is_some() != warm)
            .await
            .is_ok()
    }
}
