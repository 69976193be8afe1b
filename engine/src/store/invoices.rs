//! Invoices as Stripe last described them.

use billing::ledger::{Invoice, InvoiceStatus};
use billing::{AccountId, CustomerId, InvoiceId, SubscriptionId, Timestamp};

use super::row::RowRef;
use super::{Cursor, Db, StoreError, Stored, Tx, columns, statements, values};

statements! {
    BY_ID = "SELECT * FROM invoice WHERE id = $1";
    // A draft may still change, and a void invoice is no longer relevant.
    OF_ACCOUNT = "SELECT * FROM invoice WHERE account_id = $1 AND status NOT IN ('draft', 'void') \
        AND (created < $2 OR (created = $2 AND id < $3)) ORDER BY created DESC, id DESC LIMIT $4";
    OLDEST_OPEN = "SELECT * FROM invoice WHERE account_id = $1 AND subscription_id = $2 AND status = 'open' \
        ORDER BY created, id LIMIT 1";
    NEWEST_PAID = "SELECT MAX(created) FROM invoice WHERE account_id = $1 AND subscription_id = $2 AND status = 'paid' \
        AND amount_paid > 0";
    WRITE = "INSERT INTO invoice (id, account_id, customer_id, subscription_id, number, status, reason, currency, \
        total, amount_due, amount_paid, amount_remaining, credited_before, credited_after, period_end, created, \
        finalized_at, due_date, paid_at, next_payment_attempt, attempt_count, payments, synced_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, 1) \
        ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, customer_id = excluded.customer_id, \
        subscription_id = excluded.subscription_id, number = excluded.number, status = excluded.status, \
        reason = excluded.reason, currency = excluded.currency, total = excluded.total, amount_due = excluded.amount_due, \
        amount_paid = excluded.amount_paid, amount_remaining = excluded.amount_remaining, credited_before = excluded.credited_before, \
        credited_after = excluded.credited_after, period_end = excluded.period_end, created = excluded.created, \
        finalized_at = excluded.finalized_at, due_date = excluded.due_date, paid_at = excluded.paid_at, \
        next_payment_attempt = excluded.next_payment_attempt, attempt_count = excluded.attempt_count, \
        payments = excluded.payments, synced_at = excluded.synced_at, version = invoice.version + 1 WHERE invoice.version = $24";
}

struct InvoiceRow {
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
    credited_before: i64,
    credited_after: i64,
    period_end: Option<i64>,
    created: i64,
    finalized_at: Option<i64>,
    due_date: Option<i64>,
    paid_at: Option<i64>,
    next_payment_attempt: Option<i64>,
    attempt_count: i64,
    payments: String,
    version: i64,
}

columns!(InvoiceRow {
    id,
    account_id,
    customer_id,
    subscription_id,
    number,
    status,
    reason,
    currency,
    total,
    amount_due,
    amount_paid,
    amount_remaining,
    credited_before,
    credited_after,
    period_end,
    created,
    finalized_at,
    due_date,
    paid_at,
    next_payment_attempt,
    attempt_count,
    payments,
    version
});

impl InvoiceRow {
    fn read(self) -> Result<Stored<Invoice>, StoreError> {
        let at = RowRef { table: "invoice", row: &self.id };
        let object = Invoice {
            total: at.money(self.total, &self.currency)?,
            payments: at.read_json("payments", &self.payments)?,
            customer: CustomerId::new(self.customer_id),
            subscription: self.subscription_id.map(SubscriptionId::new),
            number: self.number,
            status: InvoiceStatus::from(self.status),
            reason: self.reason,
            amount_due: self.amount_due,
            amount_paid: self.amount_paid,
            amount_remaining: self.amount_remaining,
            credited_before_payment: self.credited_before,
            credited_after_payment: self.credited_after,
            period_end: self.period_end.map(Timestamp),
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

/// Finds an invoice.
pub async fn by_id(db: &Db, id: &InvoiceId) -> Result<Option<Stored<Invoice>>, StoreError> {
    db.fetch_optional::<InvoiceRow>(BY_ID, values![id.as_str()]).await?.map(InvoiceRow::read).transpose()
}

/// Reads the account's finalized invoices that were not voided, newest first.
pub async fn of_account(db: &Db, account: &AccountId, after: &Cursor, limit: i64) -> Result<Vec<Invoice>, StoreError> {
    let values = values![account.as_str(), after.at.0, after.key.as_str(), limit];
    let rows = db.fetch_all::<InvoiceRow>(OF_ACCOUNT, values).await?;
    rows.into_iter().map(|row| row.read().map(|stored| stored.object)).collect()
}

/// Finds the oldest open invoice of a subscription.
pub async fn oldest_open(
    db: &Db,
    account: &AccountId,
    subscription: &SubscriptionId,
) -> Result<Option<Invoice>, StoreError> {
    let row = db.fetch_optional::<InvoiceRow>(OLDEST_OPEN, values![account.as_str(), subscription.as_str()]).await?;
    row.map(|row| row.read().map(|stored| stored.object)).transpose()
}

/// Returns when the newest invoice of a subscription that was paid was created.
pub async fn newest_paid(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &SubscriptionId,
) -> Result<Option<Timestamp>, StoreError> {
    let row =
        tx.fetch_optional::<(Option<i64>,)>(NEWEST_PAID, values![account.as_str(), subscription.as_str()]).await?;
    Ok(row.and_then(|(created,)| created).map(Timestamp))
}

/// Writes an invoice. `seen` is the version read before the request to Stripe, 0 if there was no row.
/// `false` if another process wrote in between: fetch again.
pub async fn write(
    tx: &mut Tx,
    account: &AccountId,
    invoice: &Invoice,
    seen: i64,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let row = RowRef { table: "invoice", row: invoice.id.as_str() };
    let values = values![
        invoice.id.as_str(),
        account.as_str(),
        invoice.customer.as_str(),
        invoice.subscription.as_ref().map(SubscriptionId::as_str),
        invoice.number.as_deref(),
        invoice.status.as_str(),
        invoice.reason.as_deref(),
        invoice.total.currency.as_str(),
        invoice.total.minor,
        invoice.amount_due,
        invoice.amount_paid,
        invoice.amount_remaining,
        invoice.credited_before_payment,
        invoice.credited_after_payment,
        invoice.period_end.map(|at| at.0),
        invoice.created.0,
        invoice.finalized_at.map(|at| at.0),
        invoice.due_date.map(|at| at.0),
        invoice.paid_at.map(|at| at.0),
        invoice.next_payment_attempt.map(|at| at.0),
        invoice.attempt_count,
        row.to_json("payments", &invoice.payments)?,
        at.0,
        seen
    ];
    Ok(tx.execute(WRITE, values).await? > 0)
}
