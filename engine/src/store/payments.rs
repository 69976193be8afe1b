//! Payments as Stripe last described them: PaymentIntents with their refunds and disputes.

use std::collections::HashMap;

use billing::ledger::{Card, Payment, PaymentStatus};
use billing::{AccountId, CustomerId, PaymentIntentId, Timestamp};

use super::list::{ListQuery, list, list_query};
use super::row::RowRef;
use super::{Db, StoreError, Stored, Tx, columns, statements, values};

const BY_IDS: ListQuery = list_query!("SELECT * FROM payment WHERE id IN", "");

/// The statements with a list, by name.
pub(super) const LISTS: &[(&str, ListQuery)] = &[("BY_IDS", BY_IDS)];

statements! {
    BY_ID = "SELECT * FROM payment WHERE id = $1";
    WRITE = "INSERT INTO payment (id, account_id, customer_id, status, currency, amount, amount_refunded, \
        amount_disputed, is_disputed, description, charge_id, refunds, disputes, card_brand, card_last4, receipt_url, failure, \
        failure_code, created, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 1) \
        ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, customer_id = excluded.customer_id, \
        status = excluded.status, currency = excluded.currency, amount = excluded.amount, \
        amount_refunded = excluded.amount_refunded, amount_disputed = excluded.amount_disputed, \
        is_disputed = excluded.is_disputed, description = excluded.description, charge_id = excluded.charge_id, \
        refunds = excluded.refunds, disputes = excluded.disputes, card_brand = excluded.card_brand, \
        card_last4 = excluded.card_last4, receipt_url = excluded.receipt_url, failure = excluded.failure, \
        failure_code = excluded.failure_code, created = excluded.created, synced_at = excluded.synced_at, \
        version = payment.version + 1 WHERE payment.version = $21";
}

pub(super) struct PaymentRow {
    id: String,
    account_id: String,
    customer_id: Option<String>,
    status: String,
    currency: String,
    amount: i64,
    amount_refunded: i64,
    is_disputed: bool,
    description: Option<String>,
    charge_id: Option<String>,
    refunds: String,
    disputes: String,
    card_brand: Option<String>,
    card_last4: Option<String>,
    receipt_url: Option<String>,
    failure: Option<String>,
    failure_code: Option<String>,
    created: i64,
    version: i64,
}

columns!(PaymentRow {
    id,
    account_id,
    customer_id,
    status,
    currency,
    amount,
    amount_refunded,
    is_disputed,
    description,
    charge_id,
    refunds,
    disputes,
    card_brand,
    card_last4,
    receipt_url,
    failure,
    failure_code,
    created,
    version
});

impl PaymentRow {
    pub(super) fn read(self) -> Result<Stored<Payment>, StoreError> {
        let at = RowRef { table: "payment", row: &self.id };
        let object = Payment {
            amount: at.money(self.amount, &self.currency)?,
            refunds: at.read_json("refunds", &self.refunds)?,
            disputes: at.read_json("disputes", &self.disputes)?,
            customer: self.customer_id.map(CustomerId::new),
            status: PaymentStatus::from(self.status),
            description: self.description,
            charge: self.charge_id,
            amount_refunded: self.amount_refunded,
            is_disputed: self.is_disputed,
            card: self.card_brand.zip(self.card_last4).map(|(brand, last4)| Card { brand, last4 }),
            receipt_url: self.receipt_url,
            failure: self.failure,
            failure_code: self.failure_code,
            created: Timestamp(self.created),
            id: PaymentIntentId::new(self.id),
        };
        Ok(Stored { object, account: AccountId::new(self.account_id), version: self.version })
    }
}

/// Returns those of these payments that are stored, by id.
pub async fn by_ids(db: &Db, ids: &[&str]) -> Result<HashMap<PaymentIntentId, Payment>, StoreError> {
    let rows = db.fetch_all::<PaymentRow>(BY_IDS.on(db), values![list(ids)]).await?;
    rows.into_iter().map(|row| row.read().map(|stored| (stored.object.id.clone(), stored.object))).collect()
}

/// Finds a payment.
pub async fn by_id(db: &Db, id: &PaymentIntentId) -> Result<Option<Stored<Payment>>, StoreError> {
    db.fetch_optional::<PaymentRow>(BY_ID, values![id.as_str()]).await?.map(PaymentRow::read).transpose()
}

/// Does the same inside a transaction.
pub async fn by_id_in(tx: &mut Tx, id: &PaymentIntentId) -> Result<Option<Stored<Payment>>, StoreError> {
    tx.fetch_optional::<PaymentRow>(BY_ID, values![id.as_str()]).await?.map(PaymentRow::read).transpose()
}

/// Writes a payment. `seen` is the version read before the request to Stripe, 0 if there was no row.
/// `false` if another process wrote in between: fetch again.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    payment: &Payment,
    seen: i64,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = RowRef { table: "payment", row: payment.id.as_str() };
    let card = payment.card.as_ref();
    let values = values![
        payment.id.as_str(),
        account.as_str(),
        payment.customer.as_ref().map(CustomerId::as_str),
        payment.status.as_str(),
        payment.amount.currency.as_str(),
        payment.amount.minor,
        payment.amount_refunded,
        payment.amount_disputed(),
        payment.is_disputed,
        payment.description.as_deref(),
        payment.charge.as_deref(),
        row.to_json("refunds", &payment.refunds)?,
        row.to_json("disputes", &payment.disputes)?,
        card.map(|card| card.brand.as_str()),
        card.map(|card| card.last4.as_str()),
        payment.receipt_url.as_deref(),
        payment.failure.as_deref(),
        payment.failure_code.as_deref(),
        payment.created.0,
        at.0,
        seen
    ];
    Ok(tx.execute(WRITE, values).await? > 0)
}
