//! Looking for what differs, and mending what is safe to mend.

use std::collections::{BTreeMap, BTreeSet};

use billing::{AccountId, CustomerId, Subscription, SubscriptionId};
use serde_json::Value;

use super::drift::{Drift, DriftKind, Finding};
use super::{Mode, SyncError};
use crate::store::{StoreError, Stored, customers, inbox, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::shape::{Event, SubscriptionShape};
use crate::sync::{self, Along, Object, Outcome};
use crate::tollgate::Tollgate;
use crate::usage::outbox;
use crate::webhook::events::{Hint, handled};
use crate::webhook::intake::Incoming;

/// What came of a comparison.
pub(super) struct Compared {
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// The classes of which all that there is was found.
    pub(super) seen_whole: Vec<DriftKind>,
    /// The first thing that kept a part from being compared.
    pub(super) broken_off: Option<SyncError>,
}

/// Compares everything.
pub(super) async fn everything(tollgate: &Tollgate, mode: Mode, days: i64) -> Compared {
    let mut comparison = Comparison { tollgate, mode, findings: Vec::new() };
    let mut seen_whole = Vec::new();
    let mut broken_off = None;
    for part in [Part::Subscriptions, Part::Events, Part::Unmatched, Part::BilledUse] {
        let already = comparison.findings.len();
        let compared = match part {
            Part::Subscriptions => comparison.subscriptions().await,
            Part::Events => comparison.events(days).await,
            Part::Unmatched => comparison.unmatched().await,
            Part::BilledUse => comparison.billed_use().await,
        };
        match compared {
            Ok(()) => {
                let found = &comparison.findings[already..];
                let is_whole = found.iter().all(|finding| finding.drift.kind() != DriftKind::NotCompared);
                seen_whole.extend_from_slice(part.kinds(is_whole));
            }
            Err(error) => {
                // A key that may not list events, say, need not keep the rest from being compared.
                let stands_in_the_way = scope(&error) == Scope::Everything;
                broken_off.get_or_insert(error);
                if stands_in_the_way {
                    break;
                }
            }
        }
    }
    if broken_off.is_none() {
        seen_whole.push(DriftKind::NotCompared);
    }
    Compared { findings: comparison.findings, seen_whole, broken_off }
}

#[derive(Clone, Copy)]
enum Part {
    Subscriptions,
    Events,
    Unmatched,
    BilledUse,
}

impl Part {
    /// The classes of which this part finds all, when none or some of its objects could not be read:
    /// what is said of a customer follows from all their subscriptions.
    const fn kinds(self, is_whole: bool) -> &'static [DriftKind] {
        use DriftKind::{
            BilledUse, DeletedButBilled, DuplicateSubscription, MissedEvent, OrphanCustomer, UnknownPrice, Unmatched,
            WrongStatus,
        };
        match (self, is_whole) {
            (Self::Subscriptions, true) => {
                &[WrongStatus, UnknownPrice, DeletedButBilled, DuplicateSubscription, OrphanCustomer]
            }
            (Self::Subscriptions, false) => &[WrongStatus, UnknownPrice, DeletedButBilled],
            (Self::Events, _) => &[MissedEvent],
            (Self::Unmatched, _) => &[Unmatched],
            (Self::BilledUse, _) => &[BilledUse],
        }
    }
}

struct Comparison<'a> {
    tollgate: &'a Tollgate,
    mode: Mode,
    findings: Vec<Finding>,
}

impl Comparison<'_> {
    async fn subscriptions(&mut self) -> Result<(), SyncError> {
        let mut running: BTreeMap<CustomerId, Vec<SubscriptionId>> = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.tollgate.gateway().subscriptions_page(after.as_deref()).await?;
            let read = page.data.iter().flatten().map(|there| &there.subscription);
            let (ids, customers): (Vec<&str>, Vec<&str>) =
                read.map(|there| (there.id.as_str(), there.customer.as_str())).unzip();
            let mut here = subscriptions::by_ids(self.tollgate.db(), &ids).await?;
            let closed = customers::of_closed_accounts(self.tollgate.db(), &customers).await?;
            for read in page.data {
                let there = match read {
                    Ok(there) => there,
                    Err(unread) => {
                        self.not_compared(&unread.id, &unread.error);
                        continue;
                    }
                };
                let (id, customer) = (&there.subscription.id, &there.subscription.customer);
                if !there.subscription.status.has_ended() {
                    running.entry(customer.clone()).or_default().push(id.clone());
                }
                let compared = self.subscription(&there, here.remove(id).transpose(), closed.get(customer)).await;
                self.unless_alone(id.as_str(), compared)?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        // Which of them the person wants is not for a program to decide.
        let doubled = running.into_iter().filter(|(_, subscriptions)| subscriptions.len() > 1);
        let doubled = doubled.map(|(customer, subscriptions)| Drift::DuplicateSubscription { customer, subscriptions });
        self.findings.extend(doubled.map(Finding::left));
        Ok(())
    }

    async fn subscription(
        &mut self,
        there: &SubscriptionShape,
        here: Result<Option<Stored<Subscription>>, StoreError>,
        closed: Option<&AccountId>,
    ) -> Result<(), SyncError> {
        self.unknown_prices(there);
        // First, so that nothing that cannot be read or written here goes on being charged.
        if let (Some(account), false) = (closed, there.subscription.status.has_ended()) {
            return self.deleted_but_billed(&there.subscription.id, account).await;
        }
        let here = here?.map(|stored| stored.object);
        if !sync::is_current(here.as_ref(), there, self.tollgate.catalog()) {
            self.wrong_subscription(&there.subscription, here.as_ref()).await?;
        }
        Ok(())
    }

    fn unknown_prices(&mut self, there: &SubscriptionShape) {
        let (subscription, catalog) = (&there.subscription, self.tollgate.catalog());
        if subscription.status.has_ended() {
            return;
        }
        let unknown = subscription.items.iter().filter(|item| {
            !catalog.is_metered(item.lookup_key.as_deref())
                && catalog.tier_of_price(&item.price, item.lookup_key.as_deref()).is_none()
        });
        self.findings.extend(unknown.map(|item| {
            Finding::left(Drift::UnknownPrice { subscription: subscription.id.clone(), price: item.price.clone() })
        }));
    }

    async fn wrong_subscription(&mut self, there: &Subscription, here: Option<&Subscription>) -> Result<(), SyncError> {
        let wanted = BTreeSet::from([Object::Subscription(there.id.clone())]);
        let stranger = match self.mode {
            Mode::DryRun => sync::stranger(self.tollgate, &wanted).await?,
            Mode::Mend => match sync::objects(self.tollgate, &wanted, Along::reason("reconcile")).await? {
                Outcome::Unmatched(customer) => Some(customer),
                Outcome::Written(_) => None,
                // It is gone since it was listed.
                Outcome::Nobody => return Ok(()),
            },
        };
        match stranger {
            // What somebody of another shop of the same owner once had is nothing to look at.
            Some(_) if there.status.has_ended() => {}
            Some(customer) => {
                self.left(Drift::OrphanCustomer { customer, subscription: there.id.clone() });
            }
            None => self.mended(Drift::WrongSubscription {
                subscription: there.id.clone(),
                here: here.map(|here| here.status.as_str().to_owned()),
                there: there.status.as_str().to_owned(),
            }),
        }
        Ok(())
    }

    /// Whoever closed their account was told that nothing is charged any more, so it is ended.
    async fn deleted_but_billed(&mut self, id: &SubscriptionId, account: &AccountId) -> Result<(), SyncError> {
        if self.mode == Mode::Mend {
            self.tollgate.gateway().cancel_subscription(id).await?;
        }
        self.mended(Drift::DeletedButBilled { subscription: id.clone(), account: account.clone() });
        if self.mode == Mode::Mend {
            sync::subscription(self.tollgate, id, Along::reason("account closed")).await?;
        }
        Ok(())
    }

    async fn events(&mut self, days: i64) -> Result<(), SyncError> {
        let since = self.tollgate.now().plus_days(-days);
        let handled: BTreeSet<&str> = handled().into_iter().collect();
        let mut after: Option<String> = None;
        loop {
            let page = self.tollgate.gateway().events_page(since, after.as_deref()).await?;
            let ids: Vec<&str> = page.data.iter().flatten().map(|(event, _)| event.id.as_str()).collect();
            let known = inbox::known(self.tollgate.db(), &ids).await?;
            for read in page.data {
                match read {
                    // What changes nothing here is not missed.
                    Ok((event, _)) if !handled.contains(event.kind.as_str()) || Hint::of(&event).is_none() => {}
                    Ok((event, _)) if known.contains(event.id.as_str()) => {}
                    Ok((event, json)) => self.missed_event(event, &json).await?,
                    Err(unread) => self.not_compared(&unread.id, &unread.error),
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn missed_event(&mut self, event: Event, json: &Value) -> Result<(), StoreError> {
        let drift = Drift::MissedEvent { event: event.id.clone(), kind: event.kind.clone() };
        if self.mode == Mode::Mend {
            let incoming = Incoming::of(event, json.to_string());
            self.tollgate.intake().write(self.tollgate.db(), incoming, self.tollgate.now()).await?;
            self.tollgate.inbox_filled().notify_one();
        }
        self.mended(drift);
        Ok(())
    }

    /// Events of customers whom nobody owns: one that names an account of ours by now is linked.
    async fn unmatched(&mut self) -> Result<(), SyncError> {
        for (customer, events) in inbox::unmatched_customers(self.tollgate.db()).await? {
            let linked = self.link(&customer).await;
            let is_linked = self.unless_alone(customer.as_str(), linked)?;
            if let Some(is_mended) = is_linked {
                self.findings.push(Finding { drift: Drift::Unmatched { customer, events }, is_mended });
            }
        }
        Ok(())
    }

    async fn link(&self, customer: &CustomerId) -> Result<bool, SyncError> {
        if self.mode == Mode::DryRun {
            return Ok(false);
        }
        let wanted = BTreeSet::from([Object::Customer(customer.clone())]);
        let outcome = sync::objects(self.tollgate, &wanted, Along::reason("reconcile")).await?;
        Ok(matches!(outcome, Outcome::Written(_)))
    }

    /// What was billed is not taken back by a program.
    async fn billed_use(&mut self) -> Result<(), SyncError> {
        for billed in outbox::billed(self.tollgate).await? {
            let difference = outbox::difference(self.tollgate, &billed).await;
            if let Some(Some(difference)) = self.unless_alone(billed.customer.as_str(), difference)? {
                self.left(Drift::BilledUse(difference));
            }
        }
        Ok(())
    }

    fn left(&mut self, drift: Drift) {
        self.findings.push(Finding::left(drift));
    }

    /// Mended just now, unless this run only looks.
    fn mended(&mut self, drift: Drift) {
        self.findings.push(Finding { drift, is_mended: self.mode == Mode::Mend });
    }

    fn not_compared(&mut self, subject: &str, why: &impl ToString) {
        self.left(Drift::NotCompared { subject: subject.to_owned(), why: why.to_string() });
    }

    /// What stands in the way of one object alone is named, and `None`; only what stands in the way
    /// of all of them is an error.
    fn unless_alone<T>(&mut self, subject: &str, result: Result<T, SyncError>) -> Result<Option<T>, SyncError> {
        match result {
            Ok(compared) => Ok(Some(compared)),
            Err(error) if scope(&error) == Scope::One => {
                self.not_compared(subject, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What an error stands in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// One object.
    One,
    /// What is read in the same way.
    Part,
    /// Whatever comes next, too.
    Everything,
}

const fn scope(error: &SyncError) -> Scope {
    match error {
        SyncError::Contended(_) | SyncError::TakenOver(_) | SyncError::Store(StoreError::BadRow { .. }) => Scope::One,
        SyncError::Stripe(error) if error.is_about_one_object() => Scope::One,
        SyncError::Stripe(GatewayError::Refused { status: 403, .. }) => Scope::Part,
        SyncError::Stripe(_) | SyncError::Store(_) => Scope::Everything,
    }
}
