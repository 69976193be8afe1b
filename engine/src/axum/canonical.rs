//! The canonical form in which paths are compared.

use percent_encoding::percent_decode_str;

/// The maximum number of decoding passes. No browser sends a path that needs more.
const MAX_DECODINGS: usize = 8;

/// Returns the canonical form of a path: decoded until nothing changes, in lower case, with `\` as
/// `/`, without empty, `.` and `..` segments, without a trailing slash. `None` for a path that does not
/// decode to text.
pub fn canonical(path: &str) -> Option<String> {
    decode(path).map(|decoded| normalize(&decoded))
}

/// Returns whether a path has a `..` segment in any spelling. Its meaning then depends on the router: one that
/// does not resolve `..` takes `/reports/../x` for a page below `/reports`.
pub(super) fn has_parent_segment(path: &str) -> bool {
    let is_parent = |segment: &str| segment.split(';').next().unwrap_or_default().trim_end_matches(' ') == "..";
    decode(path).is_none_or(|decoded| decoded.split('/').any(is_parent))
}

/// Decodes a path until nothing changes, in lower case and with `\` as `/`.
fn decode(path: &str) -> Option<String> {
    let mut decoded = path.to_owned();
    for _ in 0..MAX_DECODINGS {
        let next = percent_decode_str(&decoded).decode_utf8().ok()?.into_owned();
        if next == decoded {
            let decoded = decoded.to_lowercase().replace('\\', "/");
            return (!decoded.chars().any(char::is_control)).then_some(decoded);
        }
        decoded = next;
    }
    None
}

fn normalize(decoded: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        // Some servers strip a `;parameter` from a segment.
        match segment.split(';').next().unwrap_or_default().trim_end_matches(['.', ' ']) {
            "" if segment == ".." => drop(segments.pop()),
            "" => {}
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}
