//! One-time purchases as Stripe last described them.

use std::collections::HashMap;

use billing::ledger::{Payment, Purchase};
use billing::{AccountId, CheckoutSessionId, PaymentIntentId, Timestamp};

use super::list::{ListQuery, list, list_query};
use super::payments::PaymentRow;
use super::row::RowRef;
use super::{Cursor, Db, StoreError, Stored, Tx, columns, statements, values};

const BY_SESSIONS: ListQuery = list_query!("SELECT * FROM purchase WHERE session_id IN", "");

/// The statements with a list, by name.
pub(super) const LISTS: &[(&str, ListQuery)] = &[("BY_SESSIONS", BY_SESSIONS)];

statements! {
    BY_SESSION = "SELECT * FROM purchase WHERE session_id = $1";
    BY_PAYMENT = "SELECT * FROM purchase WHERE payment_id = $1";
    OF_ACCOUNT = "SELECT * FROM purchase WHERE account_id = $1 \
        AND (created < $2 OR (created = $2 AND session_id < $3)) ORDER BY created DESC, session_id DESC LIMIT $4";
    THEIR_PAYMENTS = "SELECT p.* FROM payment p JOIN purchase b ON b.payment_id = p.id WHERE b.account_id = $1 \
        AND (b.created < $2 OR (b.created = $2 AND b.session_id < $3)) ORDER BY b.created DESC, b.session_id DESC LIMIT $4";
    WRITE = "INSERT INTO purchase (session_id, account_id, payment_id, is_paid, currency, total, items, created, \
        synced_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) ON CONFLICT (session_id) DO UPDATE SET \
        account_id = excluded.account_id, payment_id = excluded.payment_id, is_paid = excluded.is_paid, \
        currency = excluded.currency, total = excluded.total, items = excluded.items, created = excluded.created, \
        synced_at = excluded.synced_at, version = purchase.version + 1 WHERE purchase.version = $10";
}

struct PurchaseRow {
    session_id: String,
    account_id: String,
    payment_id: Option<String>,
    is_paid: bool,
    currency: String,
    total: i64,
    items: String,
    created: i64,
    version: i64,
}

columns!(PurchaseRow { session_id, account_id, payment_id, is_paid, currency, total, items, created, version });

impl PurchaseRow {
    fn read(self) -> Result<Stored<Purchase>, StoreError> {
        let at = RowRef { table: "purchase", row: &self.session_id };
        let object = Purchase {
            total: at.money(self.total, &self.currency)?,
            items: at.read_json("items", &self.items)?,
            payment: self.payment_id.map(PaymentIntentId::new),
            is_paid: self.is_paid,
            created: Timestamp(self.created),
            session: CheckoutSessionId::new(self.session_id),
        };
        Ok(Stored { object, account: AccountId::new(self.account_id), version: self.version })
    }
}

/// Finds a purchase.
pub async fn by_session(db: &Db, session: &CheckoutSessionId) -> Result<Option<Stored<Purchase>>, StoreError> {
    db.fetch_optional::<PurchaseRow>(BY_SESSION, values![session.as_str()]).await?.map(PurchaseRow::read).transpose()
}

/// Returns those of these purchases that are stored, by session.
pub async fn by_sessions(db: &Db, sessions: &[&str]) -> Result<HashMap<CheckoutSessionId, Purchase>, StoreError> {
    let rows = db.fetch_all::<PurchaseRow>(BY_SESSIONS.on(db), values![list(sessions)]).await?;
    rows.into_iter().map(|row| row.read().map(|stored| (stored.object.session.clone(), stored.object))).collect()
}

/// Finds the purchase that a payment is for.
pub async fn by_payment(tx: &mut Tx, payment: &PaymentIntentId) -> Result<Option<Stored<Purchase>>, StoreError> {
    tx.fetch_optional::<PurchaseRow>(BY_PAYMENT, values![payment.as_str()]).await?.map(PurchaseRow::read).transpose()
}

/// A purchase with its payment; a free purchase has none.
#[derive(Clone, Debug)]
pub struct PaidPurchase {
    /// The purchase, as Stripe last described it.
    pub purchase: Purchase,
    /// Its payment; `None` for a free purchase, or if it is not stored yet.
    pub payment: Option<Payment>,
}

/// Reads the account's purchases with their payments, newest first.
pub async fn of_account(
    db: &Db,
    account: &AccountId,
    after: &Cursor,
    limit: i64,
) -> Result<Vec<PaidPurchase>, StoreError> {
    let values = values![account.as_str(), after.at.0, after.key.as_str(), limit];
    let rows = db.fetch_all::<PurchaseRow>(OF_ACCOUNT, values.clone()).await?;
    let payments = db.fetch_all::<PaymentRow>(THEIR_PAYMENTS, values).await?;
    let payments: Vec<Payment> =
        payments.into_iter().map(|row| row.read().map(|stored| stored.object)).collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|row| {
            let purchase = row.read()?.object;
            let payment = payments.iter().find(|payment| Some(&payment.id) == purchase.payment.as_ref()).cloned();
            Ok(PaidPurchase { purchase, payment })
        })
        .collect()
}

/// Writes a purchase. `seen` is the version read before the request to Stripe, 0 if there was no row.
/// `false` if another process wrote in between: fetch again.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    purchase: &Purchase,
    seen: i64,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = RowRef { table: "purchase", row: purchase.session.as_str() };
    let values = values![
        purchase.session.as_str(),
        account.as_str(),
        purchase.payment.as_ref().map(PaymentIntentId::as_str),
        purchase.is_paid,
        purchase.total.currency.as_str(),
        purchase.total.minor,
        row.to_json("items", &purchase.items)?,
        purchase.created.0,
        at.0,
        seen
    ];
    Ok(tx.execute(WRITE, values).await? > 0)
}
