//! A label, its input, and the fault that stands right below it.

use leptos::prelude::*;

use crate::form_state::FormState;

/// The ids of what describes a field, and what is wrong with it.
struct Described {
    hint_id: String,
    fault_id: String,
    fault: Option<String>,
    by: Option<String>,
    text: Option<String>,
}

fn described(name: &str, hint: &str) -> Described {
    let state = use_context::<FormState>().unwrap_or_default();
    let fault = state.fault_of(name).map(str::to_owned);
    let (hint_id, fault_id) = (format!("{name}-hint"), format!("{name}-fault"));
    let ids: Vec<&str> = [(fault.is_some(), &fault_id), (!hint.is_empty(), &hint_id)]
        .into_iter()
        .filter_map(|(is_there, id)| is_there.then_some(id.as_str()))
        .collect();
    let by = (!ids.is_empty()).then(|| ids.join(" "));
    Described { by, fault, text: state.text_of(name).map(str::to_owned), hint_id, fault_id }
}

/// A field of one line. What was typed before is kept; the first faulty one has the focus.
#[component]
pub fn Field(
    /// The name it is posted under, and its id.
    name: &'static str,
    label: &'static str,
    /// `text`, `email`, `password`, …
    #[prop(default = "text")]
    kind: &'static str,
    #[prop(optional)] hint: &'static str,
    #[prop(optional)] autocomplete: &'static str,
    #[prop(optional, into)] placeholder: String,
    /// The most characters that it takes; 0 for as many as there are.
    #[prop(optional)]
    most: usize,
    /// What stands in it when nothing was typed yet.
    #[prop(optional, into)]
    initial: String,
) -> impl IntoView {
    let Described { hint_id, fault_id, fault, by, text } = described(name, hint);
    let is_faulty = fault.is_some();
    // A password is never put back into the page.
    let text = text.filter(|_| kind != "password");
    let is_word = matches!(kind, "email" | "password") || name == "domain";
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
                autocapitalize=is_word.then_some("none")
                spellcheck=is_word.then_some("false")
                maxlength=(most > 0).then(|| most.to_string())
                placeholder=(!placeholder.is_empty()).then_some(placeholder)
                aria-invalid=is_faulty.then_some("true")
                aria-describedby=by
                autofocus=is_faulty
            />
            {fault.map(|sentence| view! { <p class="field-fault" id=fault_id>{sentence}</p> })}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=hint_id>{hint}</p> })}
        </div>
    }
}

/// A field of several lines.
#[component]
pub fn TextField(
    /// The name it is posted under, and its id.
    name: &'static str,
    label: &'static str,
    #[prop(optional)] hint: &'static str,
    /// The most characters that it takes.
    most: usize,
) -> impl IntoView {
    let Described { hint_id, fault_id, fault, by, text } = described(name, hint);
    let is_faulty = fault.is_some();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <textarea
                id=name
                name=name
                rows="6"
                required=true
                maxlength=most.to_string()
                aria-invalid=is_faulty.then_some("true")
                aria-describedby=by
                autofocus=is_faulty
            >
                {text.unwrap_or_default()}
            </textarea>
            {fault.map(|sentence| view! { <p class="field-fault" id=fault_id>{sentence}</p> })}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=hint_id>{hint}</p> })}
        </div>
    }
}
