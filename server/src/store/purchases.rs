//! What was bought once, as Stripe last described it.

use billing::ledger::{Payment, Purchase};
use billing::{AccountId, CheckoutSessionId, PaymentIntentId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};
use super::{After, At, Stored, payments};

statements! {
    PURCHASE_BY_SESSION = "SELECT * FROM purchase WHERE session_id = $1";
    PURCHASE_BY_PAYMENT = "SELECT * FROM purchase WHERE payment_id = $1";
    PURCHASES_OF_ACCOUNT = "SELECT * FROM purchase WHERE account_id = $1 \
        AND (created < $2 OR (created = $2 AND session_id < $3)) ORDER BY created DESC, session_id DESC LIMIT $4";
    PAYMENTS_OF_PURCHASES = "SELECT p.* FROM payment p JOIN purchase b ON b.payment_id = p.id WHERE b.account_id = $1 \
        AND (b.created < $2 OR (b.created = $2 AND b.session_id < $3)) ORDER BY b.created DESC, b.session_id DESC LIMIT $4";
    INSERT_PURCHASE = "INSERT INTO purchase (session_id, account_id, payment_id, is_settled, currency, total, items, created, \
        synced_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) ON CONFLICT (session_id) DO NOTHING";
    UPDATE_PURCHASE = "UPDATE purchase SET account_id = $2, payment_id = $3, is_settled = $4, currency = $5, total = $6, \
        items = $7, created = $8, synced_at = $9, version = version + 1 WHERE session_id = $1 AND version = $10";
}

#[derive(sqlx::FromRow)]
struct Row {
    session_id: String,
    account_id: String,
    payment_id: Option<String>,
    is_settled: bool,
    currency: String,
    total: i64,
    items: String,
    created: i64,
    version: i64,
}

impl Row {
    fn read(self) -> Result<Stored<Purchase>, StoreError> {
        let at = At { table: "purchase", row: &self.session_id };
        let object = Purchase {
            total: at.money(self.total, &self.currency)?,
            items: at.read("items", &self.items)?,
            payment: self.payment_id.map(PaymentIntentId::new),
            is_paid: self.is_settled,
            created: Timestamp(self.created),
            session: CheckoutSessionId::new(self.session_id),
        };
        Ok(Stored { object, account: AccountId::new(self.account_id), version: self.version })
    }
}

/// One purchase.
///
/// # Errors
/// The database failed, or the row is broken.
pub async fn by_session(db: &Db, session: &CheckoutSessionId) -> Result<Option<Stored<Purchase>>, StoreError> {
    query!(Db: db, fetch_optional as Row, PURCHASE_BY_SESSION, session.as_str())?.map(Row::read).transpose()
}

/// The purchase that a payment is for.
///
/// # Errors
/// The database failed, or the row is broken.
pub async fn by_payment(tx: &mut Tx, payment: &PaymentIntentId) -> Result<Option<Stored<Purchase>>, StoreError> {
    query!(Tx: tx, fetch_optional as Row, PURCHASE_BY_PAYMENT, payment.as_str())?.map(Row::read).transpose()
}

/// The account's purchases with their payments, newest first; a purchase of nothing has no payment.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn of_account(
    db: &Db,
    account: &AccountId,
    after: &After,
    most: i64,
) -> Result<Vec<(Purchase, Option<Payment>)>, StoreError> {
    let rows =
        query!(Db: db, fetch_all as Row, PURCHASES_OF_ACCOUNT, account.as_str(), after.at.0, after.key.as_str(), most)?;
    let paid = query!(Db: db, fetch_all as payments::Row, PAYMENTS_OF_PURCHASES, account.as_str(), after.at.0, after.key.as_str(), most)?;
    let paid: Vec<Payment> =
        paid.into_iter().map(|row| row.read().map(|stored| stored.object)).collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|row| {
            let purchase = row.read()?.object;
            let payment = paid.iter().find(|payment| Some(&payment.id) == purchase.payment.as_ref()).cloned();
            Ok((purchase, payment))
        })
        .collect()
}

/// Writes a purchase whole. `seen` is the version that was read before Stripe was asked, `None`
/// when there was no row. `false`: somebody else wrote in between; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    purchase: &Purchase,
    seen: Option<i64>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = At { table: "purchase", row: purchase.session.as_str() };
    let items = row.json("items", &purchase.items)?;
    macro_rules! write {
        ($sql:expr $(, $version:expr)?) => {
            query!(Tx: tx, execute, $sql, purchase.session.as_str(), account.as_str(),
                purchase.payment.as_ref().map(PaymentIntentId::as_str), purchase.is_paid,
                purchase.total.currency.as_str(), purchase.total.minor, items, purchase.created.0, at.0 $(, $version)?)
        };
    }
    let written = match seen {
        None => write!(INSERT_PURCHASE)?,
        Some(version) => write!(UPDATE_PURCHASE, version)?,
    };
    Ok(written > 0)
}
