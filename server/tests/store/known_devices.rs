//! Devices are known until they expire.

use billing::Timestamp;
use server::store::known_devices;

use crate::databases::TestDatabase;
use crate::people::NOW;

async fn remember(database: &TestDatabase, device: &str, until: Timestamp) {
    let mut tx = database.db.begin().await.unwrap();
    known_devices::remember(&mut tx, device, until).await.unwrap();
    tx.commit().await.unwrap();
}

async fn is_known(database: &TestDatabase, device: &str, now: Timestamp) -> bool {
    known_devices::is_known(&database.db, device, now).await.unwrap()
}

on_both_databases! {
    async fn a_device_is_known_until_it_expires(database) {
        remember(&database, "hash", NOW.plus_days(1)).await;
        assert!(is_known(&database, "hash", NOW.plus_days(1).plus_seconds(-1)).await);
        assert!(!is_known(&database, "hash", NOW.plus_days(1)).await);
        assert!(!is_known(&database, "other", NOW).await);
    }

    async fn remembering_a_device_again_extends_its_time(database) {
        remember(&database, "hash", NOW.plus_days(1)).await;
        remember(&database, "hash", NOW.plus_days(2)).await;
        assert!(is_known(&database, "hash", NOW.plus_days(1)).await);
    }

    async fn only_expired_devices_are_deleted(database) {
        remember(&database, "expired", NOW).await;
        remember(&database, "current", NOW.plus_seconds(1)).await;
        let mut tx = database.db.begin().await.unwrap();
        known_devices::delete_expired(&mut tx, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let before = NOW.plus_seconds(-1);
        assert!(!is_known(&database, "expired", before).await && is_known(&database, "current", before).await);
    }
}
