//! The one spelling under which a path is compared.

use percent_encoding::percent_decode_str;

/// How often a path is decoded. A path that still changes is not one that anybody typed.
const MAX_DECODINGS: usize = 8;

/// Returns what a path means, however it is spelled: decoded until nothing changes, in lower case, with
/// `\` as `/`, without empty, `.` and `..` segments, without a trailing slash. `None` for a path that
/// does not decode to text.
pub fn canonical(path: &str) -> Option<String> {
    let mut decoded = path.to_owned();
    for _ in 0..MAX_DECODINGS {
        let next = percent_decode_str(&decoded).decode_utf8().ok()?.into_owned();
        if next == decoded {
            return normalize(&decoded);
        }
        decoded = next;
    }
    None
}

fn normalize(decoded: &str) -> Option<String> {
    let lower = decoded.to_lowercase().replace('\\', "/");
    if lower.chars().any(char::is_control) {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in lower.split('/') {
        // Some servers cut a `;parameter` off a segment.
        match segment.split(';').next().unwrap_or_default().trim_end_matches(['.', ' ']) {
            "" if segment == ".." => drop(segments.pop()),
            "" => {}
            segment => segments.push(segment),
        }
    }
    Some(format!("/{}", segments.join("/")))
}
