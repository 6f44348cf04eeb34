//! Amounts of resources as people read them.

/// Thousandths of a CPU as CPUs: 1500 is `1.5`.
pub(crate) fn cpus(milli: u64) -> String {
    let (whole, rest) = (milli / 1_000, milli % 1_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

/// What is used of what there is.
pub(crate) fn of(used: impl std::fmt::Display, all: impl std::fmt::Display) -> String {
    format!("{used}/{all}")
}

/// `1 task`, `2 tasks`.
pub(crate) fn count(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(
            [0, 50, 100, 1_000, 1_500, 12_345].map(cpus),
            ["0", "0.05", "0.1", "1", "1.5", "12.345"]
        );
        assert_eq!(of(1, 2), "1/2");
        assert_eq!(
            [count(1_u32, "task"), count(0_u32, "task")],
            ["1 task", "0 tasks"]
        );
    }
}
