//! A form field: its label, input, hint and error.

use leptos::prelude::*;

use crate::form_state::FormState;

/// The state of a field, and the ids of its descriptions.
struct FieldState {
    hint_id: String,
    error_id: String,
    error: Option<String>,
    described_by: Option<String>,
    text: Option<String>,
}

fn field_state(name: &str, hint: &str) -> FieldState {
    let state = use_context::<FormState>().unwrap_or_default();
    let error = state.error_of(name).map(str::to_owned);
    let (hint_id, error_id) = (format!("{name}-hint"), format!("{name}-error"));
    let ids: Vec<&str> = [(error.is_some(), &error_id), (!hint.is_empty(), &hint_id)]
        .into_iter()
        .filter_map(|(exists, id)| exists.then_some(id.as_str()))
        .collect();
    let described_by = (!ids.is_empty()).then(|| ids.join(" "));
    FieldState { described_by, error, text: state.text_of(name).map(str::to_owned), hint_id, error_id }
}

/// A single-line field. It keeps the posted value, and gets the focus if it is invalid.
#[component]
pub fn Field(
    /// Its name in the form, and its id.
    name: &'static str,
    label: &'static str,
    /// `text`, `email`, `password`, …
    #[prop(default = "text")]
    kind: &'static str,
    #[prop(optional, into)] hint: String,
    #[prop(optional)] autocomplete: &'static str,
    #[prop(optional, into)] placeholder: String,
    /// The maximum length in characters; 0 for none.
    #[prop(optional)]
    max: usize,
    /// The value when the form is first shown.
    #[prop(optional, into)]
    initial: String,
) -> impl IntoView {
    let FieldState { hint_id, error_id, error, described_by, text } = field_state(name, &hint);
    let is_invalid = error.is_some();
    // A password is never sent back.
    let text = text.filter(|_| kind != "password");
    let is_identifier = matches!(kind, "email" | "password") || name == "domain";
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <input
                id=name
                name=name
                type=kind
                value=text.unwrap_or(initial)
                required=true
                autocomplete=(!autocomplete.is_empty()).then_some(autocomplete)
                autocapitalize=is_identifier.then_some("none")
                spellcheck=is_identifier.then_some("false")
                maxlength=(max > 0).then(|| max.to_string())
                placeholder=(!placeholder.is_empty()).then_some(placeholder)
                aria-invalid=is_invalid.then_some("true")
                aria-describedby=described_by
                autofocus=is_invalid
            />
            {error.map(|message| view! { <p class="field-error" id=error_id>{message}</p> })}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=hint_id>{hint}</p> })}
        </div>
    }
}

/// A multi-line field.
#[component]
pub fn TextField(
    /// Its name in the form, and its id.
    name: &'static str,
    label: &'static str,
    #[prop(optional)] hint: &'static str,
    /// The maximum length in characters.
    max: usize,
) -> impl IntoView {
    let FieldState { hint_id, error_id, error, described_by, text } = field_state(name, hint);
    let is_invalid = error.is_some();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <textarea
                id=name
                name=name
                rows="6"
                required=true
                maxlength=max.to_string()
                aria-invalid=is_invalid.then_some("true")
                aria-describedby=described_by
                autofocus=is_invalid
            >
                {text.unwrap_or_default()}
            </textarea>
            {error.map(|message| view! { <p class="field-error" id=error_id>{message}</p> })}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=hint_id>{hint}</p> })}
        </div>
    }
}
