//! Payments as Stripe last described them: PaymentIntents with their refunds and disputes.

use billing::ledger::{Card, Payment, PaymentStatus};
use billing::{AccountId, CustomerId, PaymentIntentId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};
use super::{At, Stored};

statements! {
    PAYMENT_BY_ID = "SELECT * FROM payment WHERE id = $1";
    INSERT_PAYMENT = "INSERT INTO payment (id, account_id, customer_id, status, currency, amount, amount_refunded, \
        amount_disputed, is_disputed, description, charge_id, refunds, disputes, card_brand, card_last4, receipt_url, failure, \
        failure_code, created, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 1) \
        ON CONFLICT (id) DO NOTHING";
    UPDATE_PAYMENT = "UPDATE payment SET account_id = $2, customer_id = $3, status = $4, currency = $5, amount = $6, \
        amount_refunded = $7, amount_disputed = $8, is_disputed = $9, description = $10, charge_id = $11, refunds = $12, \
        disputes = $13, card_brand = $14, card_last4 = $15, receipt_url = $16, failure = $17, failure_code = $18, created = $19, synced_at = $20, \
        version = version + 1 WHERE id = $1 AND version = $21";
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
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

impl Row {
    pub(super) fn read(self) -> Result<Stored<Payment>, StoreError> {
        let at = At { table: "payment", row: &self.id };
        let object = Payment {
            amount: at.money(self.amount, &self.currency)?,
            refunds: at.read("refunds", &self.refunds)?,
            disputes: at.read("disputes", &self.disputes)?,
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

/// One payment.
///
/// # Errors
/// The database failed, or the row is broken.
pub async fn by_id(db: &Db, id: &PaymentIntentId) -> Result<Option<Stored<Payment>>, StoreError> {
    query!(Db: db, fetch_optional as Row, PAYMENT_BY_ID, id.as_str())?.map(Row::read).transpose()
}

/// The same inside a transaction.
///
/// # Errors
/// As [`by_id`].
pub async fn by_id_in(tx: &mut Tx, id: &PaymentIntentId) -> Result<Option<Stored<Payment>>, StoreError> {
    query!(Tx: tx, fetch_optional as Row, PAYMENT_BY_ID, id.as_str())?.map(Row::read).transpose()
}

/// Writes a payment whole. `seen` is the version that was read before Stripe was asked, `None`
/// when there was no row. `false`: somebody else wrote in between; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    payment: &Payment,
    seen: Option<i64>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = At { table: "payment", row: payment.id.as_str() };
    let (refunds, disputes) = (row.json("refunds", &payment.refunds)?, row.json("disputes", &payment.disputes)?);
    let card = payment.card.as_ref();
    macro_rules! write {
        ($sql:expr $(, $version:expr)?) => {
            query!(Tx: tx, execute, $sql, payment.id.as_str(), account.as_str(),
                payment.customer.as_ref().map(CustomerId::as_str), payment.status.as_str(),
                payment.amount.currency.as_str(), payment.amount.minor, payment.amount_refunded,
                payment.amount_disputed(), payment.is_disputed, payment.description.as_deref(),
                payment.charge.as_deref(), refunds, disputes, card.map(|card| card.brand.as_str()),
                card.map(|card| card.last4.as_str()), payment.receipt_url.as_deref(), payment.failure.as_deref(),
                payment.failure_code.as_deref(),
                payment.created.0, at.0 $(, $version)?)
        };
    }
    let written = match seen {
        None => write!(INSERT_PAYMENT)?,
        Some(version) => write!(UPDATE_PAYMENT, version)?,
    };
    Ok(written > 0)
}
