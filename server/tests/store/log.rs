//! Nobody is told of what is not known to be on the disk.

use std::path::PathBuf;

use billing::{EventId, Meter};
use server::clock::Clock;
use server::config::DatabaseUrl;
use server::store::inbox;
use server::usage::{Recorded, UsageError};
use server::webhook::intake::Intake;

use crate::engines::{NOW, Store, delivery, new_event, on_sqlite};

/// A disk that takes nothing any more: where the log is, there is a folder.
struct BrokenDisk {
    log: PathBuf,
    aside: PathBuf,
}

impl BrokenDisk {
    fn new(store: &Store) -> Self {
        let DatabaseUrl::Sqlite(address) = &store.url else { panic!("PostgreSQL has its log by itself") };
        let path = address.trim_start_matches("sqlite:");
        let (log, aside) = (format!("{path}-wal").into(), format!("{path}-wal.aside").into());
        std::fs::rename(&log, &aside).expect("the log is there");
        std::fs::create_dir(&log).expect("its place is free");
        Self { log, aside }
    }

    fn mend(self) {
        std::fs::remove_dir(&self.log).expect("the folder is there");
        std::fs::rename(&self.aside, &self.log).expect("the log is put back");
    }
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_not_answered_and_counts_once_when_it_does() {
    on_sqlite(|store: Store| async move {
        let (tollgate, intake) = (store.tollgate(&Clock::manual(NOW)), Intake::default());
        let account = store.account("ada@example.com").await;
        let first = tollgate.record_usage(&account, Meter::ApiCalls, 1, "first").await;
        assert!(matches!(first, Ok(Recorded::Counted(_))), "{first:?}");
        let disk = BrokenDisk::new(&store);
        for attempt in ["counted", "counted before"] {
            let answer = tollgate.record_usage(&account, Meter::ApiCalls, 3, "key").await;
            assert!(matches!(answer, Err(UsageError::Store(_))), "{attempt}: {answer:?}");
        }
        for attempt in ["new", "there already"] {
            let answer = intake.write(&store.db, delivery("evt_1"), NOW).await;
            assert!(answer.is_err(), "{attempt}: {answer:?}");
        }

        disk.mend();
        let answer = tollgate.record_usage(&account, Meter::ApiCalls, 3, "key").await.unwrap();
        let Recorded::Repeated(reading) = answer else { panic!("counted twice: {answer:?}") };
        assert_eq!(reading.used, 4);
        assert!(!intake.write(&store.db, delivery("evt_1"), NOW).await.unwrap(), "it was written down before");
        assert!(inbox::standing(&store.db, &EventId::new("evt_1")).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_disk() {
    on_sqlite(|store: Store| async move {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        let all = tollgate.record_usage(&account, Meter::ApiCalls, 100, "all").await;
        assert!(matches!(all, Ok(Recorded::Counted(_))), "{all:?}");
        let disk = BrokenDisk::new(&store);
        let answer = tollgate.record_usage(&account, Meter::ApiCalls, 1, "key").await;
        assert!(matches!(answer, Ok(Recorded::Denied(_))), "{answer:?}");
        disk.mend();
    })
    .await;
}

#[tokio::test]
async fn a_commit_ends_when_the_disk_has_it() {
    on_sqlite(|store: Store| async move {
        let disk = BrokenDisk::new(&store);
        let mut tx = store.db.begin().await.unwrap();
        inbox::insert(&mut tx, &new_event(&EventId::new("evt_1")), NOW).await.unwrap();
        assert!(tx.commit().await.is_err());
        disk.mend();
    })
    .await;
}
