//! A headless browser: cookies, forms, and redirects only on request.

use std::sync::Arc;

use billing::Timestamp;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};

/// A browser with its cookies.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    cookies: Arc<Jar>,
    url: String,
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// The attribute with which a page gives an exact time.
pub fn datetime(at: Timestamp) -> String {
    let at = at.utc();
    format!("datetime=\"{}T{:02}:{:02}:{:02}Z\"", at.date(), at.hour(), at.minute(), at.second())
}

/// A banner of a page.
#[derive(Debug)]
pub struct Banner {
    /// `info`, `good`, `warning` or `danger`.
    pub tone: String,
    /// Its HTML, up to the next banner or section.
    pub html: String,
}

impl Browser {
    pub fn new(url: &str) -> Self {
        let cookies = Arc::new(Jar::default());
        let client =
            Client::builder().cookie_provider(Arc::clone(&cookies)).redirect(redirect::Policy::none()).build().unwrap();
        Self { client, cookies, url: url.to_owned() }
    }

    /// The same cookies, at another address of the same app.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The `Cookie` header that it would send.
    pub fn cookie(&self, url: &str) -> Option<String> {
        let header = self.cookies.cookies(&url.parse::<Url>().unwrap())?;
        Some(header.to_str().unwrap().to_owned())
    }

    pub async fn get(&self, path: &str) -> Page {
        Page::of(self.request(Method::GET, path)).await
    }

    /// Posts a form as this app's own pages do.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        Page::of(self.request(Method::POST, path).header("sec-fetch-site", "same-origin").form(fields)).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        self.client.request(method, address)
    }

    /// Creates an API key on its page, which shows it once.
    pub async fn new_api_key(&self, name: &str) -> String {
        let page = self.post("/dashboard/api-keys", &[("name", name)]).await;
        let mut words = page.body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let key = words.find(|word| word.starts_with("tg_") && word.len() > 40);
        key.unwrap_or_else(|| panic!("the new key is shown: {}", page.body)).to_owned()
    }

    /// Whether the page opens (200), rather than redirecting or failing.
    pub async fn opens(&self, path: &str) -> bool {
        self.get(path).await.status == 200
    }
}

impl Page {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.expect("a response")).await.expect("a whole response")
    }

    /// Reads a response to its end. It may be cut off if the server is killed.
    pub async fn read(response: Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // Leptos marks where one text ends and the next begins.
        let body = response.text().await?.replace("<!>", "");
        Ok(Self { status, headers, body })
    }

    /// The `Location` header.
    pub fn location(&self) -> String {
        self.header(LOCATION.as_str()).unwrap_or_else(|| panic!("no location; status {}:\n{}", self.status, self.body))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    /// The text of the page's heading.
    pub fn heading(&self) -> String {
        let heading = self.body.split_once("<h1").and_then(|(_, rest)| rest.split_once('>')).map(|(_, rest)| rest);
        let heading = heading.unwrap_or_else(|| panic!("no heading; status {}:\n{}", self.status, self.body));
        heading.split("</h1>").next().unwrap_or_default().to_owned()
    }

    /// The page's banners, from top to bottom.
    pub fn banners(&self) -> Vec<Banner> {
        let banners = self.body.split("class=\"banner banner-").skip(1);
        banners
            .map(|banner| {
                let (tone, html) = banner.split_once('"').unwrap();
                Banner { tone: tone.to_owned(), html: html.split("<section").next().unwrap_or_default().to_owned() }
            })
            .collect()
    }

    /// The page's one banner.
    pub fn banner(&self) -> Banner {
        let mut banners = self.banners();
        assert_eq!(banners.len(), 1, "status {}:\n{}", self.status, self.body);
        banners.remove(0)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}
