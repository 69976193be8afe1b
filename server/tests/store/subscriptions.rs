//! Subscriptions are written whole, by one writer at a time, and every change is kept; trials are
//! once per person.

use billing::{
    AccountId, Item, Pause, PauseBehavior, Period, PriceId, Status, Subscription, SubscriptionId, Tier, Timestamp,
};
use server::StoreError;
use server::store::Stored;
use server::store::subscriptions::{self, TrialClaim};

use crate::engines::{NOW, Store, at_once, pro};

async fn stored(store: &Store, id: &str) -> Stored<Subscription> {
    subscriptions::by_id(&store.db, &SubscriptionId::new(id)).await.unwrap().expect("it was written")
}

/// Writes a subscription as one who has seen what is there, because of `cause`.
async fn write_at(store: &Store, account: &AccountId, subscription: &Subscription, cause: &str, at: Timestamp) {
    let seen = subscriptions::by_id(&store.db, &subscription.id).await.unwrap();
    let mut tx = store.db.begin().await.unwrap();
    let written = subscriptions::write(&mut tx, account, subscription, seen.as_ref(), cause, at).await.unwrap();
    tx.commit().await.unwrap();
    assert!(written, "nobody else writes");
}

/// What was known at a time: version, status and cause of each, latest write first.
async fn known(store: &Store, account: &AccountId, at: Timestamp) -> Vec<(i64, String, String)> {
    let revisions = subscriptions::as_of(&store.db, account, at).await.unwrap();
    let told = |each: subscriptions::Revision| (each.version, each.subscription.status.as_str().to_owned(), each.cause);
    revisions.into_iter().map(told).collect()
}

async fn claim(store: &Store, claims: &[TrialClaim], subscription: &str) {
    let mut tx = store.db.begin().await.unwrap();
    subscriptions::claim_trial(&mut tx, claims, &SubscriptionId::new(subscription), NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn holder(store: &Store, claim: &TrialClaim) -> Option<String> {
    let mut tx = store.db.begin().await.unwrap();
    subscriptions::trial_holder(&mut tx, claim).await.unwrap().map(|id| id.to_string())
}

fn email(canonical: &str) -> TrialClaim {
    TrialClaim::Email(canonical.to_owned())
}

fn card(fingerprint: &str) -> TrialClaim {
    TrialClaim::Card(fingerprint.to_owned())
}

on_both_engines! {
    async fn every_field_comes_back_as_it_was_written(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
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
            last_known_tier: Some(Tier::new("PRO")),
        };
        let bare = pro("sub_bare", &customer);
        for written in [&full, &bare] {
            assert!(store.write(&account, written, None).await);
            let read = stored(&store, written.id.as_str()).await;
            assert_eq!((&read.object, read.version), (written, 1));
        }
        let newest_first = vec![bare.clone(), full.clone()];
        assert_eq!(subscriptions::of_account(&store.db, &account).await.unwrap(), newest_first);
        let mut tx = store.db.begin().await.unwrap();
        assert_eq!(subscriptions::of_account_in(&mut tx, &account).await.unwrap(), newest_first);
        drop(tx);

        // What was there and is not any more must not stay behind.
        let emptied = Subscription { id: full.id.clone(), ..bare };
        assert!(store.write(&account, &emptied, Some(1)).await);
        let read = stored(&store, "sub_full").await;
        assert_eq!((read.object, read.version), (emptied, 2));
    }

    async fn every_status_comes_back(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let words =
            ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled", "new"];
        for word in words {
            let subscription = Subscription { status: Status::from(word.to_owned()), ..pro(&format!("sub_{word}"), &customer) };
            assert!(store.write(&account, &subscription, None).await);
            assert_eq!(stored(&store, subscription.id.as_str()).await.object.status.as_str(), word);
        }
    }

    async fn a_customer_may_have_many_subscriptions(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_first", &customer) };
        assert!(store.write(&account, &canceled, None).await);
        let again = Subscription { created: NOW.plus_days(1), ..pro("sub_second", &customer) };
        assert!(store.write(&account, &again, None).await);
        assert_eq!(subscriptions::of_account(&store.db, &account).await.unwrap(), [again, canceled]);
    }

    async fn the_second_of_two_who_saw_the_same_version_is_refused(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);

        let newer = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        let older = Subscription { status: Status::PastDue, ..pro("sub_1", &customer) };
        assert!(store.write(&account, &newer, Some(1)).await);
        assert!(!store.write(&account, &older, Some(1)).await, "it may hold the older answer");
        assert!(!store.write(&account, &older, None).await, "there is a row by now");
        let read = stored(&store, "sub_1").await;
        assert_eq!((read.object, read.version), (newer, 2));
    }

    async fn nothing_is_updated_that_is_not_there(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(!store.write(&account, &pro("sub_1", &customer), Some(1)).await);
        assert!(subscriptions::by_id(&store.db, &SubscriptionId::new("sub_1")).await.unwrap().is_none());
    }

    async fn of_many_who_insert_at_once_one_wins(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let written = at_once(16, |_| {
            let (store, account, subscription) = (store.clone(), account.clone(), pro("sub_1", &customer));
            async move { store.write(&account, &subscription, None).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&store, "sub_1").await.version, 1);
    }

    async fn of_many_who_update_one_version_at_once_one_wins(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        let written = at_once(16, |_| {
            let (store, account, subscription) = (store.clone(), account.clone(), pro("sub_1", &customer));
            async move { store.write(&account, &subscription, Some(1)).await }
        })
        .await;
        assert_eq!(written.iter().filter(|written| **written).count(), 1);
        assert_eq!(stored(&store, "sub_1").await.version, 2);
    }

    async fn what_was_known_at_any_time_can_be_told(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let first = pro("sub_1", &customer);
        let canceled = Subscription { status: Status::Canceled, ..first.clone() };
        let second = pro("sub_2", &customer);
        write_at(&store, &account, &first, "evt_1", NOW).await;
        write_at(&store, &account, &canceled, "evt_2,evt_3", NOW.plus_days(2)).await;
        write_at(&store, &account, &second, "asked", NOW.plus_days(4)).await;
        write_at(&store, &account, &first, "evt_4", NOW.plus_days(4)).await;

        let as_of = async |at| {
            let known = subscriptions::as_of(&store.db, &account, at).await.unwrap();
            known.into_iter().map(|revision| (revision.subscription, revision.version, revision.cause)).collect::<Vec<_>>()
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

    /// An hourly comparison with Stripe must not fill the record with what has not changed.
    async fn only_what_has_changed_is_a_revision(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let first = pro("sub_1", &customer);
        write_at(&store, &account, &first, "evt_1", NOW).await;
        for day in 1..=3 {
            write_at(&store, &account, &first, "reconcile", NOW.plus_days(day)).await;
        }
        assert_eq!(stored(&store, "sub_1").await.version, 4, "every write counts, so that no older one comes after it");
        let active = (1, "active".to_owned(), "evt_1".to_owned());
        assert_eq!(known(&store, &account, NOW.plus_days(9)).await, vec![active.clone()]);

        let canceled = Subscription { status: Status::Canceled, ..first };
        write_at(&store, &account, &canceled, "evt_2", NOW.plus_days(5)).await;
        assert_eq!(known(&store, &account, NOW.plus_days(4)).await, [active]);
        let over = (5, "canceled".to_owned(), "evt_2".to_owned());
        assert_eq!(known(&store, &account, NOW.plus_days(5)).await, [over]);
    }

    async fn every_field_is_worth_a_revision(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        let mut now = pro("sub_1", &customer);
        write_at(&store, &account, &now, "evt_0", NOW).await;
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
            write_at(&store, &account, &now, &cause, NOW).await;
            let revisions = subscriptions::as_of(&store.db, &account, NOW).await.unwrap();
            let [latest] = revisions.as_slice() else { panic!("{revisions:?}") };
            assert_eq!((&latest.subscription, latest.cause.as_str()), (&now, cause.as_str()), "change {n} was not kept");
        }
    }

    /// Of two writes in one second the later one is what was known then.
    async fn the_last_write_of_a_second_is_what_was_known_in_it(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        for (status, cause) in [(Status::Incomplete, "evt_1"), (Status::Active, "evt_2"), (Status::Canceled, "evt_3")] {
            write_at(&store, &account, &Subscription { status, ..pro("sub_1", &customer) }, cause, NOW).await;
        }
        let last = (3, "canceled".to_owned(), "evt_3".to_owned());
        assert_eq!(known(&store, &account, NOW).await, [last]);
    }

    async fn a_write_that_comes_too_late_is_no_revision(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        let canceled = Subscription { status: Status::Canceled, ..pro("sub_1", &customer) };
        assert!(store.write(&account, &canceled, Some(1)).await);
        for seen in [None, Some(1), Some(7)] {
            let older = Subscription { status: Status::PastDue, ..pro("sub_1", &customer) };
            assert!(!store.write(&account, &older, seen).await, "{seen:?}");
        }
        assert_eq!(known(&store, &account, NOW).await, [(2, "canceled".to_owned(), "evt_1".to_owned())]);
    }

    async fn subscriptions_of_some_accounts_are_theirs_and_newest_first(store) {
        let mut accounts = Vec::new();
        for name in ["ada", "bob", "eve"] {
            let account = store.account(&format!("{name}@example.com")).await;
            let customer = store.customer(&account, &format!("cus_{name}")).await;
            for (n, day) in [(1, 0), (2, 1)] {
                let subscription = Subscription { created: NOW.plus_days(day), ..pro(&format!("sub_{name}_{n}"), &customer) };
                assert!(store.write(&account, &subscription, None).await);
            }
            accounts.push(account);
        }
        let of = async |accounts: &[&str]| -> Vec<(AccountId, String)> {
            let found = subscriptions::of_accounts(&store.db, accounts).await.unwrap();
            found.into_iter().map(|stored| (stored.account, stored.object.id.to_string())).collect()
        };
        let [ada, _, eve] = accounts.as_slice() else { panic!("{accounts:?}") };
        let named = |account: &AccountId, id: &str| (account.clone(), id.to_owned());
        assert_eq!(
            of(&[ada.as_str(), eve.as_str(), "nobody"]).await,
            [named(eve, "sub_eve_2"), named(ada, "sub_ada_2"), named(eve, "sub_eve_1"), named(ada, "sub_ada_1")]
        );
        assert!(of(&[]).await.is_empty());
        assert!(of(&["\"", "']", "\\", "\n"]).await.is_empty(), "an id is text, whatever is in it");
    }

    async fn of_many_a_broken_row_hides_no_other(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        for id in ["sub_1", "sub_2", "sub_3"] {
            write_at(&store, &account, &pro(id, &customer), "evt_1", NOW).await;
        }
        store.raw("UPDATE subscription SET items = '[]x' WHERE id = 'sub_2'").await;
        let mut found = subscriptions::by_ids(&store.db, &["sub_1", "sub_2", "sub_none"]).await.unwrap();
        let one = found.remove(&SubscriptionId::new("sub_1")).unwrap().unwrap();
        assert_eq!(one, stored(&store, "sub_1").await);
        assert!(found.remove(&SubscriptionId::new("sub_2")).unwrap().is_err());
        assert!(found.is_empty(), "neither what is not there nor what was not asked for: {found:?}");
        assert!(subscriptions::by_ids(&store.db, &[]).await.unwrap().is_empty());
    }

    async fn a_broken_row_says_where_it_is(store) {
        let account = store.account("ada@example.com").await;
        let customer = store.customer(&account, "cus_ada").await;
        assert!(store.write(&account, &pro("sub_1", &customer), None).await);
        store.raw("UPDATE subscription SET items = '[{\"id\": 7}]' WHERE id = 'sub_1'").await;
        let error = subscriptions::of_account(&store.db, &account).await.expect_err("the row is broken");
        let StoreError::BadRow { table, row, column, .. } = &error else { panic!("{error}") };
        assert_eq!((*table, row.as_str(), *column), ("subscription", "sub_1", "items"));
        assert!(error.to_string().contains("`subscription`") && error.to_string().contains("`items`"), "{error}");
        assert!(subscriptions::by_id(&store.db, &SubscriptionId::new("sub_1")).await.is_err());
    }

    async fn a_trial_is_once_per_account_and_once_per_person(store) {
        let (ada, alias, eve) = (
            store.account("ada@example.com").await,
            store.account("ada+again@example.com").await,
            store.account("eve@example.com").await,
        );
        let claimed = async |account, email| subscriptions::trial_claimed(&store.db, account, email).await.unwrap();
        assert!(!claimed(&ada, "ada@example.com").await);

        for _ in 0..2 {
            claim(&store, &[TrialClaim::Account(ada.clone()), email("ada@example.com")], "sub_1").await;
        }
        assert!(claimed(&ada, "ada@example.com").await);
        assert!(claimed(&ada, "new-address@example.com").await, "the account has had its trial");
        assert!(claimed(&alias, "ada@example.com").await, "the person has had their trial");
        assert!(!claimed(&eve, "eve@example.com").await);
    }

    async fn a_trial_stays_whose_it_was_first(store) {
        let account = TrialClaim::Account(AccountId::new("ada"));
        assert_eq!(holder(&store, &account).await, None);
        claim(&store, &[account.clone(), email("ada@example.com")], "sub_first").await;
        claim(&store, &[account.clone(), card("fp_1"), email("other@example.com")], "sub_second").await;
        for (claim, subscription) in [
            (account, Some("sub_first")),
            (email("ada@example.com"), Some("sub_first")),
            (card("fp_1"), Some("sub_second")),
            (email("other@example.com"), Some("sub_second")),
            (card("fp_2"), None),
        ] {
            assert_eq!(holder(&store, &claim).await.as_deref(), subscription, "{claim:?}");
        }
    }

    /// Two Checkouts with one card, paid in the same moment.
    async fn of_many_who_claim_one_trial_at_once_all_see_one_holder(store) {
        let holders = at_once(12, |n| {
            let store = store.clone();
            async move {
                let mut tx = store.db.begin().await.unwrap();
                let subscription = SubscriptionId::new(format!("sub_{n}"));
                subscriptions::claim_trial(&mut tx, &[card("fp_1")], &subscription, NOW).await.unwrap();
                let holder = subscriptions::trial_holder(&mut tx, &card("fp_1")).await.unwrap();
                tx.commit().await.unwrap();
                (subscription, holder.expect("it is claimed"))
            }
        })
        .await;
        let first = &holders[0].1;
        assert!(holders.iter().all(|(_, holder)| holder == first), "{holders:?}");
        assert_eq!(holders.iter().filter(|(own, holder)| own == holder).count(), 1);
    }

    /// An account id that reads like an address, or a card like an account, claims nothing of the other kind.
    async fn claims_of_accounts_addresses_and_cards_do_not_mix(store) {
        let odd = AccountId::new("ada@example.com");
        claim(&store, &[TrialClaim::Account(odd.clone())], "sub_1").await;
        let other = AccountId::new("other");
        assert!(!subscriptions::trial_claimed(&store.db, &other, "ada@example.com").await.unwrap());
        assert_eq!(holder(&store, &card("ada@example.com")).await, None);
        claim(&store, &[card("other")], "sub_2").await;
        assert!(!subscriptions::trial_claimed(&store.db, &other, "other").await.unwrap());
        assert!(subscriptions::trial_claimed(&store.db, &odd, "").await.unwrap());
    }
}
