//! Subscriptions are replaced as a whole, the older of two responses is never written last, and every
//! change is kept.

use billing::ledger::{Reversal, ReversalKind};
use billing::{
    AccountId, CustomerId, InvoiceId, Item, PaidPlan, Pause, PauseBehavior, PauseReason, Period, PriceId, Status,
    Subscription, SubscriptionId, Tier, Timestamp,
};
use engine::StoreError;
use engine::store::accounts::{self, AccountFilter, PaymentFilter};
use engine::store::{Cursor, Stored, subscriptions};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{NOW, pro};

async fn stored(database: &TestDatabase, id: &str) -> Stored<Subscription> {
    subscriptions::by_id(&database.db, &SubscriptionId::new(id)).await.unwrap().expect("it was written")
}

fn reversal(invoice: &str, kind: ReversalKind) -> Reversal {
    Reversal { invoice: InvoiceId::new(invoice), created: Timestamp(7), until: Timestamp(8), kind }
}

/// Writes a subscription whose latest version was read, for `cause`.
async fn write_at(
    database: &TestDatabase,
    account: &AccountId,
    subscription: &Subscription,
    cause: &str,
    at: Timestamp,
) {
    let seen = subscriptions::by_id(&database.db, &subscription.id).await.unwrap();
    let mut tx = database.db.begin().await.unwrap();
    let written = subscriptions::write(&mut tx, account, subscription, seen.as_ref(), cause, at).await.unwrap();
    tx.commit().await.unwrap();
    assert!(written, "there is no other writer");
}

/// The subscriptions known at a time: version, status and cause of each, latest write first.
async fn known(database: &TestDatabase, account: &AccountId, at: Timestamp) -> Vec<(i64, String, String)> {
    let revisions = subscriptions::as_of(&database.db, account, at).await.unwrap();
    let summary =
        |each: subscriptions::Revision| (each.version, each.subscription.status.as_str().to_owned(), each.cause);
    revisions.into_iter().map(summary).collect()
}

on_both_databases! {
    async fn every_field_is_read_back_as_it_was_written(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let line = |n: i64, lookup_key: Option<&str>, quantity| Item {
            id: format!("si_{n}"),
            price: PriceId::new(format!("price_{n}")),
            lookup_key: lookup_key.map(str::to_owned),
            quantity,
            period: Period { start: Timestamp(n), end: Timestamp(n + 1) },
        };
        let full = Subscription {
            id: SubscriptionId::new("sub_full"),
            customer: customer.clone(),
            status: Status::Unknown("hibernating".to_owned()),
            items: vec![line(101, Some("tollgate_pro_month"), 1), line(201, None, 9_000_000_000)],
            created: Timestamp(1),
            billing_cycle_anchor: Timestamp(2),
            cancel_at_period_end: true,
            cancel_at: Some(Timestamp(3)),
            ended_at: Some(Timestamp(4)),
            trial_end: Some(Timestamp(5)),
            past_due_since: Some(Timestamp(6)),
            pause: Some(Pause { behavior: PauseBehavior::Void, resumes_at: Some(Timestamp(17)) }),
            paused: Some(PauseReason::FinalPaymentFailure),
            paid: Some(PaidPlan { tier: Tier::new("FREE"), until: Timestamp(18) }),
            reversals: vec![reversal("in_1", ReversalKind::DisputeLost), reversal("in_2", ReversalKind::Refunded)],
            last_known_tier: Some(Tier::new("PRO")),
        };
        let bare = pro("sub_bare", &customer);
        for written in [&full, &bare] {
            assert!(database.write(&account, written, None).await);
            let read = stored(&database, written.id.as_str()).await;
            assert_eq!((&read.object, read.version), (written, 1));
        }
        let newest_first = vec![bare.clone(), full.clone()];
        assert_eq!(subscriptions::of_account(&database.db, &account).await.unwrap(), newest_first);
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(subscriptions::of_account_in(&mut tx, &account).await.unwrap(), newest_first);
        drop(tx);

        // A removed value must not remain.
        let emptied = Subscription { id: full.id.clone(), ..bare };
        assert!(database.write(&account, &emptied, Some(1)).await);
        let read = stored(&database, "sub_full").await;
        assert_eq!((read.object, read.version), (emptied, 2));
    }

    async fn subscriptions_whose_payment_was_taken_back_are_counted_and_their_accounts_found(database) {
        let ada = database.account("ada@example.com").await;
        let eve = database.account("eve@example.com").await;
        let (cus_ada, cus_eve) = (database.customer(&ada, "cus_ada").await, database.customer(&eve, "cus_eve").await);
        let with = |id: &str, customer: &CustomerId, kind| {
            let subscription = pro(id, customer);
            let current = Reversal { until: subscription.period().end, ..reversal("in_1", kind) };
            Subscription { reversals: vec![current], ..subscription }
        };
        let disputed = with("sub_1", &cus_ada, ReversalKind::Disputed);
        assert!(database.write(&ada, &disputed, None).await);
        assert!(database.write(&ada, &with("sub_2", &cus_ada, ReversalKind::DisputeLost), None).await);
        assert!(database.write(&eve, &with("sub_3", &cus_eve, ReversalKind::Refunded), None).await);
        assert_eq!(subscriptions::count_disputed(&database.db).await.unwrap(), 1);
        assert_eq!(subscriptions::count_reversed(&database.db).await.unwrap(), 2);
        let found = async |text: &str, payment| {
            let filter = AccountFilter { text: text.to_owned(), payment };
            let rows = accounts::search(&database.db, &filter, &Cursor::start(), 9).await.unwrap();
            rows.into_iter().map(|row| row.email).collect::<Vec<_>>()
        };
        let (is_disputed, is_reversed) = (Some(PaymentFilter::Disputed), Some(PaymentFilter::LostOrRefunded));
        assert_eq!(found("", is_disputed).await, ["ada@example.com"]);
        assert!(found("eve", is_disputed).await.is_empty());
        assert_eq!(found("eve", is_reversed).await, ["eve@example.com"]);
        assert_eq!(found("", is_reversed).await.len(), 2);
        assert_eq!(found("eve", None).await, ["eve@example.com"]);
        let flagged = subscriptions::with_flagged_reversals(&database.db).await.unwrap();
        let ids: Vec<&str> = flagged.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["sub_1", "sub_2", "sub_3"]);

        let won = Subscription { reversals: Vec::new(), ..disputed };
        assert!(database.write(&ada, &won, Some(1)).await);
        assert_eq!(subscriptions::count_disputed(&database.db).await.unwrap(), 0);
        assert!(found("", is_disputed).await.is_empty());
        let canceled = Subscription { status: Status::Canceled, ..with("sub_3", &cus_eve, ReversalKind::Refunded) };
        assert!(database.write(&eve, &canceled, Some(1)).await);
        assert_eq!(subscriptions::count_reversed(&database.db).await.unwrap(), 1);
        assert!(found("eve", is_reversed).await.is_empty(), "it is not charged again");
    }

    async fn every_status_is_read_back(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let words = [
            "trialing",
            "active",
            "past_due",
            "unpaid",
            "paused",
            "incomplete",
            "incomplete_expired",
            "canceled",
            "new",
        ];
        for word in words {
            let subscription =
                Subscription { status: Status::from(word.to_owned()), ..pro(&format!("sub_{word}"), &customer) };
            assert!(database.write(&account, &subscription, None).await);
            assert_eq!(stored(&database, subscription.id.as_str()).await.object.status.as_str(), word);
        }
    }

    async fn a_customer_may_have_many_subscriptions(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_first", &customer) };
        assert!(database.write(&account, &canceled, None).await);
        let again = Subscription { created: NOW.plus_days(1), ..pro("sub_second", &customer) };
        assert!(database.write(&account, &again, None).await);
        assert_eq!(subscriptions::of_account(&database.db, &account).await.unwrap(), [again, canceled]);
    }

    async fn the_second_of_two_writes_that_read_the_same_version_is_rejected(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);

        let newer = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        let older = Subscription { status: Status::PastDue, ..pro("sub_1", &customer) };
        assert!(database.write(&account, &newer, Some(1)).await);
        assert!(!database.write(&account, &older, Some(1)).await, "it may hold the older response");
        assert!(!database.write(&account, &older, None).await, "it has since been created");
        let read = stored(&database, "sub_1").await;
        assert_eq!((read.object, read.version), (newer, 2));
    }

    async fn a_subscription_that_was_read_and_is_gone_is_written_again(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), Some(7)).await);
        assert_eq!(stored(&database, "sub_1").await.version, 1);
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        assert!(database.write(&account, &canceled, Some(1)).await);
        assert_eq!(known(&database, &account, NOW).await, [(2, "canceled".to_owned(), "evt_1".to_owned())]);
    }

    async fn only_one_of_many_concurrent_inserts_succeeds(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let written = concurrently(16, |_| {
            let (database, account, subscription) = (database.clone(), account.clone(), pro("sub_1", &customer));
            async move { database.write(&account, &subscription, None).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&database, "sub_1").await.version, 1);
    }

    async fn only_one_of_many_concurrent_updates_of_one_version_succeeds(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);
        let written = concurrently(16, |_| {
            let (database, account, subscription) = (database.clone(), account.clone(), pro("sub_1", &customer));
            async move { database.write(&account, &subscription, Some(1)).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&database, "sub_1").await.version, 2);
    }

    async fn the_subscriptions_known_at_any_time_can_be_read(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let first = pro("sub_1", &customer);
        let canceled = Subscription { status: Status::Canceled, ..first.clone() };
        let second = pro("sub_2", &customer);
        write_at(&database, &account, &first, "evt_1", NOW).await;
        write_at(&database, &account, &canceled, "evt_2,evt_3", NOW.plus_days(2)).await;
        write_at(&database, &account, &second, "asked", NOW.plus_days(4)).await;
        write_at(&database, &account, &first, "evt_4", NOW.plus_days(4)).await;

        let as_of = async |at| {
            let known = subscriptions::as_of(&database.db, &account, at).await.unwrap();
            known
                .into_iter()
                .map(|revision| (revision.subscription, revision.version, revision.cause))
                .collect::<Vec<_>>()
        };
        assert_eq!(as_of(NOW.plus_seconds(-1)).await, []);
        let at_first = (first.clone(), 1, "evt_1".to_owned());
        assert_eq!(as_of(NOW).await, vec![at_first.clone()]);
        assert_eq!(as_of(NOW.plus_days(2).plus_seconds(-1)).await, [at_first]);
        let over = (canceled, 2, "evt_2,evt_3".to_owned());
        assert_eq!(as_of(NOW.plus_days(2)).await, vec![over.clone()]);
        assert_eq!(as_of(NOW.plus_days(4).plus_seconds(-1)).await, [over]);
        let last = [(second, 1, "asked".to_owned()), (first, 3, "evt_4".to_owned())];
        assert_eq!(as_of(NOW.plus_days(4)).await, last);
        assert_eq!(as_of(NOW.plus_days(400)).await, last);
    }

    /// Hourly reconciliation must not fill the table.
    async fn a_write_that_changes_nothing_adds_no_revision(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let first = pro("sub_1", &customer);
        write_at(&database, &account, &first, "evt_1", NOW).await;
        for day in 1..=3 {
            write_at(&database, &account, &first, "reconcile", NOW.plus_days(day)).await;
        }
        assert_eq!(
            stored(&database, "sub_1").await.version,
            4,
            "every write counts, so that no older one succeeds after it"
        );
        let active = (1, "active".to_owned(), "evt_1".to_owned());
        assert_eq!(known(&database, &account, NOW.plus_days(9)).await, vec![active.clone()]);

        let canceled = Subscription { status: Status::Canceled, ..first };
        write_at(&database, &account, &canceled, "evt_2", NOW.plus_days(5)).await;
        assert_eq!(known(&database, &account, NOW.plus_days(4)).await, [active]);
        let over = (5, "canceled".to_owned(), "evt_2".to_owned());
        assert_eq!(known(&database, &account, NOW.plus_days(5)).await, [over]);
    }

    async fn a_change_of_any_field_adds_a_revision(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        let mut now = pro("sub_1", &customer);
        write_at(&database, &account, &now, "evt_0", NOW).await;
        let changes: [fn(&mut Subscription); 11] = [
            |each| each.status = Status::PastDue,
            |each| each.items[0].quantity = 2,
            |each| each.items[0].period.end = NOW.plus_days(62),
            |each| each.created = NOW.plus_seconds(1),
            |each| each.billing_cycle_anchor = NOW.plus_seconds(1),
            |each| each.cancel_at_period_end = true,
            |each| each.cancel_at = Some(NOW.plus_days(31)),
            |each| each.ended_at = Some(NOW.plus_days(31)),
            |each| each.trial_end = Some(NOW),
            |each| each.past_due_since = Some(NOW),
            |each| each.last_known_tier = Some(Tier::new("PRO")),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            change(&mut now);
            let cause = format!("evt_{}", n + 1);
            write_at(&database, &account, &now, &cause, NOW).await;
            let revisions = subscriptions::as_of(&database.db, &account, NOW).await.unwrap();
            let [latest] = revisions.as_slice() else { panic!("{revisions:?}") };
            assert_eq!(
                (&latest.subscription, latest.cause.as_str()),
                (&now, cause.as_str()),
                "change {n} was not kept"
            );
        }
    }

    async fn the_last_write_of_a_second_is_the_one_known_in_it(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        for (status, cause) in [(Status::Incomplete, "evt_1"), (Status::Active, "evt_2"), (Status::Canceled, "evt_3")] {
            write_at(&database, &account, &Subscription { status, ..pro("sub_1", &customer) }, cause, NOW).await;
        }
        let last = (3, "canceled".to_owned(), "evt_3".to_owned());
        assert_eq!(known(&database, &account, NOW).await, [last]);
    }

    async fn a_rejected_write_adds_no_revision(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        assert!(database.write(&account, &canceled, Some(1)).await);
        for seen in [None, Some(1), Some(7)] {
            let older = Subscription { status: Status::PastDue, ..pro("sub_1", &customer) };
            assert!(!database.write(&account, &older, seen).await, "{seen:?}");
        }
        assert_eq!(known(&database, &account, NOW).await, [(2, "canceled".to_owned(), "evt_1".to_owned())]);
    }

    async fn subscriptions_of_several_accounts_are_read_newest_first(database) {
        let mut accounts = Vec::new();
        for name in ["ada", "bob", "eve"] {
            let account = database.account(&format!("{name}@example.com")).await;
            let customer = database.customer(&account, &format!("cus_{name}")).await;
            for (n, day) in [(1, 0), (2, 1)] {
                let subscription =
                    Subscription { created: NOW.plus_days(day), ..pro(&format!("sub_{name}_{n}"), &customer) };
                assert!(database.write(&account, &subscription, None).await);
            }
            accounts.push(account);
        }
        let of = async |accounts: &[&str]| -> Vec<(AccountId, String)> {
            let found = subscriptions::of_accounts(&database.db, accounts).await.unwrap();
            found.into_iter().map(|stored| (stored.account, stored.object.id.to_string())).collect()
        };
        let [ada, _, eve] = accounts.as_slice() else { panic!("{accounts:?}") };
        let named = |account: &AccountId, id: &str| (account.clone(), id.to_owned());
        assert_eq!(
            of(&[ada.as_str(), eve.as_str(), "unknown"]).await,
            [named(eve, "sub_eve_2"), named(ada, "sub_ada_2"), named(eve, "sub_eve_1"), named(ada, "sub_ada_1")]
        );
        assert!(of(&[]).await.is_empty());
        assert!(of(&["\"", "']", "\\", "\n"]).await.is_empty(), "an id is text, whatever is in it");
    }

    async fn a_corrupt_row_does_not_hide_the_others(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        for id in ["sub_1", "sub_2", "sub_3"] {
            write_at(&database, &account, &pro(id, &customer), "evt_1", NOW).await;
        }
        database.execute("UPDATE subscription SET items = '[]x' WHERE id = 'sub_2'").await;
        let mut found = subscriptions::by_ids(&database.db, &["sub_1", "sub_2", "sub_none"]).await.unwrap();
        let one = found.remove(&SubscriptionId::new("sub_1")).unwrap().unwrap();
        assert_eq!(one, stored(&database, "sub_1").await);
        assert!(found.remove(&SubscriptionId::new("sub_2")).unwrap().is_err());
        assert!(found.is_empty(), "neither missing nor other subscriptions: {found:?}");
        assert!(subscriptions::by_ids(&database.db, &[]).await.unwrap().is_empty());
    }

    async fn a_corrupt_row_reports_its_table_key_and_column(database) {
        let account = database.account("ada@example.com").await;
        let customer = database.customer(&account, "cus_ada").await;
        assert!(database.write(&account, &pro("sub_1", &customer), None).await);
        database.execute("UPDATE subscription SET items = '[{\"id\": 7}]' WHERE id = 'sub_1'").await;
        let error = subscriptions::of_account(&database.db, &account).await.expect_err("the row is corrupt");
        let StoreError::CorruptRow { table, row, column, .. } = &error else { panic!("{error}") };
        assert_eq!((*table, row.as_str(), *column), ("subscription", "sub_1", "items"));
        assert!(error.to_string().contains("`subscription`") && error.to_string().contains("`items`"), "{error}");
        assert!(subscriptions::by_id(&database.db, &SubscriptionId::new("sub_1")).await.is_err());
    }
}
