//! Reason codes: why a task is in its state. The list is `data/reasons.csv`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::IdError;

macro_rules! reasons {
    ($($name:ident = $number:literal, $code:literal;)*) => {
        /// Why a task (or job) is in the state that it is in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ReasonCode {
            $(
                #[doc = concat!("On the wire: `", $code, "`.")]
                #[serde(rename = $code)]
                $name = $number,
            )*
        }

        impl ReasonCode {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as Titus's clients know it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The number by which it is stored; never reused.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The inverse of [`number`](Self::number).
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    Normal = 0, "normal";
    FilledIn = 1, "filledIn";
    Killed = 2, "killed";
    Evicted = 3, "evicted";
    Lost = 4, "lost";
    InvalidRequest = 5, "invalidRequest";
    ScaledDown = 6, "scaledDown";
    StuckInState = 7, "stuckInState";
    StuckInKillingState = 8, "stuckInKillingState";
    RuntimeLimitExceeded = 9, "runtimeLimitExceeded";
    Failed = 10, "failed";
    Crashed = 11, "crashed";
    TransientSystemError = 12, "transientSystemError";
    LocalSystemError = 13, "localSystemError";
    UnknownSystemError = 14, "unknownSystemError";
    Unknown = 15, "unknown";
}

const TABLE: &str = include_str!("../../data/reasons.csv");

impl ReasonCode {
    fn row(self) -> Option<(&'static str, &'static str)> {
        TABLE.lines().skip(1).find_map(|line| {
            let mut cells = line.splitn(3, ',');
            (cells.next()? == self.code()).then_some(())?;
            Some((cells.next()?, cells.next()?))
        })
    }

    /// True when the platform is at fault, so that a retry is not charged to the job.
    #[must_use]
    pub fn is_system_error(self) -> bool {
        self.row().is_some_and(|(system, _)| system == "yes")
    }

    /// What it means, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().map_or("", |(_, meaning)| meaning)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for ReasonCode {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .iter()
            .copied()
            .find(|r| r.code() == text)
            .ok_or_else(|| IdError {
                kind: "reason code",
                given: text.chars().take(80).collect(),
                expected: "one of data/reasons.csv",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_enum_hold_the_same_codes() {
        let rows: Vec<&str> = TABLE
            .lines()
            .skip(1)
            .filter_map(|l| l.split(',').next())
            .collect();
        let codes: Vec<&str> = ReasonCode::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(rows, codes);
        for reason in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_number(reason.number()), Some(*reason));
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert!(!reason.meaning().is_empty());
        }
        assert!(ReasonCode::from_number(200).is_none());
    }

    #[test]
    fn only_faults_of_the_platform_are_system_errors() {
        let system: Vec<&str> = ReasonCode::ALL
            .iter()
            .filter(|r| r.is_system_error())
            .map(|r| r.code())
            .collect();
        assert_eq!(
            system,
            [
                "stuckInState",
                "crashed",
                "transientSystemError",
                "localSystemError",
                "unknownSystemError"
            ]
        );
    }
}
