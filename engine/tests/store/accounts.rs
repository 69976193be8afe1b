//! Creating, finding, locking and closing accounts.

use billing::email::Email;
use billing::{AccountId, Timestamp};
use engine::clock::Clock;
use engine::store::accounts::{self, AccountFilter, AccountRow};
use engine::store::{Cursor, customers};
use engine::{Billable, StoreError, accounts as acts};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{NOW, core};

async fn exists(database: &TestDatabase, account: &AccountId) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    accounts::exists(&mut tx, account).await.unwrap()
}

async fn lock(database: &TestDatabase, account: &AccountId) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    accounts::lock(&mut tx, account).await.unwrap()
}

async fn close(database: &TestDatabase, account: &AccountId) {
    let mut tx = database.db.begin().await.unwrap();
    accounts::close(&mut tx, account, NOW.plus_days(1)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn insert(database: &TestDatabase, id: &str, email: &str) -> Result<bool, StoreError> {
    let mut tx = database.db.begin().await?;
    let email = Email::parse(email).expect("the address is valid");
    let created = accounts::insert(&mut tx, &AccountId::new(id), &email, Some("Ada"), NOW).await?;
    tx.commit().await?;
    Ok(created)
}

async fn set_contact(database: &TestDatabase, account: &AccountId, email: &str, name: Option<&str>) {
    let mut tx = database.db.begin().await.unwrap();
    let email = Email::parse(email).expect("the address is valid");
    accounts::set_contact(&mut tx, account, &email, name).await.unwrap();
    tx.commit().await.unwrap();
}

async fn search(database: &TestDatabase, text: &str) -> Vec<AccountRow> {
    let filter = AccountFilter { text: text.to_owned(), payment: None };
    accounts::search(&database.db, &filter, &Cursor::start(), 100).await.unwrap()
}

/// The addresses of the accounts that a search finds.
async fn found(database: &TestDatabase, text: &str) -> Vec<String> {
    search(database, text).await.into_iter().map(|row| row.email).collect()
}

on_both_databases! {
    async fn an_account_is_read_back_as_it_was_created(database) {
        assert!(insert(&database, "ada", "Ada.Byron+shop@Example.com").await.unwrap());
        let ada = AccountId::new("ada");
        let contact = accounts::contact(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!(contact.email, "Ada.Byron+shop@Example.com", "as entered");
        assert_eq!(contact.email_canonical, "ada.byron@example.com");
        assert_eq!((contact.name.as_deref(), contact.closed_at), (Some("Ada"), None));
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(accounts::contact_in(&mut tx, &ada).await.unwrap(), Some(contact));
        drop(tx);
        assert!(exists(&database, &ada).await);
    }

    async fn an_account_that_exists_is_not_created_again(database) {
        assert!(insert(&database, "ada", "ada@example.com").await.unwrap());
        assert!(!insert(&database, "ada", "eve@example.com").await.unwrap());
        assert_eq!(found(&database, "").await, ["ada@example.com"], "nothing of the first has changed");
    }

    async fn only_one_of_twenty_concurrent_creations_succeeds(database) {
        let created = concurrently(20, |_| {
            let database = database.clone();
            async move { insert(&database, "ada", "ada@example.com").await.unwrap() }
        })
        .await;
        assert_eq!(created.iter().filter(|created| **created).count(), 1);
    }

    async fn two_accounts_may_have_one_address(database) {
        database.account("ada@example.com").await;
        database.account("ada@example.com").await;
        assert_eq!(found(&database, "ada@").await, ["ada@example.com", "ada@example.com"]);
    }

    async fn an_unknown_account_is_not_found(database) {
        let unknown = AccountId::new("unknown");
        assert!(accounts::contact(&database.db, &unknown).await.unwrap().is_none());
        assert!(accounts::by_id(&database.db, &unknown).await.unwrap().is_none());
        assert!(!exists(&database, &unknown).await);
        assert!(!lock(&database, &unknown).await);
        assert!(search(&database, "").await.is_empty());
    }

    async fn a_contact_is_replaced_as_a_whole(database) {
        assert!(insert(&database, "ada", "ada@example.com").await.unwrap());
        let ada = AccountId::new("ada");
        set_contact(&database, &ada, "Byron@Example.com", None).await;
        let contact = accounts::contact(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!((contact.email.as_str(), contact.name), ("Byron@Example.com", None));
        assert_eq!(contact.email_canonical, "byron@example.com");
        assert_eq!(found(&database, "byron").await, ["Byron@Example.com"]);
        assert!(found(&database, "ada@").await.is_empty(), "the old address is no longer found");
    }

    async fn ensuring_an_account_creates_it_and_keeps_its_contact_up_to_date(database) {
        let core = database.core(&Clock::manual(NOW));
        let contact =
            async || accounts::contact(&database.db, &AccountId::new("ada")).await.unwrap().expect("it exists");
        acts::ensure(&core, &Billable::new("ada", "ada@example.com")).await.unwrap();
        assert_eq!(contact().await.email, "ada@example.com");
        let renamed = Billable { name: Some("Ada".to_owned()), ..Billable::new("ada", "byron@example.com") };
        acts::ensure(&core, &renamed).await.unwrap();
        assert_eq!(
            (contact().await.email.as_str(), contact().await.name.as_deref()),
            ("byron@example.com", Some("Ada"))
        );
        assert!(acts::ensure(&core, &Billable::new("ada", "no address")).await.is_err());
        assert_eq!(contact().await.email, "byron@example.com");
    }

    /// An address that differs only in surrounding spaces must not be written with every request.
    async fn ensuring_an_account_that_is_up_to_date_writes_nothing(database) {
        let core = database.core(&Clock::manual(NOW));
        acts::ensure(&core, &Billable::new("ada", " ada@example.com ")).await.unwrap();
        let mut tx = database.db.begin().await.unwrap();
        assert!(accounts::lock(&mut tx, &AccountId::new("ada")).await.unwrap());
        // A write would wait for this transaction, and on SQLite fail.
        let again = tokio::spawn(async move { acts::ensure(&core, &Billable::new("ada", " ada@example.com ")).await });
        database.until_waiting(&again).await;
        assert!(again.is_finished() || !database.db.is_shared());
        again.await.unwrap().unwrap();
        drop(tx);
    }

    async fn a_closed_account_is_not_opened_again(database) {
        let core = database.core(&Clock::manual(NOW));
        acts::ensure(&core, &Billable::new("ada", "ada@example.com")).await.unwrap();
        let ada = AccountId::new("ada");
        close(&database, &ada).await;
        core.cache().invalidation().invalidate(ada.as_str());
        acts::ensure(&core, &Billable::new("ada", "byron@example.com")).await.unwrap();
        set_contact(&database, &ada, "byron@example.com", Some("Ada")).await;
        let contact = accounts::contact(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!((contact.email.as_str(), contact.name), ("closed", None));
    }

    async fn nodes_that_ensure_an_account_concurrently_create_it_once(database) {
        let other = database.another_node().await;
        let clock = Clock::manual(NOW);
        let nodes = [database.core(&clock), core(other.clone(), &clock)];
        let ensured = concurrently(20, |n| {
            let core = nodes[n % 2].clone();
            async move { acts::ensure(&core, &Billable::new("ada", "ada@example.com")).await }
        })
        .await;
        assert!(ensured.iter().all(Result::is_ok), "{ensured:?}");
        assert_eq!(found(&database, "").await, ["ada@example.com"]);
        other.close().await;
    }

    async fn an_account_is_listed_with_its_customer(database) {
        let ada = database.account("Ada@Example.com").await;
        database.customer(&ada, "cus_ada").await;
        let rows = search(&database, "").await;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.id.as_str(), row.email.as_str()), (ada.as_str(), "Ada@Example.com"));
        assert_eq!((row.customer_id.as_deref(), row.created_at, row.closed_at), (Some("cus_ada"), NOW.0, None));
        let same = accounts::by_id(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!(
            (same.id, same.email, same.customer_id),
            (row.id.clone(), row.email.clone(), row.customer_id.clone())
        );
    }

    async fn accounts_are_found_by_the_beginning_of_the_address_in_any_case(database) {
        database.account("Ada.Byron@Example.com").await;
        database.account("adam@other.org").await;
        for text in ["ada.", "ADA.B", "ada.byron@example.com", "  Ada.Byron "] {
            assert_eq!(found(&database, text).await, ["Ada.Byron@Example.com"], "{text}");
        }
        assert_eq!(found(&database, "ada").await, ["Ada.Byron@Example.com", "adam@other.org"], "by address");
        assert!(found(&database, "byron").await.is_empty());
    }

    async fn accounts_found_by_address_are_listed_in_pages(database) {
        for n in 0..9 {
            database.account(&format!("user{n}@example.com")).await;
        }
        database.account("other@example.com").await;
        let filter = AccountFilter { text: "User".to_owned(), payment: None };
        let (mut after, mut listed) = (Cursor::start(), Vec::new());
        loop {
            let page = accounts::search(&database.db, &filter, &after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = accounts::cursor(&filter, last);
            listed.extend(page.into_iter().map(|row| row.email));
        }
        assert_eq!(listed, (0..9).map(|n| format!("user{n}@example.com")).collect::<Vec<_>>());
    }

    async fn accounts_are_found_by_letters_beyond_ascii_in_any_case(database) {
        database.account("Örjan@Example.com").await;
        let zoe = database.account("zoe@example.com").await;
        set_contact(&database, &zoe, "ЗОЯ@example.com", None).await;
        for text in ["örjan", "ÖRJAN", "Ö"] {
            assert_eq!(found(&database, text).await, ["Örjan@Example.com"], "{text}");
        }
        for text in ["зоя", "Зоя", "ЗОЯ"] {
            assert_eq!(found(&database, text).await, ["ЗОЯ@example.com"], "{text}");
        }
    }

    async fn accounts_are_found_by_their_id_and_by_their_customer(database) {
        let ada = database.account("ada@example.com").await;
        database.account("eve@example.com").await;
        database.customer(&ada, "cus_Ada").await;
        assert_eq!(found(&database, ada.as_str()).await, ["ada@example.com"]);
        assert_eq!(found(&database, "cus_Ada").await, ["ada@example.com"]);
        assert!(found(&database, "cus_").await.is_empty(), "only a whole id is found");
        assert!(found(&database, "cus_ada").await.is_empty(), "and only in its own case");
    }

    async fn an_sql_wildcard_is_literal_in_a_search(database) {
        let odd = ["100%sure@example.com", "a_da@example.com", "wow!@example.com", "plain@example.com"];
        for email in odd {
            database.account(email).await;
        }
        for (text, email) in
            [("100%", odd[0]), ("100%s", odd[0]), ("a_", odd[1]), ("a_d", odd[1]), ("wow!", odd[2]), ("wow!@", odd[2])]
        {
            assert_eq!(found(&database, text).await, [email], "{text}");
        }
        for text in ["%", "_", "p_ain", "p%n", "!%", "!!", "'", "\\", "' OR '1'='1"] {
            assert!(found(&database, text).await.is_empty(), "{text}");
        }
    }

    async fn accounts_are_listed_newest_first_in_pages(database) {
        let mut all = Vec::new();
        // Three of them are created in each second.
        for n in 0..9 {
            let at = NOW.plus_seconds(n / 3);
            let account = database.account_at(&format!("user{n}@example.com"), at).await;
            all.push((at.0, account.to_string()));
        }
        all.sort();
        all.reverse();

        for size in [1, 2, 4, 9, 50] {
            let mut after = Cursor::start();
            let mut seen = Vec::new();
            loop {
                let page = accounts::search(&database.db, &AccountFilter::default(), &after, size).await.unwrap();
                assert!(i64::try_from(page.len()).unwrap() <= size);
                let Some(last) = page.last() else { break };
                after = Cursor { at: Timestamp(last.created_at), key: last.id.clone() };
                seen.extend(page.into_iter().map(|row| (row.created_at, row.id)));
            }
            assert_eq!(seen, all, "in pages of {size}");
        }
    }

    /// Everyone may use an address that contains another account's id.
    async fn an_account_is_read_by_its_id_even_if_other_addresses_contain_it(database) {
        let ada = database.account("ada@example.com").await;
        for n in 0..3 {
            database.account_at(&format!("{ada}-{n}@example.com"), NOW.plus_days(1)).await;
        }
        let row = accounts::by_id(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!((row.id.as_str(), row.email.as_str()), (ada.as_str(), "ada@example.com"));
    }

    async fn a_closed_account_keeps_its_ledger_and_loses_its_contact(database) {
        let ada = database.account("ada@example.com").await;
        let customer = database.customer(&ada, "cus_ada").await;
        let eve = database.account("eve@example.com").await;
        database.customer(&eve, "cus_eve").await;
        let closed =
            async || customers::of_closed_accounts(&database.db, &["cus_ada", "cus_eve", "cus_none"]).await.unwrap();
        assert!(closed().await.is_empty());
        close(&database, &ada).await;
        assert_eq!(closed().await.into_iter().collect::<Vec<_>>(), [(customer.clone(), ada.clone())]);
        assert!(exists(&database, &ada).await);
        let mut tx = database.db.begin().await.unwrap();
        assert_eq!(customers::account_of(&mut tx, &customer).await.unwrap(), Some(ada.clone()));
        drop(tx);
        let row = accounts::by_id(&database.db, &ada).await.unwrap().expect("operators still see it");
        assert_eq!((row.email.as_str(), row.closed_at), ("closed", Some(NOW.plus_days(1).0)));
        assert_eq!(row.customer_id.as_deref(), Some("cus_ada"));
        let contact = accounts::contact(&database.db, &ada).await.unwrap().expect("it exists");
        assert_eq!((contact.email_canonical.as_str(), contact.name), ("closed", None));
        assert!(found(&database, "ada@").await.is_empty());
    }

    async fn a_closed_account_cannot_be_locked(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        assert!(lock(&database, &ada).await);
        close(&database, &ada).await;
        assert!(!lock(&database, &ada).await);
        assert!(lock(&database, &eve).await, "other accounts can");
    }

    /// A purchase that starts at that moment fails before anything is bought.
    async fn locking_an_account_that_is_being_closed_waits_and_finds_it_closed(database) {
        let ada = database.account("ada@example.com").await;
        let mut tx = database.db.begin().await.unwrap();
        assert!(accounts::lock(&mut tx, &ada).await.unwrap());
        let buying = tokio::spawn({
            let (database, ada) = (database.clone(), ada.clone());
            async move { lock(&database, &ada).await }
        });
        database.until_waiting(&buying).await;
        accounts::close(&mut tx, &ada, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!buying.await.unwrap());
    }

    async fn billing_changes_are_numbered_per_account_without_gaps(database) {
        let (ada, eve) = (database.account("ada@example.com").await, database.account("eve@example.com").await);
        let next = async |account: &AccountId, is_kept: bool| {
            let mut tx = database.db.begin().await.unwrap();
            let number = accounts::next_change(&mut tx, account).await.unwrap();
            if is_kept {
                tx.commit().await.unwrap();
            }
            number
        };
        assert_eq!((next(&ada, true).await, next(&ada, false).await, next(&ada, true).await), (1, 2, 2));
        assert_eq!(next(&eve, true).await, 1);
    }
}
