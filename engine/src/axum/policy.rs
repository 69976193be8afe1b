//! The policies that guard paths.
//!
//! A route covers its path and everything below it, by whole segments, and the longest path wins
//! (`tests/axum/policy.rs`).

use std::fmt;

use billing::{Admission, Catalog, Entitlement, Policy};

use super::canonical::{canonical, has_parent_segment};
use crate::permit::admission;

/// A path and its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// An absolute path in lower case, without parameters. `/` covers only itself.
    pub path: &'static str,
    /// The policy that guards it.
    pub policy: Policy,
}

/// All routes and their policies.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    routes: Vec<Route>,
    is_otherwise_public: bool,
}

/// All errors in a policy table.
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
    /// Checks the routes. A path that no route covers gets 404.
    ///
    /// # Errors
    /// If a path is not canonical or has two policies, or no plan can satisfy a policy.
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

    /// Makes paths that no route covers public, for an app that guards only some of its routes.
    #[must_use]
    pub fn otherwise_public(self) -> Self {
        Self { is_otherwise_public: true, ..self }
    }

    /// Finds the route that covers a canonical path.
    pub fn route(&self, canonical: &str) -> Option<Route> {
        self.routes.iter().find(|route| covers(route.path, canonical)).copied()
    }

    /// Returns whether a path whose canonical form no route covers is public as spelled.
    pub(super) fn is_open(&self, path: &str) -> bool {
        self.is_otherwise_public && !has_parent_segment(path)
    }
}

fn covers(route: &str, path: &str) -> bool {
    path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || (route != "/" && rest.starts_with('/')))
}

/// The decision about a visitor of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The handler runs.
    Admit,
    /// The visitor must sign in first.
    SignIn,
    /// The visitor must upgrade first.
    Upgrade,
    /// No plan includes the route, so it does not exist for this visitor.
    Hide,
}

impl Route {
    /// Decides about a visitor; `None` is an anonymous one.
    pub fn verdict(&self, visitor: Option<(&Entitlement, bool)>, catalog: &Catalog) -> Verdict {
        match (self.policy, visitor) {
            (Policy::Public, _) => Verdict::Admit,
            (_, None) => Verdict::SignIn,
            (policy, Some(visitor)) => match admission(policy, visitor, catalog) {
                Admission::Admitted => Verdict::Admit,
                Admission::UpgradeRequired { .. } => Verdict::Upgrade,
                Admission::Forbidden => Verdict::Hide,
            },
        }
    }

    /// Returns the name that the upgrade page uses for this route: a feature's key, or the last segment of the
    /// path.
    pub fn subject(&self) -> &'static str {
        match self.policy {
            Policy::Feature(feature) => feature.as_str(),
            _ => self.path.rsplit('/').next().unwrap_or_default(),
        }
    }
}
