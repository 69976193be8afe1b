//! The redirect after signing in.

/// Returns `next` if it is a path of this app, otherwise the dashboard; never another site.
pub fn safe_next(next: Option<&str>) -> &str {
    const DEFAULT: &str = "/dashboard";
    let Some(next) = next else { return DEFAULT };
    let is_safe = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 2048
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_safe { next } else { DEFAULT }
}
