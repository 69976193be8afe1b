//! Which policy guards which path.
//!
//! A route covers its path and everything below it, by whole segments, and the longest path wins
//! (`tests/axum/policy.rs`).

use std::fmt;

use billing::{Admission, Catalog, Entitlement, Policy};

use super::canonical::{canonical, climbs};

/// A path and its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// An absolute path in lower case, without parameters. `/` covers only itself.
    pub path: &'static str,
    /// What it requires.
    pub policy: Policy,
}

/// All routes and their policies.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    routes: Vec<Route>,
    is_otherwise_public: bool,
}

/// Everything that is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTableError(pub Vec<String>);

impl fmt::Display for PolicyTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routes:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for PolicyTableError {}

impl PolicyTable {
    /// Checks the routes. A path that none of them covers is answered 404.
    ///
    /// # Errors
    /// A path is not canonical or is declared twice, or no plan can meet a policy.
    pub fn new(mut routes: Vec<Route>, catalog: &Catalog) -> Result<Self, PolicyTableError> {
        let mut errors = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            if canonical(route.path).as_deref() != Some(route.path) {
                errors.push(format!("route `{}` is not in canonical form", route.path));
            }
            if routes[..index].iter().any(|other| other.path == route.path && other.policy != route.policy) {
                errors.push(format!("route `{}` is declared with two policies", route.path));
            }
            if let Err(error) = route.policy.check(catalog) {
                errors.push(format!("route `{}` {error}", route.path));
            }
        }
        if !errors.is_empty() {
            return Err(PolicyTableError(errors));
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Ok(Self { routes, is_otherwise_public: false })
    }

    /// Opens paths that no route covers to everyone, for an app that guards only some of its routes.
    #[must_use]
    pub fn otherwise_public(self) -> Self {
        Self { is_otherwise_public: true, ..self }
    }

    /// Finds the route that covers a canonical path.
    pub fn route(&self, canonical: &str) -> Option<Route> {
        self.routes.iter().find(|route| covers(route.path, canonical)).copied()
    }

    /// Whether a path whose canonical form no route covers is open to everyone as it is spelled.
    pub(super) fn is_open(&self, path: &str) -> bool {
        self.is_otherwise_public && !climbs(path)
    }
}

fn covers(route: &str, path: &str) -> bool {
    path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || (route != "/" && rest.starts_with('/')))
}

/// What a visitor of a route may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enter.
    Admit,
    /// Sign in first.
    SignIn,
    /// Upgrade first.
    Upgrade,
    /// Nothing: no plan opens the route, so it does not exist for them.
    Hide,
}

impl Route {
    /// Decides about a visitor; `None` is an anonymous one.
    pub fn verdict(&self, visitor: Option<(&Entitlement, bool)>, catalog: &Catalog) -> Verdict {
        match (self.policy, visitor) {
            (Policy::Public, _) => Verdict::Admit,
            (_, None) => Verdict::SignIn,
            (Policy::Operator, Some((_, true))) => Verdict::Admit,
            (policy, Some((entitlement, _))) => match policy.admits(entitlement, catalog) {
                Admission::Admitted => Verdict::Admit,
                Admission::UpgradeRequired { .. } => Verdict::Upgrade,
                Admission::Forbidden => Verdict::Hide,
            },
        }
    }

    /// What the visitor asked for, as the upgrade page names it: a feature's key, or the last segment
    /// of the path.
    pub fn subject(&self) -> &'static str {
        match self.policy {
            Policy::Feature(feature) => feature.as_str(),
            _ => self.path.rsplit('/').next().unwrap_or_default(),
        }
    }
}
