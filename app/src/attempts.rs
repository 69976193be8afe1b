//! Too many wrong passwords.

/// Says how long to wait, never less than it is.
pub fn too_many_attempts(seconds: u64) -> String {
    format!("Too many attempts. Wait {} and try again.", in_words(seconds))
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_wait_is_never_said_to_be_shorter_than_it_is() {
        assert_eq!(in_words(1), "a second");
        assert_eq!(in_words(59), "59 seconds");
        assert_eq!(in_words(61), "2 minutes");
    }
}
