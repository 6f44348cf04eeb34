//! Moments and spans as people read them.

use jiff::Timestamp;
use titus_core::time::Millis;

const DAY: u64 = 86_400_000;

/// A moment in RFC 3339, UTC, to the millisecond; empty for none.
pub(crate) fn moment(ms: u64) -> String {
    at(ms).map_or_else(String::new, |at| format!("{at:.3}"))
}

fn at(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(ms).ok()
}

/// The time from one moment to a later one; empty where one is missing.
pub(crate) fn span(from: u64, to: u64) -> String {
    if from == 0 || to == 0 {
        return String::new();
    }
    let ms = to.saturating_sub(from);
    match ms / DAY {
        0 | 1 => Millis(ms).to_string(),
        days => format!("{days} days"),
    }
}

/// How long ago a moment is; empty for none.
pub(crate) fn age(ms: u64) -> String {
    span(ms, now())
}

pub(crate) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc_and_spans_are_short() {
        assert_eq!(moment(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(moment(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(moment(0), "");
        assert_eq!(moment(u64::MAX), "");
        assert_eq!(span(1_000, 2_500), "1.5 s");
        assert_eq!(span(2_500, 1_000), "0 ms");
        assert_eq!(span(1, 1 + DAY), "24 h 0 min");
        assert_eq!(span(1, 1 + 3 * DAY), "3 days");
        assert_eq!(span(0, 5), "");
        assert_eq!(span(5, 0), "");
    }
}
