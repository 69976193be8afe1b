//! Who can sign in, for which account, and as what; finding accounts, and closing them.

use billing::email::Email;
use billing::{AccountId, Timestamp, UserId};
use secrecy::ExposeSecret;
use server::ids;
use server::store::accounts::{self, AccountRow, NewUser, Role};
use server::store::{After, customers};

use crate::engines::{NOW, Store, at_once};

/// Tries to add a user at a time; their account, if the address was free.
async fn sign_up_at(store: &Store, email: &str, at: Timestamp) -> Option<AccountId> {
    let (user, account) = (UserId::new(ids::new_id()), AccountId::new(ids::new_id()));
    let email = Email::parse(email).unwrap();
    let new = NewUser { id: &user, account_id: &account, email: &email, password_hash: "hash", at };
    let mut tx = store.db.begin().await.unwrap();
    let added = accounts::insert_user(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    added.then_some(account)
}

/// Tries to add a user; whether the address was free.
async fn sign_up(store: &Store, email: &str) -> bool {
    sign_up_at(store, email, NOW).await.is_some()
}

async fn exists(store: &Store, account: &AccountId) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    accounts::exists(&mut tx, account).await.unwrap()
}

async fn lock(store: &Store, account: &AccountId) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    accounts::lock_account(&mut tx, account).await.unwrap()
}

async fn close(store: &Store, account: &AccountId) {
    let mut tx = store.db.begin().await.unwrap();
    accounts::close(&mut tx, account, NOW.plus_days(1)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn set_role(store: &Store, login_key: &str, role: Role) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let changed = accounts::set_role(&mut tx, login_key, role).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

/// Makes the owner of `user_of` belong to another account too.
async fn join(store: &Store, user_of: &AccountId, account: &AccountId, role: &str) {
    store
        .raw(&format!(
            "INSERT INTO membership (account_id, user_id, role) \
             SELECT '{account}', user_id, '{role}' FROM membership WHERE account_id = '{user_of}'"
        ))
        .await;
}

async fn search(store: &Store, text: &str) -> Vec<AccountRow> {
    accounts::search(&store.db, text, &After::start(), 100).await.unwrap()
}

/// The addresses of those who are found.
async fn found(store: &Store, text: &str) -> Vec<String> {
    search(store, text).await.into_iter().map(|row| row.email).collect()
}

on_both_engines! {
    async fn a_new_user_owns_a_personal_account(store) {
        let account = store.account("Ada.Byron+shop@Example.com").await;
        let user = accounts::user_by_login(&store.db, "ada.byron+shop@example.com").await.unwrap().expect("she is there");
        assert_eq!(user.account_id, account);
        assert_eq!(user.email, "Ada.Byron+shop@Example.com", "as it was typed");
        assert_eq!(user.email_canonical, "ada.byron@example.com");
        assert_eq!(user.password_hash.expose_secret(), "$argon2id$…");
        assert_eq!(user.role, Role::Customer);
        assert!(!format!("{user:?}").contains("argon2id"), "the hash prints");

        let again = accounts::user_by_id(&store.db, &user.id).await.unwrap().expect("she is there");
        assert_eq!((again.id, again.account_id), (user.id, account.clone()));
        assert!(exists(&store, &account).await);
        let owner = accounts::canonical_email_of(&store.db, &account).await.unwrap();
        assert_eq!(owner.as_deref(), Some("ada.byron@example.com"));
    }

    async fn an_address_is_taken_in_any_case(store) {
        let first = store.account("ada@example.com").await;
        assert!(!sign_up(&store, "ADA@Example.COM").await);
        assert!(!sign_up(&store, " ada@example.com ").await);
        let user = accounts::user_by_login(&store.db, "ada@example.com").await.unwrap().unwrap();
        assert_eq!(user.account_id, first, "nothing of the first has changed");
    }

    /// Trials are counted by the canonical address, logins are not: an alias is a user of its own.
    async fn an_alias_is_another_user(store) {
        store.account("ada@example.com").await;
        assert!(sign_up(&store, "ada+work@example.com").await);
    }

    async fn of_twenty_who_sign_up_with_one_address_at_once_one_does(store) {
        let added = at_once(20, |_| {
            let store = store.clone();
            async move { sign_up(&store, "ada@example.com").await }
        })
        .await;
        assert_eq!(added.iter().filter(|added| **added).count(), 1);
    }

    async fn nobody_is_found_where_nobody_is(store) {
        let nobody = AccountId::new("nobody");
        assert!(accounts::user_by_login(&store.db, "ada@example.com").await.unwrap().is_none());
        assert!(accounts::user_by_id(&store.db, &UserId::new("nobody")).await.unwrap().is_none());
        assert!(accounts::canonical_email_of(&store.db, &nobody).await.unwrap().is_none());
        assert!(accounts::row(&store.db, &nobody).await.unwrap().is_none());
        assert!(!exists(&store, &nobody).await);
        assert!(!lock(&store, &nobody).await);
        assert!(search(&store, "").await.is_empty());
    }

    /// Trials are counted by whoever opened the account.
    async fn the_first_owner_speaks_for_an_account(store) {
        let ada = sign_up_at(&store, "ada@example.com", NOW.plus_days(1)).await.unwrap();
        let eve = sign_up_at(&store, "eve@example.com", NOW).await.unwrap();
        let bob = sign_up_at(&store, "bob@example.com", NOW.plus_days(2)).await.unwrap();
        join(&store, &bob, &ada, "owner").await;
        join(&store, &eve, &ada, "member").await;
        let owner = accounts::canonical_email_of(&store.db, &ada).await.unwrap();
        assert_eq!(owner.as_deref(), Some("ada@example.com"), "neither a later owner nor an older member");
        let mut tx = store.db.begin().await.unwrap();
        assert_eq!(accounts::owner_canonical_email(&mut tx, &ada).await.unwrap(), owner);
    }

    async fn an_operator_is_made_and_unmade(store) {
        for email in ["Zoe@example.com", "Ada@example.com", "eve@example.com"] {
            store.account(email).await;
        }
        assert!(accounts::operators(&store.db).await.unwrap().is_empty());
        assert!(set_role(&store, "zoe@example.com", Role::Operator).await);
        assert!(set_role(&store, "ada@example.com", Role::Operator).await);
        assert!(!set_role(&store, "nobody@example.com", Role::Operator).await);
        assert_eq!(accounts::operators(&store.db).await.unwrap(), ["Ada@example.com", "Zoe@example.com"]);
        let role = async |login_key| accounts::user_by_login(&store.db, login_key).await.unwrap().unwrap().role;
        assert_eq!(role("ada@example.com").await, Role::Operator);
        assert_eq!(role("eve@example.com").await, Role::Customer);

        assert!(set_role(&store, "ada@example.com", Role::Customer).await);
        assert_eq!(role("ada@example.com").await, Role::Customer);
        assert_eq!(accounts::operators(&store.db).await.unwrap(), ["Zoe@example.com"]);
    }

    async fn an_account_is_listed_with_its_owner_and_its_customer(store) {
        let ada = store.account("Ada@Example.com").await;
        store.customer(&ada, "cus_ada").await;
        let rows = search(&store, "").await;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.id.as_str(), row.email.as_str()), (ada.as_str(), "Ada@Example.com"));
        assert_eq!((row.customer_id.as_deref(), row.created_at, row.closed_at), (Some("cus_ada"), NOW.0, None));
        let same = accounts::row(&store.db, &ada).await.unwrap().expect("it is there");
        assert_eq!((same.id, same.email, same.customer_id), (row.id.clone(), row.email.clone(), row.customer_id.clone()));
    }

    async fn an_account_with_many_owners_and_members_is_one_row(store) {
        let ada = store.account("ada@example.com").await;
        for email in ["bob@example.com", "eve@example.com"] {
            let other = store.account(email).await;
            join(&store, &other, &ada, if email.starts_with("bob") { "owner" } else { "member" }).await;
        }
        let rows = search(&store, "").await;
        assert_eq!(rows.iter().filter(|row| row.id == ada.as_str()).count(), 1);
        assert_eq!(rows.len(), 3);
        let of_bob: Vec<String> = search(&store, "bob@").await.into_iter().map(|row| row.id).collect();
        assert!(of_bob.contains(&ada.to_string()), "an owner finds every account of theirs: {of_bob:?}");
        assert!(!search(&store, "eve@").await.iter().any(|row| row.id == ada.as_str()), "a member owns nothing");
    }

    async fn accounts_are_found_by_a_part_of_the_address_in_any_case(store) {
        store.account("Ada.Byron@Example.com").await;
        store.account("eve@other.org").await;
        for text in ["byron", "BYRON", "ada.byron@example.com", "  Byron ", "@example", "com"] {
            assert_eq!(found(&store, text).await, ["Ada.Byron@Example.com"], "{text}");
        }
        assert_eq!(found(&store, "e").await.len(), 2);
        assert!(found(&store, "nobody").await.is_empty());
    }

    async fn accounts_are_found_by_letters_beyond_ascii_in_any_case(store) {
        store.account("Örjan@Example.com").await;
        for text in ["örjan", "ÖRJAN", "Ö"] {
            assert_eq!(found(&store, text).await, ["Örjan@Example.com"], "{text}");
        }
    }

    async fn accounts_are_found_by_their_id_and_by_their_customer(store) {
        let ada = store.account("ada@example.com").await;
        store.account("eve@example.com").await;
        store.customer(&ada, "cus_Ada").await;
        assert_eq!(found(&store, ada.as_str()).await, ["ada@example.com"]);
        assert_eq!(found(&store, "cus_Ada").await, ["ada@example.com"]);
        assert!(found(&store, "cus_").await.is_empty(), "an id is found whole");
        assert!(found(&store, "cus_ada").await.is_empty(), "and as it is written");
    }

    async fn what_is_a_wildcard_elsewhere_means_itself_in_a_search(store) {
        let odd = ["100%sure@example.com", "a_da@example.com", "wow!@example.com", "plain@example.com"];
        for email in odd {
            store.account(email).await;
        }
        for (text, email) in [("%", odd[0]), ("0%s", odd[0]), ("_", odd[1]), ("a_d", odd[1]), ("!", odd[2]), ("w!@", odd[2])] {
            assert_eq!(found(&store, text).await, [email], "{text}");
        }
        for text in ["%%", "p_ain", "p%n", "!%", "!!", "'", "\\", "' OR '1'='1"] {
            assert!(found(&store, text).await.is_empty(), "{text}");
        }
    }

    async fn accounts_are_listed_newest_first_a_page_at_a_time(store) {
        let mut all = Vec::new();
        // Three each of which were opened in the same second.
        for n in 0..9 {
            let at = NOW.plus_seconds(n / 3);
            let account = sign_up_at(&store, &format!("user{n}@example.com"), at).await.unwrap();
            all.push((at.0, account.to_string()));
        }
        all.sort();
        all.reverse();

        for size in [1, 2, 4, 9, 50] {
            let mut after = After::start();
            let mut seen = Vec::new();
            loop {
                let page = accounts::search(&store.db, "", &after, size).await.unwrap();
                assert!(i64::try_from(page.len()).unwrap() <= size);
                let Some(last) = page.last() else { break };
                after = After { at: Timestamp(last.created_at), key: last.id.clone() };
                seen.extend(page.into_iter().map(|row| (row.created_at, row.id)));
            }
            assert_eq!(seen, all, "in pages of {size}");
        }
    }

    /// Anybody may sign up with an address that has somebody else's account id in it.
    async fn an_account_is_found_by_its_id_whoever_else_writes_it_into_their_address(store) {
        let ada = store.account("ada@example.com").await;
        for n in 0..3 {
            sign_up_at(&store, &format!("{ada}-{n}@example.com"), NOW.plus_days(1)).await.unwrap();
        }
        let row = accounts::row(&store.db, &ada).await.unwrap().expect("it is there");
        assert_eq!((row.id.as_str(), row.email.as_str()), (ada.as_str(), "ada@example.com"));
    }

    async fn closing_an_account_deletes_whoever_belongs_to_no_other(store) {
        let (ada, team) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        join(&store, &ada, &team, "member").await;
        close(&store, &team).await;
        assert!(accounts::user_by_login(&store.db, "eve@example.com").await.unwrap().is_none(), "she had no other");
        let member = accounts::user_by_login(&store.db, "ada@example.com").await.unwrap().expect("she has her own");
        assert_eq!(member.account_id, ada);
        assert!(sign_up(&store, "eve@example.com").await, "the address is free again");
    }

    async fn a_closed_account_stays_with_what_it_paid_and_nobody_in_it(store) {
        let ada = store.account("ada@example.com").await;
        let customer = store.customer(&ada, "cus_ada").await;
        let eve = store.account("eve@example.com").await;
        store.customer(&eve, "cus_eve").await;
        let closed = async || customers::of_closed_accounts(&store.db, &["cus_ada", "cus_eve", "cus_none"]).await.unwrap();
        assert!(closed().await.is_empty());
        close(&store, &ada).await;
        assert_eq!(closed().await.into_iter().collect::<Vec<_>>(), [(customer.clone(), ada.clone())]);
        assert!(exists(&store, &ada).await);
        let mut tx = store.db.begin().await.unwrap();
        assert_eq!(customers::account_of(&mut tx, &customer).await.unwrap(), Some(ada.clone()));
        drop(tx);
        assert!(accounts::canonical_email_of(&store.db, &ada).await.unwrap().is_none());
        let row = accounts::row(&store.db, &ada).await.unwrap().expect("operators still see it");
        assert_eq!((row.email.as_str(), row.closed_at), ("closed", Some(NOW.plus_days(1).0)), "nothing of whose it was");
        assert_eq!(row.customer_id.as_deref(), Some("cus_ada"));
    }

    async fn a_closed_account_is_locked_by_nobody(store) {
        let (ada, eve) = (store.account("ada@example.com").await, store.account("eve@example.com").await);
        assert!(lock(&store, &ada).await);
        close(&store, &ada).await;
        assert!(!lock(&store, &ada).await);
        assert!(lock(&store, &eve).await, "another one is not concerned");
    }

    /// Whoever is about to buy for it finds out before anything is bought.
    async fn whoever_waits_for_an_account_that_is_being_closed_finds_it_closed(store) {
        let ada = store.account("ada@example.com").await;
        let mut tx = store.db.begin().await.unwrap();
        assert!(accounts::lock_account(&mut tx, &ada).await.unwrap());
        let buying = tokio::spawn({
            let (store, ada) = (store.clone(), ada.clone());
            async move { lock(&store, &ada).await }
        });
        store.until_waiting(&buying).await;
        accounts::close(&mut tx, &ada, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!buying.await.unwrap());
    }
}
