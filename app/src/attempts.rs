//! The messages about too many attempts.

/// Returns the message about too many attempts. The wait is rounded up.
pub fn too_many_attempts(seconds: u64) -> String {
    format!("Too many attempts. Try again in {}.", duration(seconds))
}

/// Returns the message for when too many others are logging in or signing up.
pub fn busy(seconds: u64) -> String {
    format!("We're very busy right now. Try again in {}.", duration(seconds))
}

fn duration(seconds: u64) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_is_rounded_up() {
        assert_eq!(duration(1), "a second");
        assert_eq!(duration(59), "59 seconds");
        assert_eq!(duration(61), "2 minutes");
    }
}
