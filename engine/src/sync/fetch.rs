//! Fetching objects from Stripe, with the objects that they depend on.
//!
//! The stored row is read before the request to Stripe, so that the writer can tell whether it has
//! changed since.

use std::collections::{BTreeMap, BTreeSet};

use billing::{AccountId, CustomerId, Subscription};

use super::outcome::SyncError;

use crate::core::Core;
use crate::inbox::object::Object;
use crate::store::{Stored, customers, invoices, payments, purchases, subscriptions};
use crate::stripe::GatewayError;
use crate::stripe::objects::{CheckoutSession, Named, SubscriptionObject};
use billing::ledger::{Customer, Invoice, InvoiceStatus, Payment, Purchase};

/// An object from Stripe, with the row that was stored before the request.
#[derive(Debug)]
pub(super) struct Fresh<T, S> {
    pub(super) seen: Option<Stored<T>>,
    pub(super) now: S,
}

/// The requested objects and their dependencies, in write order.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The customer linked to an account, if an object of another customer names that account: the
    /// linked one may have been deleted without our knowledge.
    pub(super) predecessors: Vec<Fresh<Customer, Named<Customer>>>,
    pub(super) customers: Vec<Fresh<Customer, Named<Customer>>>,
    pub(super) subscriptions: Vec<Fresh<Subscription, SubscriptionObject>>,
    pub(super) invoices: Vec<Fresh<Invoice, Named<Invoice>>>,
    pub(super) payments: Vec<Fresh<Payment, Named<Payment>>>,
    pub(super) sessions: Vec<Fresh<Purchase, CheckoutSession>>,
    /// The ids of objects that Stripe does not have, and that are not stored.
    pub(super) missing: Vec<String>,
}

/// Fetches `wanted`, and the objects that they refer to; for a customer whose payment method may be new, also
/// the subscriptions that it may pay or resume.
pub(super) async fn all(core: &Core, wanted: &BTreeSet<Object>, collects: bool) -> Result<Fetched, SyncError> {
    let mut fetched = Fetched::default();
    let mut asked = BTreeSet::new();
    let mut open: Vec<Object> = wanted.iter().cloned().rev().collect();
    while let Some(object) = open.pop() {
        if asked.insert(object.clone()) {
            let implied = fetched.add(core, &object, collects).await?;
            open.extend(implied.into_iter().filter(|object| !asked.contains(object)));
        }
        if open.is_empty() {
            open.extend(fetched.unknown_customer(core).await?.filter(|object| !asked.contains(object)));
        }
    }
    fetched.add_predecessors(core).await?;
    fetched.sort();
    Ok(fetched)
}

impl Fetched {
    /// Fetches one object, and returns the objects that it refers to.
    async fn add(&mut self, core: &Core, object: &Object, collects: bool) -> Result<Vec<Object>, SyncError> {
        let (db, gateway) = (core.db(), core.gateway());
        match object {
            Object::Subscription(id) => {
                let seen = subscriptions::by_id(db, id).await?;
                let Some(now) = self.found(object, seen.is_some(), gateway.subscription(id).await)? else {
                    return Ok(Vec::new());
                };
                Ok(self.add_subscription(seen, now))
            }
            Object::CheckoutSession(id) => {
                let seen = purchases::by_session(db, id).await?;
                let Some(now) = self.found(object, seen.is_some(), gateway.checkout_session(id).await)? else {
                    return Ok(Vec::new());
                };
                let subscription = now.subscription.clone().map(Object::Subscription);
                let payment = now.purchase.as_ref().and_then(|purchase| purchase.payment.clone()).map(Object::Payment);
                self.sessions.push(Fresh { seen, now });
                Ok(subscription.into_iter().chain(payment).collect())
            }
            Object::Invoice(id) => {
                let seen = invoices::by_id(db, id).await?;
                // A draft may be deleted.
                let draft = seen.as_ref().filter(|seen| seen.object.status == InvoiceStatus::Draft);
                let is_stored = seen.is_some() && draft.is_none();
                let now = match (self.found(object, is_stored, gateway.invoice(id).await)?, draft) {
                    (Some(now), _) => now,
                    (None, Some(draft)) => Named {
                        object: Invoice { status: InvoiceStatus::Void, ..draft.object.clone() },
                        account: None,
                        method: None,
                    },
                    (None, None) => return Ok(Vec::new()),
                };
                let subscription = now.object.subscription.clone().map(Object::Subscription);
                let payments: Vec<Object> = now.object.payments.iter().cloned().map(Object::Payment).collect();
                self.invoices.push(Fresh { seen, now });
                Ok(subscription.into_iter().chain(payments).collect())
            }
            Object::Payment(id) => {
                let seen = payments::by_id(db, id).await?;
                let Some(now) = self.found(object, seen.is_some(), gateway.payment(id).await)? else {
                    return Ok(Vec::new());
                };
                // Access to a plan may depend on the refund or dispute of its payment.
                let invoices = match now.object.was_reversed() {
                    true => gateway.invoices_of(id).await?,
                    false => Vec::new(),
                };
                self.payments.push(Fresh { seen, now });
                Ok(invoices.into_iter().map(Object::Invoice).collect())
            }
            Object::Customer(id) => {
                let seen = customers::by_id(db, id).await?;
                let implied = match &seen {
                    Some(seen) if collects => Self::collectable(core, seen).await?,
                    _ => Vec::new(),
                };
                if let Some(now) = self.found(object, seen.is_some(), gateway.customer(id).await)? {
                    self.customers.push(Fresh { seen, now });
                }
                Ok(implied)
            }
        }
    }

    /// Returns the object in Stripe's response; `None` for one that Stripe does not have, which is recorded as
    /// missing.
    ///
    /// Stripe deletes nothing that is stored here: it marks a customer as deleted, and keeps the rest. So if an
    /// object is suddenly missing, the API key belongs to another account, and the stored object is kept.
    fn found<T>(
        &mut self,
        object: &Object,
        is_stored: bool,
        response: Result<T, GatewayError>,
    ) -> Result<Option<T>, SyncError> {
        match response {
            Ok(found) => Ok(Some(found)),
            Err(error) if !error.is_missing() => Err(error.into()),
            Err(error) if is_stored => Err(SyncError::Disappeared { id: object.id().to_owned(), error }),
            Err(_) => {
                self.missing.push(object.id().to_owned());
                Ok(None)
            }
        }
    }

    /// Adds a subscription. Its open invoices are fetched: only the payment of an invoice shows whether the
    /// customer has to act.
    fn add_subscription(&mut self, seen: Option<Stored<Subscription>>, now: SubscriptionObject) -> Vec<Object> {
        let open = now.open_invoices.clone();
        self.subscriptions.push(Fresh { seen, now });
        open.into_iter().map(Object::Invoice).collect()
    }

    /// Returns the subscriptions that a customer's new payment method may pay or resume.
    async fn collectable(core: &Core, customer: &Stored<Customer>) -> Result<Vec<Object>, SyncError> {
        let all = subscriptions::of_account(core.db(), &customer.account).await?;
        let of_customer = all.into_iter().filter(|each| each.customer == customer.object.id);
        Ok(of_customer.filter(Subscription::is_collectable).map(|each| Object::Subscription(each.id)).collect())
    }

    /// Returns the customer in Stripe. Related objects belong to one customer.
    pub(super) fn customer(&self) -> Option<&CustomerId> {
        self.parties().find_map(|(customer, _)| customer)
    }

    /// Returns each customer, with the accounts that its objects name.
    pub(super) fn names_by_customer(&self) -> BTreeMap<CustomerId, BTreeSet<&str>> {
        let mut names: BTreeMap<CustomerId, BTreeSet<&str>> = BTreeMap::new();
        for (customer, name) in self.parties() {
            if let Some(customer) = customer {
                names.entry(customer.clone()).or_default().extend(name);
            }
        }
        names
    }

    /// Returns the ids of all customers, and those of accounts that the objects name.
    pub(super) fn owner_ids(&self) -> BTreeSet<&str> {
        self.parties().flat_map(|(customer, name)| customer.map(CustomerId::as_str).into_iter().chain(name)).collect()
    }

    /// Returns whether the customer was deleted.
    pub(super) fn is_deleted(&self, customer: &CustomerId) -> bool {
        self.customers.iter().any(|fresh| fresh.now.object.id == *customer && fresh.now.object.is_deleted)
    }

    /// Returns each object's customer, and the account that the object names.
    fn parties(&self) -> impl Iterator<Item = (Option<&CustomerId>, Option<&str>)> {
        let customers = self.customers.iter().map(|fresh| (Some(&fresh.now.object.id), &fresh.now.account));
        let subscriptions =
            self.subscriptions.iter().map(|fresh| (Some(&fresh.now.subscription.customer), &fresh.now.account));
        let invoices = self.invoices.iter().map(|fresh| (Some(&fresh.now.object.customer), &fresh.now.account));
        let payments = self.payments.iter().map(|fresh| (fresh.now.object.customer.as_ref(), &fresh.now.account));
        let sessions = self.sessions.iter().map(|fresh| (fresh.now.customer.as_ref(), &fresh.now.account));
        let all = customers.chain(subscriptions).chain(invoices).chain(payments).chain(sessions);
        all.map(|(customer, name)| (customer, name.as_deref()))
    }

    /// Returns the customer, if it was never fetched: it may refer to its account.
    async fn unknown_customer(&self, core: &Core) -> Result<Option<Object>, SyncError> {
        let Some(customer) = self.customer() else { return Ok(None) };
        let is_known = customers::by_id(core.db(), customer).await?.is_some_and(|stored| stored.version > 0);
        Ok((!is_known).then(|| Object::Customer(customer.clone())))
    }

    /// Fetches the linked customers that unlinked ones would replace.
    async fn add_predecessors(&mut self, core: &Core) -> Result<(), SyncError> {
        let db = core.db();
        // Sorted, and each once: several customers may refer to the same account.
        let mut linked = BTreeSet::new();
        for (id, names) in self.names_by_customer() {
            if self.is_deleted(&id) || customers::by_id(db, &id).await?.is_some() {
                continue;
            }
            for name in names {
                linked.extend(customers::of_account(db, &AccountId::new(name)).await?);
            }
        }
        for id in linked {
            if self.customers.iter().any(|fetched| fetched.now.object.id == id) {
                continue;
            }
            let seen = customers::by_id(db, &id).await?;
            let response = core.gateway().customer(&id).await;
            let now = self.found(&Object::Customer(id), seen.is_some(), response)?;
            self.predecessors.extend(now.map(|now| Fresh { seen, now }));
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.customers.sort_by(|a, b| a.now.object.id.cmp(&b.now.object.id));
        self.subscriptions.sort_by(|a, b| a.now.subscription.id.cmp(&b.now.subscription.id));
        self.invoices.sort_by(|a, b| a.now.object.id.cmp(&b.now.object.id));
        self.payments.sort_by(|a, b| a.now.object.id.cmp(&b.now.object.id));
        self.sessions.sort_by(|a, b| a.now.id.cmp(&b.now.id));
    }
}
