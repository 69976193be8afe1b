//! `/healthz` and `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use engine::Db;
use engine::clock::Clock;
use serde_json::{Value, json};
use server::assets::Assets;
use server::config::Config;
use server::http::{Pages, router};
use server::{Tollgate, store};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::client::in_time;

struct App {
    tollgate: Tollgate,
    router: Router,
    stop: CancellationToken,
    _folder: TempDir,
}

impl App {
    /// The app without pages, on a database whose tables may be missing.
    async fn start(is_migrated: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let config = Config::from_lookup(&|name| {
            (name == "DATABASE_URL").then(|| format!("sqlite:{}/tollgate.db", folder.path().display()))
        });
        let config = config.unwrap();
        let db = Db::connect(&config.database_url).await.unwrap();
        if is_migrated {
            store::migrate(&db).await.unwrap();
        }
        let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default()).unwrap();
        let pages =
            Pages { router: Router::new(), routes: Vec::new(), rejections: Router::new(), form_page: |_, _| None };
        let router = router(&tollgate, pages).unwrap();
        Self { tollgate, router, stop: CancellationToken::new(), _folder: folder }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.get("/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn end(self) {
        self.stop.cancel();
        in_time("the tasks end", self.tollgate.tasks().wait()).await;
    }
}

#[tokio::test]
async fn a_running_app_is_ready_and_lists_its_tasks() {
    let app = App::start(true).await;
    app.tollgate.spawn(&app.stop);
    let (status, ready) = app.ready().await;
    assert_eq!((status, &ready["ready"], &ready["database"]), (200, &json!(true), &json!("ok")));
    let tasks = ready["tasks"].as_object().unwrap();
    for name in ["events", "billing changes", "overage", "sweeper", "reconciliation", "cache listener"] {
        assert_eq!(tasks[name], json!({ "state": "running", "restarts": 0 }), "{name}");
    }
    app.end().await;
}

/// While a task waits for its restart, its work is not done. Here it panics as soon as it starts, so that no
/// request sees it running.
#[tokio::test]
async fn an_app_is_not_ready_while_a_task_is_restarting() {
    let app = App::start(true).await;
    let (is_repaired, has_failed, runs) =
        (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (repaired, failed, running, until) =
        (Arc::clone(&is_repaired), Arc::clone(&has_failed), Arc::clone(&runs), app.stop.clone());
    app.tollgate.tasks().supervise("exports", &app.stop, move || {
        let (is_repaired, failed) = (repaired.load(Ordering::SeqCst), Arc::clone(&failed));
        let (running, until) = (Arc::clone(&running), until.clone());
        async move {
            if !is_repaired {
                failed.notify_one();
                panic!("it cannot work yet");
            }
            running.notify_one();
            until.cancelled().await;
        }
    });
    in_time("the task fails", has_failed.notified()).await;
    let (status, ready) = app.ready().await;
    assert_eq!((status, &ready["ready"], &ready["database"]), (503, &json!(false), &json!("ok")));
    assert_eq!(ready["tasks"]["exports"]["state"], "restarting");
    assert_eq!(app.get("/healthz").await, (200, "ok\n".to_owned()), "the process itself is alive");

    is_repaired.store(true, Ordering::SeqCst);
    in_time("the task runs again", runs.notified()).await;
    let (status, ready) = app.ready().await;
    assert_eq!((status, &ready["ready"]), (200, &json!(true)));
    assert_eq!(ready["tasks"]["exports"]["state"], "running");
    assert!(ready["tasks"]["exports"]["restarts"].as_i64() >= Some(1), "{ready}");
    app.end().await;
}

#[tokio::test]
async fn an_app_without_its_tables_is_not_ready() {
    let app = App::start(false).await;
    let (status, ready) = app.ready().await;
    assert_eq!((status, &ready["ready"]), (503, &json!(false)));
    assert_ne!(ready["database"], "ok");
    app.end().await;
}

#[tokio::test]
async fn an_app_whose_database_is_unreachable_is_alive_and_not_ready() {
    let app = App::start(true).await;
    app.tollgate.db().close().await;
    let (status, ready) = app.ready().await;
    assert_eq!((status, &ready["ready"], &ready["database"]), (503, &json!(false), &json!("unreachable")));
    assert_eq!(app.get("/healthz").await.0, 200);
    app.end().await;
}
