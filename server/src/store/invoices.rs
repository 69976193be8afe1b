//! Invoices as Stripe last described them.

use billing::ledger::{Invoice, InvoiceStatus};
use billing::{AccountId, CustomerId, InvoiceId, SubscriptionId, Timestamp};

use super::db::{Db, StoreError, Tx, query, statements};
use super::{After, At, Stored};

statements! {
    INVOICE_BY_ID = "SELECT * FROM invoice WHERE id = $1";
    // A draft may still change and a void one is nobody's business any more.
    INVOICES_OF_ACCOUNT = "SELECT * FROM invoice WHERE account_id = $1 AND status NOT IN ('draft', 'void') \
        AND (created < $2 OR (created = $2 AND id < $3)) ORDER BY created DESC, id DESC LIMIT $4";
    OLDEST_OPEN_INVOICE = "SELECT * FROM invoice WHERE account_id = $1 AND subscription_id = $2 AND status = 'open' \
        ORDER BY created, id LIMIT 1";
    INSERT_INVOICE = "INSERT INTO invoice (id, account_id, customer_id, subscription_id, number, status, reason, currency, \
        total, amount_due, amount_paid, amount_remaining, created, finalized_at, due_date, paid_at, next_payment_attempt, \
        attempt_count, payments, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 1) \
        ON CONFLICT (id) DO NOTHING";
    UPDATE_INVOICE = "UPDATE invoice SET account_id = $2, customer_id = $3, subscription_id = $4, number = $5, status = $6, \
        reason = $7, currency = $8, total = $9, amount_due = $10, amount_paid = $11, amount_remaining = $12, created = $13, \
        finalized_at = $14, due_date = $15, paid_at = $16, next_payment_attempt = $17, attempt_count = $18, payments = $19, \
        synced_at = $20, version = version + 1 WHERE id = $1 AND version = $21";
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    customer_id: String,
    subscription_id: Option<String>,
    number: Option<String>,
    status: String,
    reason: Option<String>,
    currency: String,
    total: i64,
    amount_due: i64,
    amount_paid: i64,
    amount_remaining: i64,
    created: i64,
    finalized_at: Option<i64>,
    due_date: Option<i64>,
    paid_at: Option<i64>,
    next_payment_attempt: Option<i64>,
    attempt_count: i64,
    payments: String,
    version: i64,
}

impl Row {
    fn read(self) -> Result<Stored<Invoice>, StoreError> {
        let at = At { table: "invoice", row: &self.id };
        let object = Invoice {
            total: at.money(self.total, &self.currency)?,
            payments: at.read("payments", &self.payments)?,
            customer: CustomerId::new(self.customer_id),
            subscription: self.subscription_id.map(SubscriptionId::new),
            number: self.number,
            status: InvoiceStatus::from(self.status),
            reason: self.reason,
            amount_due: self.amount_due,
            amount_paid: self.amount_paid,
            amount_remaining: self.amount_remaining,
            created: Timestamp(self.created),
            finalized_at: self.finalized_at.map(Timestamp),
            due_date: self.due_date.map(Timestamp),
            paid_at: self.paid_at.map(Timestamp),
            next_payment_attempt: self.next_payment_attempt.map(Timestamp),
            attempt_count: self.attempt_count,
            id: InvoiceId::new(self.id),
        };
        Ok(Stored { object, account: AccountId::new(self.account_id), version: self.version })
    }
}

/// One invoice.
///
/// # Errors
/// The database failed, or the row is broken.
pub async fn by_id(db: &Db, id: &InvoiceId) -> Result<Option<Stored<Invoice>>, StoreError> {
    query!(Db: db, fetch_optional as Row, INVOICE_BY_ID, id.as_str())?.map(Row::read).transpose()
}

/// The account's invoices that were issued and not given up, newest first.
///
/// # Errors
/// The database failed, or a row is broken.
pub async fn of_account(db: &Db, account: &AccountId, after: &After, most: i64) -> Result<Vec<Invoice>, StoreError> {
    let rows =
        query!(Db: db, fetch_all as Row, INVOICES_OF_ACCOUNT, account.as_str(), after.at.0, after.key.as_str(), most)?;
    rows.into_iter().map(|row| row.read().map(|stored| stored.object)).collect()
}

/// The oldest invoice of a subscription that is open.
///
/// # Errors
/// The database failed, or the row is broken.
pub async fn oldest_open(
    db: &Db,
    account: &AccountId,
    subscription: &SubscriptionId,
) -> Result<Option<Invoice>, StoreError> {
    let row = query!(Db: db, fetch_optional as Row, OLDEST_OPEN_INVOICE, account.as_str(), subscription.as_str())?;
    row.map(|row| row.read().map(|stored| stored.object)).transpose()
}

/// Writes an invoice whole. `seen` is the version that was read before Stripe was asked, `None`
/// when there was no row. `false`: somebody else wrote in between; ask Stripe again.
///
/// # Errors
/// The database failed.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    invoice: &Invoice,
    seen: Option<i64>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = At { table: "invoice", row: invoice.id.as_str() };
    let payments = row.json("payments", &invoice.payments)?;
    macro_rules! write {
        ($sql:expr $(, $version:expr)?) => {
            query!(Tx: tx, execute, $sql, invoice.id.as_str(), account.as_str(), invoice.customer.as_str(),
                invoice.subscription.as_ref().map(SubscriptionId::as_str), invoice.number.as_deref(),
                invoice.status.as_str(), invoice.reason.as_deref(), invoice.total.currency.as_str(), invoice.total.minor,
                invoice.amount_due, invoice.amount_paid, invoice.amount_remaining, invoice.created.0,
                invoice.finalized_at.map(|at| at.0), invoice.due_date.map(|at| at.0), invoice.paid_at.map(|at| at.0),
                invoice.next_payment_attempt.map(|at| at.0), invoice.attempt_count, payments, at.0 $(, $version)?)
        };
    }
    let written = match seen {
        None => write!(INSERT_INVOICE)?,
        Some(version) => write!(UPDATE_INVOICE, version)?,
    };
    Ok(written > 0)
}
