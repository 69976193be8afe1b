//! A comparison's findings, and the errors that end it.

use super::drift::{Drift, Finding};
use crate::core::Core;
use crate::store::StoreError;
use crate::stripe::GatewayError;
use crate::sync::SyncError;

/// Whether a comparison repairs anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only report.
    DryRun,
    /// Repair safe differences.
    Repair,
}

/// A comparison in progress.
pub(super) struct Comparison<'a> {
    pub(super) core: &'a Core,
    pub(super) mode: Mode,
    /// Whether it runs on a schedule, rather than at an operator's request.
    pub(super) is_scheduled: bool,
    pub(super) findings: Vec<Finding>,
}

impl Comparison<'_> {
    /// Reports a difference that is not repaired automatically.
    pub(super) fn open(&mut self, drift: Drift) {
        self.findings.push(Finding { drift, is_fixed: false });
    }

    /// Reports a difference that was just repaired, except in a dry run.
    pub(super) fn fixed(&mut self, drift: Drift) {
        self.findings.push(Finding { drift, is_fixed: self.mode == Mode::Repair });
    }

    /// Reports an object that could not be compared.
    pub(super) fn not_compared(&mut self, subject: &str, reason: &impl ToString) {
        self.open(Drift::NotCompared { subject: subject.to_owned(), reason: reason.to_string() });
    }

    /// Reports an error that concerns one object, and returns `None`; propagates any other.
    pub(super) fn skip_if_single<T>(
        &mut self,
        subject: &str,
        result: Result<T, SyncError>,
    ) -> Result<Option<T>, SyncError> {
        match result {
            Ok(compared) => Ok(Some(compared)),
            Err(error) if scope(&error) == Scope::Object => {
                self.not_compared(subject, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The part of a comparison that an error prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One object.
    Object,
    /// Everything read through the same endpoint.
    Part,
    /// Everything that follows.
    Everything,
}

pub(super) const fn scope(error: &SyncError) -> Scope {
    match error {
        SyncError::Contended(_)
        | SyncError::LeaseLost(_)
        | SyncError::Missing(_)
        | SyncError::Disappeared { .. }
        | SyncError::Unreported(_)
        | SyncError::Store(StoreError::CorruptRow { .. }) => Scope::Object,
        SyncError::Stripe(error) if error.concerns_one_object() => Scope::Object,
        SyncError::Stripe(GatewayError::Rejected { status: 403, .. }) => Scope::Part,
        SyncError::Stripe(_) | SyncError::Store(_) | SyncError::OtherAccount(_) => Scope::Everything,
    }
}
