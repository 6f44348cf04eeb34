use crate::time::Millis;

/// How an agent behaves. Plain data; the defaults suit a host of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentConfig {
    /// How many tasks are launched at once; the others wait their turn, oldest first. Never taken as less than 1.
    pub launches: usize,
    /// Between SIGTERM and SIGKILL for a task whose job the agent does not know (any more).
    pub default_grace: Millis,
    /// Until SIGKILL is first repeated; doubles with each repeat, up to [`AgentConfig::retry_max`].
    pub kill_again: Millis,
    /// Until a step that takes something down is first repeated; doubles up to [`AgentConfig::retry_max`].
    pub undo_again: Millis,
    /// The longest of these delays.
    pub retry_max: Millis,
    /// After so many failures to take something down, a task counts as ended all the same: its exit is known, and
    /// only its host is in trouble. The agent keeps trying.
    pub undo_tries: u32,
    /// How long logs stay after the end of a task that was acknowledged.
    pub keep_logs: Millis,
    /// How many acknowledged tasks keep their logs at most; the oldest lose them first.
    pub keep_logs_of: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            launches: 16,
            default_grace: Millis::from_secs(10),
            kill_again: Millis::from_secs(5),
            undo_again: Millis::from_secs(1),
            retry_max: Millis::from_secs(60),
            undo_tries: 3,
            keep_logs: Millis::from_secs(3_600),
            keep_logs_of: 1_000,
        }
    }
}

impl AgentConfig {
    /// `first`, doubled for every failure before this one, up to the longest delay.
    pub(super) fn back_off(&self, first: Millis, failures: u32) -> Millis {
        let doubled = first.0.saturating_mul(1 << failures.min(32));
        Millis(doubled.min(self.retry_max.0).max(1))
    }
}
