//! The folder in which everything is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use titus_store::Error as StoreError;

use super::args::DevArgs;
use super::told;
use crate::exit::{CliError, Exit};

/// A state folder; a temporary one goes when it is closed.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    temporary: bool,
}

impl StateDir {
    pub(super) fn open(args: &DevArgs) -> Result<Self, CliError> {
        let (path, temporary) = match &args.state_dir {
            Some(path) => (path.clone(), false),
            None => (
                std::env::temp_dir().join(format!("titus-dev-{}", std::process::id())),
                true,
            ),
        };
        let failed =
            |e: std::io::Error| CliError::io(format!("cannot use the folder {}", path.display()), &e);
        fs::create_dir_all(&path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        close_to_others(&path).map_err(failed)?;
        Ok(Self { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(super) const fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Removes a temporary folder.
    pub(super) fn close(self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), %error, "temporary state was not removed");
        }
    }
}

/// Specifications and logs are nobody else's business. Mapped users of containers still pass through to their roots.
fn close_to_others(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))
}

/// Tells why the store cannot be opened, and what to do.
pub(super) fn store_failed(error: &StoreError) -> CliError {
    let help = match error {
        StoreError::Backend { .. } => {
            "another titus dev may use the folder: stop it, or give this one its own --state-dir"
        }
        _ => "give another --state-dir, or restore this one from a backup",
    };
    CliError::new(Exit::Other, told(error), help)
}

/// A seed that no other process has: ids and jitter hang on it, secrets do not.
pub(super) fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u128(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos(),
    );
    hasher.finish()
}
