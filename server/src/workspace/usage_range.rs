//! The days over which usage is shown.

use billing::Timestamp;
use engine::metering::midnight;

/// A range of days that ends today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageRange {
    /// Since the beginning of the current usage window.
    #[default]
    Window,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
    /// Ninety days.
    Quarter,
    /// 365 days.
    Year,
}

impl UsageRange {
    /// All ranges, the default first.
    pub const ALL: [Self; 5] = [Self::Window, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// Returns the value in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "period",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "365d",
        }
    }

    /// Returns the label on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Window => "This period",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
            Self::Year => "1 year",
        }
    }

    /// Parses the value in a URL.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == word)
    }

    /// Its first day. `window` is the beginning of the current usage window.
    pub(super) fn from(self, window: Timestamp, now: Timestamp) -> Timestamp {
        let days = match self {
            Self::Window => return midnight(window),
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        };
        midnight(now).plus_days(1 - days)
    }
}
