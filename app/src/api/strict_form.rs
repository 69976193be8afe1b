//! The encoding of server functions' arguments: URL-encoded, and parsed strictly.
//!
//! server_fn's own encodings ignore unknown fields. Here a form is rejected before anything is
//! looked up if a field is unknown, repeated or missing, if it contains a NUL, or if it is longer
//! than [`FORM_LIMIT`] (`tests/http/server_functions.rs`). So a browser can choose a plan, but never
//! a price.

use std::collections::BTreeSet;

use http::Method;
use leptos::server_fn::client::Client;
use leptos::server_fn::error::{FromServerFnError, IntoAppError, ServerFnErrorErr};
use leptos::server_fn::request::{ClientReq, Req};
use leptos::server_fn::response::{ClientRes, Res, TryRes};
use leptos::server_fn::{Protocol, server::Server};
use serde::de::value::Error as FormError;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserializer, Serialize, forward_to_deserialize_any};

use super::error::ApiError;
use super::reply::Reply;
use crate::failure::Failure;

/// The maximum size of a form, in bytes.
pub const FORM_LIMIT: usize = 64 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Arguments in the body of a POST, as `<form method="post">` sends them.
pub struct StrictForm;

/// Arguments in the query of a GET, as a link or `<form method="get">` sends them. For read-only
/// functions.
pub struct StrictQuery;

impl<Input, Output, C, S> Protocol<Input, Output, C, S, ApiError> for StrictForm
where
    Input: Serialize + DeserializeOwned + Send,
    Output: Reply,
    C: Client<ApiError>,
    S: Server<ApiError>,
{
    const METHOD: Method = Method::POST;

    async fn run_server<F, Fut>(request: S::Request, function: F) -> Result<S::Response, ApiError>
    where
        F: Fn(Input) -> Fut + Send,
        Fut: Future<Output = Result<Output, ApiError>> + Send,
    {
        if !request.to_content_type().is_some_and(|kind| kind.starts_with(FORM)) {
            return Err(Failure::Malformed.into());
        }
        let body = request.try_into_bytes().await?;
        respond::<_, S>(&function(read(&body)?).await?)
    }

    async fn run_client(path: &str, input: Input) -> Result<Output, ApiError> {
        let request = C::Request::try_new_post(path, FORM, JSON, encoded(&input)?)?;
        decoded(C::send(request).await?).await
    }
}

impl<Input, Output, C, S> Protocol<Input, Output, C, S, ApiError> for StrictQuery
where
    Input: Serialize + DeserializeOwned + Send,
    Output: Reply,
    C: Client<ApiError>,
    S: Server<ApiError>,
{
    const METHOD: Method = Method::GET;

    async fn run_server<F, Fut>(request: S::Request, function: F) -> Result<S::Response, ApiError>
    where
        F: Fn(Input) -> Fut + Send,
        Fut: Future<Output = Result<Output, ApiError>> + Send,
    {
        let input = read(request.as_query().unwrap_or_default().as_bytes())?;
        respond::<_, S>(&function(input).await?)
    }

    async fn run_client(path: &str, input: Input) -> Result<Output, ApiError> {
        let request = C::Request::try_new_get(path, FORM, JSON, &encoded(&input)?)?;
        decoded(C::send(request).await?).await
    }
}

/// Parses a URL-encoded form that has exactly the fields of `T`.
pub fn read<T: DeserializeOwned>(form: &[u8]) -> Result<T, Failure> {
    if form.len() > FORM_LIMIT {
        return Err(Failure::TooLarge);
    }
    // A NUL cannot be typed, and PostgreSQL cannot store it.
    if form_urlencoded::parse(form).any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Failure::Malformed);
    }
    T::deserialize(Strict(form)).map_err(|_| Failure::Malformed)
}

/// Deserializes a form whose fields must be those of the struct.
struct Strict<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = FormError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        let mut seen = BTreeSet::new();
        for (field, _) in form_urlencoded::parse(self.0) {
            if !fields.contains(&field.as_ref()) || !seen.insert(field) {
                return Err(FormError::custom("a field is unknown or repeated"));
            }
        }
        serde_urlencoded::Deserializer::new(form_urlencoded::parse(self.0)).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FormError> {
        Err(FormError::custom("a form is read into a struct with named fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Returns the response for a function's result. A redirect has a `Location`.
fn respond<Output: Reply, S: Server<ApiError>>(output: &Output) -> Result<S::Response, ApiError> {
    let json = serde_json::to_string(output).map_err(|_| Failure::Broken)?;
    let mut response = S::Response::try_from_string(JSON, json)?;
    if let Some(address) = output.location() {
        response.redirect(address);
    }
    Ok(response)
}

fn encoded(input: &impl Serialize) -> Result<String, ApiError> {
    serde_urlencoded::to_string(input).map_err(|_| Failure::Malformed.into())
}

/// Parses the response in a browser.
async fn decoded<Output: Reply>(response: impl ClientRes<ApiError>) -> Result<Output, ApiError> {
    let is_error = response.status() >= 400;
    let body = response.try_into_bytes().await?;
    if is_error {
        return Err(ApiError::de(body));
    }
    serde_json::from_slice(&body).map_err(|error| ServerFnErrorErr::Deserialization(error.to_string()).into_app_error())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        plan: String,
        #[serde(default)]
        seats: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing {}

    #[test]
    fn fields_with_a_default_may_be_left_out() {
        assert_eq!(read(b"plan=A+B%26C&seats=3"), Ok(Order { plan: "A B&C".to_owned(), seats: 3 }));
        assert_eq!(read(b"plan="), Ok(Order { plan: String::new(), seats: 0 }));
        assert_eq!(read(b""), Ok(Nothing {}));
    }

    #[test]
    fn a_form_with_other_fields_is_malformed() {
        let wrong =
            ["", "seats=3", "plan=A&price=1", "plan=A&plan=A", "plan=A&Plan=B", "plan=A%00", "plan=A&seats=many"];
        for form in wrong {
            assert_eq!(read::<Order>(form.as_bytes()), Err(Failure::Malformed), "{form}");
        }
        assert_eq!(read::<Nothing>(b"a=1"), Err(Failure::Malformed));
    }

    #[test]
    fn a_form_over_the_limit_is_too_large() {
        let form = |length: usize| format!("plan={}", "a".repeat(length - "plan=".len()));
        assert!(read::<Order>(form(FORM_LIMIT).as_bytes()).is_ok());
        assert_eq!(read::<Order>(form(FORM_LIMIT + 1).as_bytes()), Err(Failure::TooLarge));
    }

    #[test]
    fn an_encoded_form_is_parsed_again() {
        let order = Order { plan: "A B&C=ü".to_owned(), seats: 7 };
        assert_eq!(read(encoded(&order).unwrap().as_bytes()), Ok(order));
    }
}
