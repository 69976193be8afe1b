//! A trial is granted once per account, once per address and once per card.

use billing::{AccountId, SubscriptionId};
use engine::store::trials::{self, TrialClaim};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::NOW;

async fn claim(database: &TestDatabase, claims: &[TrialClaim], subscription: &str) {
    let mut tx = database.db.begin().await.unwrap();
    trials::claim(&mut tx, claims, &SubscriptionId::new(subscription), NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn holder(database: &TestDatabase, claim: &TrialClaim) -> Option<String> {
    let mut tx = database.db.begin().await.unwrap();
    trials::holder(&mut tx, claim).await.unwrap().map(|id| id.to_string())
}

fn email(canonical: &str) -> TrialClaim {
    TrialClaim::Email(canonical.to_owned())
}

fn card(fingerprint: &str) -> TrialClaim {
    TrialClaim::Card(fingerprint.to_owned())
}

on_both_databases! {
    async fn a_trial_is_claimed_by_the_account_and_by_the_address(database) {
        let (ada, alias, eve) = (
            database.account("ada@example.com").await,
            database.account("ada+again@example.com").await,
            database.account("eve@example.com").await,
        );
        let claimed =
            async |account: &AccountId, email: &str| trials::is_claimed(&database.db, account, email).await.unwrap();
        assert!(!claimed(&ada, "ada@example.com").await);

        for _ in 0..2 {
            claim(&database, &[TrialClaim::Account(ada.clone()), email("ada@example.com")], "sub_1").await;
        }
        assert!(claimed(&ada, "ada@example.com").await);
        assert!(claimed(&ada, "new-address@example.com").await, "the account has had its trial");
        assert!(claimed(&alias, "ada@example.com").await, "the person has had their trial");
        assert!(!claimed(&eve, "eve@example.com").await);
    }

    async fn a_claim_keeps_its_first_holder(database) {
        let account = TrialClaim::Account(AccountId::new("ada"));
        assert_eq!(holder(&database, &account).await, None);
        claim(&database, &[account.clone(), email("ada@example.com")], "sub_first").await;
        claim(&database, &[account.clone(), card("fp_1"), email("other@example.com")], "sub_second").await;
        for (claim, subscription) in [
            (account, Some("sub_first")),
            (email("ada@example.com"), Some("sub_first")),
            (card("fp_1"), Some("sub_second")),
            (email("other@example.com"), Some("sub_second")),
            (card("fp_2"), None),
        ] {
            assert_eq!(holder(&database, &claim).await.as_deref(), subscription, "{claim:?}");
        }
    }

    /// Two Checkouts are paid with one card at the same time.
    async fn concurrent_claims_of_one_trial_all_see_one_holder(database) {
        let holders = concurrently(12, |n| {
            let database = database.clone();
            async move {
                let mut tx = database.db.begin().await.unwrap();
                let subscription = SubscriptionId::new(format!("sub_{n}"));
                trials::claim(&mut tx, &[card("fp_1")], &subscription, NOW).await.unwrap();
                let holder = trials::holder(&mut tx, &card("fp_1")).await.unwrap();
                tx.commit().await.unwrap();
                (subscription, holder.expect("it is claimed"))
            }
        })
        .await;
        let first = &holders[0].1;
        assert!(holders.iter().all(|(_, holder)| holder == first), "{holders:?}");
        assert_eq!(holders.iter().filter(|(own, holder)| own == holder).count(), 1);
    }

    /// An account id may look like an address, and a card like an account.
    async fn claims_of_accounts_addresses_and_cards_do_not_mix(database) {
        let odd = AccountId::new("ada@example.com");
        claim(&database, &[TrialClaim::Account(odd.clone())], "sub_1").await;
        let other = AccountId::new("other");
        assert!(!trials::is_claimed(&database.db, &other, "ada@example.com").await.unwrap());
        assert_eq!(holder(&database, &card("ada@example.com")).await, None);
        claim(&database, &[card("other")], "sub_2").await;
        assert!(!trials::is_claimed(&database.db, &other, "other").await.unwrap());
        assert!(trials::is_claimed(&database.db, &odd, "").await.unwrap());
    }

    /// A trial that an operator granted counts for the next one, and does not end the granted one as a second trial.
    async fn a_granted_trial_is_claimed_apart_from_a_bought_one(database) {
        let ada = AccountId::new("ada");
        let granted = |claim| TrialClaim::Granted(Box::new(claim));
        claim(&database, &[granted(TrialClaim::Account(ada.clone())), granted(email("ada@example.com"))], "sub_1")
            .await;
        assert!(trials::is_claimed(&database.db, &ada, "").await.unwrap());
        assert!(trials::is_claimed(&database.db, &AccountId::new("other"), "ada@example.com").await.unwrap());
        assert_eq!(holder(&database, &TrialClaim::Account(ada.clone())).await, None);
        assert_eq!(holder(&database, &granted(TrialClaim::Account(ada))).await.as_deref(), Some("sub_1"));
    }
}
