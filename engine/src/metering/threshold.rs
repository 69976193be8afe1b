//! The shares of a limit that raise a notice.

use billing::Limit;

/// A share of a limit that raises a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// 80 percent.
    Near,
    /// 100 percent.
    Reached,
}

impl Threshold {
    /// Both thresholds, the lower first.
    pub const ALL: [Self; 2] = [Self::Near, Self::Reached];

    /// Returns the percentage.
    pub const fn percent(self) -> i64 {
        match self {
            Self::Near => 80,
            Self::Reached => 100,
        }
    }

    /// Finds the threshold with this percentage.
    pub fn parse(percent: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|threshold| threshold.percent() == percent)
    }

    /// Returns whether `used` has reached it. Never if there is no limit or nothing is included.
    pub fn is_reached(self, used: u64, limit: Limit) -> bool {
        match limit {
            Limit::Unlimited | Limit::Finite(0) => false,
            Limit::Finite(limit) => {
                u128::from(used) * 100 >= u128::from(limit) * u128::from(self.percent().unsigned_abs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_by_the_unit_that_completes_it() {
        let limit = Limit::Finite(10);
        assert_eq!([7, 8, 9, 10].map(|used| Threshold::Near.is_reached(used, limit)), [false, true, true, true]);
        assert_eq!([9, 10, 11].map(|used| Threshold::Reached.is_reached(used, limit)), [false, true, true]);
        assert!(!Threshold::Near.is_reached(u64::MAX, Limit::Unlimited));
        assert!(!Threshold::Near.is_reached(0, Limit::Finite(0)), "a meter that is not in a plan raises no notice");
    }
}
