//! The users, their sessions, and the pages that the app has without billing.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;

/// The e-mails of signed-in users. A session is an index into this list; a real app would use a secret.
#[derive(Clone, Default)]
pub struct Users(Arc<Mutex<Vec<String>>>);

pub struct User {
    pub id: String,
    pub email: String,
}

impl Users {
    /// Returns the user of the session cookie in a request.
    pub fn of_session(&self, headers: &HeaderMap) -> Option<User> {
        let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
        let id: usize = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="))?.parse().ok()?;
        let emails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(User { id: id.to_string(), email: emails.get(id.checked_sub(1)?)?.clone() })
    }
}

pub fn router(users: Users) -> Router {
    Router::new().route("/", get(home)).route("/login", get(form).post(login)).with_state(users)
}

async fn home() -> Html<&'static str> {
    Html("<h1>Acme</h1><a href=/login>Log in</a>")
}

async fn form() -> Html<&'static str> {
    Html("<form method=post><input name=email><button>Log in</button></form>")
}

async fn login(State(users): State<Users>, Form(form): Form<Vec<(String, String)>>) -> Response {
    let Some((_, email)) = form.into_iter().find(|(name, _)| name == "email") else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let mut emails = users.0.lock().unwrap_or_else(PoisonError::into_inner);
    let index = emails.iter().position(|known| *known == email).unwrap_or_else(|| {
        emails.push(email);
        emails.len() - 1
    });
    let cookie = format!("session={}; HttpOnly; SameSite=Lax; Path=/", index + 1);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}
