//! Who may come in, decided before any page runs.
//!
//! Every route declares a policy; it covers the path and everything below it, by
//! segment, and the longest declared path wins. A path without one is answered 404
//! without running anything, and a route without one keeps the program from
//! starting. Whatever spelling a path comes in, the policy of what it means is
//! asked (`tests/rules/guard.rs`).

use billing::{Admission, Catalog, Entitlement, Policy};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A route and what it asks of its visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// An absolute path without parameters, in lower case. `/` covers only itself.
    pub path: &'static str,
    /// What it asks.
    pub policy: Policy,
}

/// All declared routes.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    routes: Vec<Route>,
}

impl PolicyTable {
    /// Takes the declarations.
    ///
    /// # Errors
    /// Every fault at once: a path that is not in the form it is compared in, one declared
    /// twice, a policy that no plan can meet.
    pub fn new(mut routes: Vec<Route>, catalog: &Catalog) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            if canonical(route.path).as_deref() != Some(route.path) {
                faults.push(format!("route `{}` is not in canonical form", route.path));
            }
            if routes[..index].iter().any(|other| other.path == route.path && other.policy != route.policy) {
                faults.push(format!("route `{}` is declared with two policies", route.path));
            }
            if let Err(fault) = route.policy.check(catalog) {
                faults.push(format!("route `{}` {fault}", route.path));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Ok(Self { routes })
    }

    /// The route that covers a path in canonical form; `None`: nothing is declared, nobody comes in.
    pub fn route(&self, canonical: &str) -> Option<&Route> {
        self.routes.iter().find(|route| covers(route.path, canonical))
    }
}

fn covers(route: &str, path: &str) -> bool {
    path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || (route != "/" && rest.starts_with('/')))
}

/// What a path means, however it is spelled: decoded until nothing changes, in lower case,
/// with `\` as `/`, without empty, `.` and `..` segments, without a trailing slash.
/// `None` for what no sound path decodes to.
pub fn canonical(path: &str) -> Option<String> {
    let mut decoded = path.to_owned();
    for _ in 0..8 {
        let next = percent_decode_str(&decoded).decode_utf8().ok()?.into_owned();
        if next == decoded {
            let mut segments: Vec<&str> = Vec::new();
            let lower = decoded.to_lowercase().replace('\\', "/");
            if lower.chars().any(char::is_control) {
                return None;
            }
            for segment in lower.split('/') {
                // Some servers cut a `;parameter` off a segment.
                match segment.split(';').next().unwrap_or_default().trim_end_matches(['.', ' ']) {
                    "" if segment == ".." => drop(segments.pop()),
                    "" => {}
                    segment => segments.push(segment),
                }
            }
            return Some(format!("/{}", segments.join("/")));
        }
        decoded = next;
    }
    None
}

impl Route {
    /// What the guard says to this visitor; `None` is somebody anonymous.
    pub fn verdict(&self, visitor: Option<&Standing>, catalog: &Catalog) -> Verdict {
        match (self.policy, visitor) {
            (Policy::Public, _) => Verdict::Pass,
            (_, None) => Verdict::SignIn,
            (Policy::Operator, Some(standing)) if standing.is_operator => Verdict::Pass,
            (policy, Some(standing)) => match policy.admits(&standing.entitlement, catalog) {
                Admission::Admitted => Verdict::Pass,
                Admission::UpgradeRequired { .. } => Verdict::Upgrade,
                Admission::Forbidden => Verdict::Hide,
            },
        }
    }

    /// What was asked for, as `/billing/upgrade` names it: a feature's key, or the path's last segment.
    pub fn feature(&self) -> &'static str {
        match self.policy {
            Policy::Feature(feature) => feature.as_str(),
            _ => self.path.rsplit('/').next().unwrap_or_default(),
        }
    }
}

/// What the guard says to a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Come in.
    Pass,
    /// Sign in first.
    SignIn,
    /// A higher plan is needed.
    Upgrade,
    /// Nothing they could do would open it: it does not exist for them.
    Hide,
}

/// Somebody signed in, as far as the guard cares.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What their account's plan opens.
    pub entitlement: Entitlement,
    /// Whether they are trusted with everybody's billing.
    pub is_operator: bool,
}

/// What stays as it is in a query value that holds a path.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where an anonymous visitor is sent.
pub fn login_address(next: &str) -> String {
    format!("/login?next={}", utf8_percent_encode(next, QUERY_VALUE))
}

/// Where a visitor is sent whose plan is too low; for `feature` see [`Route::feature`].
pub fn upgrade_address(feature: &str, next: &str) -> String {
    format!(
        "/billing/upgrade?feature={}&next={}",
        utf8_percent_encode(feature, QUERY_VALUE),
        utf8_percent_encode(next, QUERY_VALUE)
    )
}
