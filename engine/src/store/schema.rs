//! Every statement of the store, for the test that prepares them all on both databases.

use super::db::{self, Db};
use super::{
    accounts, billing_changes, checkouts, credits, customers, drift, inbox, invoices, meter_events, migrations,
    notices, payments, purchases, stripe_account, subscriptions, trials, tx, unanswered, unlinked_customers, usage,
    version, write_probe,
};

/// Returns the statements that are the same on both databases, by name.
pub fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        accounts::STATEMENTS,
        billing_changes::STATEMENTS,
        checkouts::STATEMENTS,
        credits::STATEMENTS,
        customers::STATEMENTS,
        drift::STATEMENTS,
        inbox::STATEMENTS,
        invoices::STATEMENTS,
        meter_events::STATEMENTS,
        migrations::STATEMENTS,
        notices::STATEMENTS,
        payments::STATEMENTS,
        purchases::STATEMENTS,
        stripe_account::STATEMENTS,
        subscriptions::STATEMENTS,
        trials::STATEMENTS,
        unanswered::STATEMENTS,
        unlinked_customers::STATEMENTS,
        usage::STATEMENTS,
        write_probe::STATEMENTS,
    ]
    .concat()
}

/// Returns the statements that differ between the databases, by name: those that take a list or many rows, and
/// those of PostgreSQL only.
pub fn all_batch_statements(db: &Db) -> Vec<(&'static str, &'static str)> {
    let lists =
        [accounts::LISTS, customers::LISTS, inbox::LISTS, payments::LISTS, purchases::LISTS, subscriptions::LISTS]
            .concat();
    let lists = lists.into_iter().map(|(name, query)| (name, query.on(db)));
    let own = inbox::own_statements(db).into_iter();
    let rows = [inbox::batches(db), usage::batches(db)].concat().into_iter().flat_map(|batch| batch.forms(db));
    let shared =
        if db.is_shared() { [db::STATEMENTS, tx::STATEMENTS, version::STATEMENTS].concat() } else { Vec::new() };
    lists.chain(own).chain(rows).chain(usage::combined(db)).chain(shared).collect()
}
