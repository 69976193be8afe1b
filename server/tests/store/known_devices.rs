//! Devices are known until they expire.

use billing::{Timestamp, UserId};
use server::store::{known_devices, users};

use crate::databases::TestDatabase;
use crate::people::NOW;

async fn remember(database: &TestDatabase, device: &str, user: &UserId, until: Timestamp) {
    let mut tx = database.db.begin().await.unwrap();
    known_devices::remember(&mut tx, device, user, until).await.unwrap();
    tx.commit().await.unwrap();
}

async fn is_known(database: &TestDatabase, device: &str, now: Timestamp) -> bool {
    known_devices::is_known(&database.db, device, now).await.unwrap()
}

on_both_databases! {
    async fn a_device_is_known_until_it_expires(database) {
        let ada = database.person("ada@example.com").await.user;
        remember(&database, "hash", &ada, NOW.plus_days(1)).await;
        assert!(is_known(&database, "hash", NOW.plus_days(1).plus_seconds(-1)).await);
        assert!(!is_known(&database, "hash", NOW.plus_days(1)).await);
        assert!(!is_known(&database, "other", NOW).await);
    }

    async fn remembering_a_device_again_extends_its_time(database) {
        let ada = database.person("ada@example.com").await.user;
        for days in [1, 2] {
            remember(&database, "hash", &ada, NOW.plus_days(days)).await;
        }
        assert!(is_known(&database, "hash", NOW.plus_days(1)).await);
    }

    async fn only_expired_devices_are_deleted(database) {
        let ada = database.person("ada@example.com").await.user;
        remember(&database, "expired", &ada, NOW).await;
        remember(&database, "current", &ada, NOW.plus_seconds(1)).await;
        let mut tx = database.db.begin().await.unwrap();
        known_devices::delete_expired(&mut tx, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let before = NOW.plus_seconds(-1);
        assert!(!is_known(&database, "expired", before).await && is_known(&database, "current", before).await);
    }

    async fn every_device_of_a_user_is_forgotten_with_the_user(database) {
        let (ada, eve) = (database.person("ada@example.com").await, database.person("eve@example.com").await);
        for (device, user) in [("laptop", &ada.user), ("phone", &ada.user), ("eve's", &eve.user)] {
            remember(&database, device, user, NOW.plus_days(1)).await;
        }
        let mut tx = database.db.begin().await.unwrap();
        users::remove_members(&mut tx, &ada.account).await.unwrap();
        tx.commit().await.unwrap();
        let mut known = Vec::new();
        for device in ["laptop", "phone", "eve's"] {
            known.push(is_known(&database, device, NOW).await);
        }
        assert_eq!(known, [false, false, true]);
    }
}
