//! The app before billing was added: its own table of users, sessions in a cookie, a home page.

use std::path::Path;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use sqlx::AnyPool;
use sqlx::migrate::Migrator;

/// The app's own database.
#[derive(Clone, Debug)]
pub struct Users(pub AnyPool);

/// A user of the app.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id in the app's table, which is also the account's id.
    pub id: String,
    /// Their e-mail address.
    pub email: String,
}

impl Users {
    /// Connects, and applies the app's own migrations.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(url).await?;
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        Migrator::new(Path::new(migrations)).await?.run(&pool).await?;
        Ok(Self(pool))
    }

    /// Returns the user whose session cookie a request has.
    pub async fn of_session(&self, headers: &HeaderMap) -> sqlx::Result<Option<User>> {
        let cookies = headers.get(header::COOKIE).and_then(|cookies| cookies.to_str().ok()).unwrap_or_default();
        let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="));
        let user = sqlx::query_as("SELECT id, email FROM users WHERE session = $1").bind(session);
        let user: Option<(String, String)> = user.fetch_optional(&self.0).await?;
        Ok(user.map(|(id, email)| User { id, email }))
    }
}

/// The app's own pages.
pub fn router(users: Users) -> Router {
    Router::new().route("/", get(home)).route("/login", get(login_form).post(login)).with_state(users)
}

async fn home() -> Html<&'static str> {
    Html("<h1>Acme</h1><a href=/reports>Reports</a> <a href=/pricing>Pricing</a> <a href=/login>Log in</a>")
}

async fn login_form() -> Html<&'static str> {
    // A real app asks for a password.
    Html("<form method=post><input name=email value=ada@example.com><button>Log in</button></form>")
}

async fn login(State(Users(pool)): State<Users>, Form(form): Form<Vec<(String, String)>>) -> Response {
    let email = form.iter().find(|(name, _)| name == "email").map(|(_, email)| email.as_str());
    let mut secret = [0_u8; 32];
    if getrandom::fill(&mut secret).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let session = hex::encode(secret);
    let updated = sqlx::query("UPDATE users SET session = $1 WHERE email = $2").bind(&session).bind(email);
    match updated.execute(&pool).await {
        Ok(updated) if updated.rows_affected() == 1 => {
            let cookie = format!("session={session}; HttpOnly; SameSite=Lax; Path=/");
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Ok(_) => (StatusCode::UNPROCESSABLE_ENTITY, "No such user").into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
