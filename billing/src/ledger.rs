//! What was bought and paid, as Stripe last described it: customers, invoices, payments, purchases.
//!
//! These are Stripe's objects reduced to what people and operators ask about. They are written
//! whole, each under Stripe's own id, so that an event that comes twice or late adds nothing
//! (`server/tests/store/ledger.rs`). Amounts are in the currency's minor unit.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Meter};
use crate::ids::{CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, PriceId, SubscriptionId};
use crate::money::Money;
use crate::purchase::{self, DisputeStatus};
use crate::stripe_words;
use crate::time::Timestamp;

/// A Stripe customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// `cus_…`.
    pub id: CustomerId,
    /// Where Stripe sends receipts.
    pub email: Option<String>,
    /// As on receipts.
    pub name: Option<String>,
    /// Whether it was deleted at Stripe. It never comes back; its account gets another one.
    pub is_deleted: bool,
}

stripe_words! {
    /// Stripe's status of an invoice.
    InvoiceStatus {
        /// Still being put together.
        Draft = "draft",
        /// To be paid.
        Open = "open",
        /// Paid, or nothing was due.
        Paid = "paid",
        /// Given up by whoever wrote it.
        Void = "void",
        /// Not expected to be paid any more.
        Uncollectible = "uncollectible",
    }
}

stripe_words! {
    /// Stripe's status of a PaymentIntent.
    PaymentStatus {
        /// No way to pay yet, or the last one was refused.
        RequiresPaymentMethod = "requires_payment_method",
        /// To be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// The customer has to do something, such as 3-D Secure.
        RequiresAction = "requires_action",
        /// The money is on its way.
        Processing = "processing",
        /// Authorised, not yet taken.
        RequiresCapture = "requires_capture",
        /// Given up.
        Canceled = "canceled",
        /// Paid.
        Succeeded = "succeeded",
    }
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `in_…`.
    pub id: InvoiceId,
    /// Whose it is.
    pub customer: CustomerId,
    /// What for, if for a subscription.
    pub subscription: Option<SubscriptionId>,
    /// The number on it; a draft has none.
    pub number: Option<String>,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// Stripe's `billing_reason`.
    pub reason: Option<String>,
    /// What it comes to; negative for a credit.
    pub total: Money,
    /// What is to be paid of it.
    pub amount_due: i64,
    /// What was paid of it.
    pub amount_paid: i64,
    /// What is still to be paid.
    pub amount_remaining: i64,
    /// When it was begun.
    pub created: Timestamp,
    /// When it was issued.
    pub finalized_at: Option<Timestamp>,
    /// Until when it is to be paid, where it is paid by hand.
    pub due_date: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// When Stripe tries again by itself.
    pub next_payment_attempt: Option<Timestamp>,
    /// How often it was tried.
    pub attempt_count: i64,
    /// The PaymentIntents for it.
    pub payments: Vec<PaymentIntentId>,
}

impl Invoice {
    /// Since when it is owed: the start of a delinquency, which retries do not move.
    pub fn owed_since(&self) -> Timestamp {
        self.due_date.or(self.finalized_at).unwrap_or(self.created)
    }
}

/// What a card shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Such as `visa`.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
}

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// How much.
    pub amount: i64,
    /// Stripe's word: `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    pub status: String,
    /// When it was asked for.
    pub created: Timestamp,
}

/// Money that a bank took back, or asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// `dp_…`.
    pub id: String,
    /// How much.
    pub amount: i64,
    /// Where it stands.
    pub status: DisputeStatus,
    /// The bank's reason, such as `fraudulent`.
    pub reason: Option<String>,
    /// When it was opened.
    pub created: Timestamp,
}

/// A PaymentIntent with its latest charge and what became of the money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// `pi_…`.
    pub id: PaymentIntentId,
    /// Whose it is; a guest's has none.
    pub customer: Option<CustomerId>,
    /// Where it stands.
    pub status: PaymentStatus,
    /// How much.
    pub amount: Money,
    /// What it says it is for.
    pub description: Option<String>,
    /// `ch_…` of the latest attempt.
    pub charge: Option<String>,
    /// What was given back, as Stripe counts it: a refund that failed does not count.
    pub amount_refunded: i64,
    /// The refunds, oldest first.
    pub refunds: Vec<Refund>,
    /// Whether a bank has ever asked for it back.
    pub is_disputed: bool,
    /// The disputes, oldest first.
    pub disputes: Vec<Dispute>,
    /// What it was paid with.
    pub card: Option<Card>,
    /// Stripe's receipt.
    pub receipt_url: Option<String>,
    /// Why the last attempt failed, in words for the customer.
    pub failure: Option<String>,
    /// The same as Stripe's code.
    pub failure_code: Option<String>,
    /// When it was begun.
    pub created: Timestamp,
}

/// Stripe's code of an attempt in the customer's absence at which the bank wanted a word with them.
const AUTHENTICATION_REQUIRED: &str = "authentication_required";

impl Payment {
    /// Whether the customer's bank wants something of them, such as 3-D Secure.
    pub fn needs_action(&self) -> bool {
        match self.status {
            PaymentStatus::RequiresAction => true,
            PaymentStatus::RequiresPaymentMethod => self.failure_code.as_deref() == Some(AUTHENTICATION_REQUIRED),
            _ => false,
        }
    }

    /// What banks hold back or have taken back.
    pub fn amount_disputed(&self) -> i64 {
        let taken = self.disputes.iter().filter(|dispute| dispute.status.takes_money());
        taken.fold(0_i64, |sum, dispute| sum.saturating_add(dispute.amount))
    }
}

/// One line of what was bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    /// What Stripe's page called it.
    pub description: String,
    /// Stripe's price.
    pub price: Option<PriceId>,
    /// The price's lookup key, if it has one.
    pub lookup_key: Option<String>,
    /// How many.
    pub quantity: u64,
    /// What they cost together.
    pub amount: i64,
    /// The catalogue's product that it is.
    pub product: Option<String>,
    /// The meter that it adds to, and how many units in all. As promised on the day it was bought.
    pub grants: Option<(Meter, u64)>,
}

/// Something bought once: a completed Checkout Session in mode `payment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// `cs_…`.
    pub session: CheckoutSessionId,
    /// How it is paid; a purchase of nothing has no PaymentIntent.
    pub payment: Option<PaymentIntentId>,
    /// Whether nothing is owed.
    pub is_settled: bool,
    /// What it comes to.
    pub total: Money,
    /// What was bought.
    pub items: Vec<Bought>,
    /// When the session was opened.
    pub created: Timestamp,
}

/// Units of a meter that one line of a purchase is good for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Natural key: the session, and the line in it.
    pub source: String,
    /// Which meter.
    pub meter: Meter,
    /// How many; 0 when all of it was taken back.
    pub units: u64,
}

impl Purchase {
    /// Says of each line which product it is and what it grants. What was promised `before` stays
    /// promised, whatever the catalogue says today.
    #[must_use]
    pub fn described(mut self, catalog: &Catalog, before: Option<&Self>) -> Self {
        for (index, item) in self.items.iter_mut().enumerate() {
            let known = before.and_then(|before| before.items.get(index)).filter(|known| known.price == item.price);
            if let Some(known) = known.filter(|known| known.product.is_some()) {
                (item.product, item.grants) = (known.product.clone(), known.grants);
                continue;
            }
            let by_price = item.price.as_ref().and_then(|id| catalog.product_of_price(id, item.lookup_key.as_deref()));
            let named = item.product.as_deref().and_then(|key| catalog.product(key));
            let product = by_price.or(named);
            let quantity = item.quantity;
            let grants = product.and_then(|product| product.grants);
            item.grants = grants.map(|(meter, units)| (meter, units.saturating_mul(quantity)));
            item.product = product.map(|product| product.key.clone());
        }
        self
    }

    /// What it is good for now, given its payment as it is now.
    pub fn grants(&self, payment: Option<&Payment>) -> Vec<Grant> {
        let worth = self.worth(payment);
        let of_item = |(index, item): (usize, &Bought)| {
            let (meter, units) = item.grants?;
            let source = if index == 0 { self.session.to_string() } else { format!("{}#{index}", self.session) };
            Some(Grant { source, meter, units: worth.units_of(units) })
        };
        self.items.iter().enumerate().filter_map(of_item).collect()
    }

    fn worth(&self, payment: Option<&Payment>) -> purchase::Payment {
        purchase::Payment {
            // A session that is settled stays so when its payment is taken back later; one whose
            // payment was refused after all does not.
            is_settled: self.is_settled && payment.is_none_or(|payment| payment.status == PaymentStatus::Succeeded),
            amount: self.total.minor,
            refunded: payment.map_or(0, |payment| payment.amount_refunded),
            disputed: payment.map_or(0, Payment::amount_disputed),
        }
    }
}
