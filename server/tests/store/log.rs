//! Nobody is told of what is not known to be on the disk.

use std::path::{Path, PathBuf};

use billing::EventId;
use server::Db;
use server::clock::Clock;
use server::config::DatabaseUrl;
use server::product::API_CALLS;
use server::store::inbox;
use server::usage::{Recorded, UsageError};
use server::webhook::intake::Intake;

use crate::engines::{NOW, Store, delivery, new_event, on_sqlite};

fn file(store: &Store) -> &Path {
    let DatabaseUrl::Sqlite(address) = &store.url else { panic!("PostgreSQL has its log by itself") };
    Path::new(address.trim_start_matches("sqlite:"))
}

/// A disk that takes nothing any more.
struct BrokenDisk {
    log: PathBuf,
    aside: PathBuf,
}

impl BrokenDisk {
    /// The log cannot be reached: a folder is in its place.
    fn out_of_reach(store: &Store) -> Self {
        let disk = Self::without_log(store);
        std::fs::create_dir(&disk.log).expect("its place is free");
        disk
    }

    /// The log can be reached and does not go to the disk: what is in its place has none.
    #[cfg(unix)]
    fn refusing(store: &Store) -> Self {
        let disk = Self::without_log(store);
        std::os::unix::fs::symlink("/dev/null", &disk.log).expect("its place is free");
        disk
    }

    fn without_log(store: &Store) -> Self {
        let path = file(store).display();
        let disk = Self { log: format!("{path}-wal").into(), aside: format!("{path}-wal.aside").into() };
        std::fs::rename(&disk.log, &disk.aside).expect("the log is there");
        disk
    }

    fn mend(self) {
        let is_folder = self.log.symlink_metadata().expect("something is in its place").is_dir();
        if is_folder { std::fs::remove_dir(&self.log) } else { std::fs::remove_file(&self.log) }.expect("it goes");
        std::fs::rename(&self.aside, &self.log).expect("the log is put back");
    }
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_not_answered_and_counts_once_when_it_does() {
    on_sqlite(|store: Store| async move {
        let (tollgate, intake) = (store.tollgate(&Clock::manual(NOW)), Intake::default());
        let account = store.account("ada@example.com").await;
        let first = tollgate.record_usage(&account, API_CALLS, 1, "first").await;
        assert!(matches!(first, Ok(Recorded::Counted(_))), "{first:?}");
        let disk = BrokenDisk::out_of_reach(&store);
        for attempt in ["counted", "counted before"] {
            let answer = tollgate.record_usage(&account, API_CALLS, 3, "key").await;
            assert!(matches!(answer, Err(UsageError::Store(_))), "{attempt}: {answer:?}");
        }
        for attempt in ["new", "there already"] {
            let answer = intake.write(&store.db, delivery("evt_1"), NOW).await;
            assert!(answer.is_err(), "{attempt}: {answer:?}");
        }

        disk.mend();
        let answer = tollgate.record_usage(&account, API_CALLS, 3, "key").await.unwrap();
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
        let all = tollgate.record_usage(&account, API_CALLS, 100, "all").await;
        assert!(matches!(all, Ok(Recorded::Counted(_))), "{all:?}");
        let disk = BrokenDisk::out_of_reach(&store);
        let answer = tollgate.record_usage(&account, API_CALLS, 1, "key").await;
        assert!(matches!(answer, Ok(Recorded::Denied(_))), "{answer:?}");
        disk.mend();
    })
    .await;
}

#[tokio::test]
async fn a_commit_ends_when_the_disk_has_it() {
    on_sqlite(|store: Store| async move {
        let disk = BrokenDisk::out_of_reach(&store);
        let mut tx = store.db.begin().await.unwrap();
        inbox::insert(&mut tx, &new_event(&EventId::new("evt_1")), NOW).await.unwrap();
        assert!(tx.commit().await.is_err());
        disk.mend();
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_the_disk_has_refused_once_is_trusted_after_a_restart_only() {
    on_sqlite(|store: Store| async move {
        let (tollgate, account) = (store.tollgate(&Clock::manual(NOW)), store.account("ada@example.com").await);
        assert!(store.db.is_ready().await.unwrap());
        let first = tollgate.record_usage(&account, API_CALLS, 1, "first").await;
        assert!(matches!(first, Ok(Recorded::Counted(_))), "{first:?}");
        let disk = BrokenDisk::refusing(&store);
        for key in ["second", "third"] {
            let answer = tollgate.record_usage(&account, API_CALLS, 1, key).await;
            assert!(answer.is_err(), "{key}: {answer:?}");
        }
        disk.mend();
        assert!(tollgate.record_usage(&account, API_CALLS, 1, "fourth").await.is_err());
        assert!(store.db.is_ready().await.is_err(), "nobody should be sent here");

        let restarted = store.another_node().await;
        let tollgate = crate::engines::tollgate(restarted.clone(), &Clock::manual(NOW));
        let answer = tollgate.record_usage(&account, API_CALLS, 1, "fifth").await;
        assert!(matches!(answer, Ok(Recorded::Counted(_))), "{answer:?}");
        assert!(restarted.is_ready().await.unwrap());
        restarted.close().await;
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_log_is_found_beside_the_file_that_a_link_leads_to() {
    on_sqlite(|store: Store| async move {
        let link = file(&store).with_extension("link");
        std::os::unix::fs::symlink(file(&store), &link).expect("its place is free");
        let db = Db::connect(&DatabaseUrl::Sqlite(format!("sqlite:{}", link.display()))).await.unwrap();
        let intake = Intake::default();
        assert!(intake.write(&db, delivery("evt_0"), NOW).await.unwrap());
        let disk = BrokenDisk::out_of_reach(&store);
        let answer = intake.write(&db, delivery("evt_1"), NOW).await;
        assert!(answer.is_err(), "the log that was asked for is not the one that was written");
        disk.mend();
        db.close().await;
    })
    .await;
}
