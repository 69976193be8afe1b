//! A message about an event, with the button that resolves it.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};
use crate::form_state::FormState;

/// The urgency of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Information.
    Info,
    /// Success.
    Good,
    /// Action is needed soon.
    Warning,
    /// Something has failed.
    Danger,
}

impl Tone {
    /// Returns the name in CSS classes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }

    const fn glyph(self) -> Glyph {
        match self {
            Self::Info => Glyph::Info,
            Self::Good => Glyph::Check,
            Self::Warning | Self::Danger => Glyph::Alert,
        }
    }
}

/// A banner. `title` says what happened; `children` are details and buttons.
#[component]
pub fn Banner(tone: Tone, #[prop(into)] title: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    // Screen readers announce an alert immediately.
    let role = if matches!(tone, Tone::Danger) { "alert" } else { "status" };
    view! {
        <div class=format!("banner banner-{}", tone.as_str()) role=role>
            <Icon glyph=tone.glyph()/>
            <div class="banner-text">
                <p class="banner-title">{title}</p>
                {children.map(|children| children())}
            </div>
        </div>
    }
}

/// The error about the form as a whole, if there is one.
#[component]
pub fn FormError() -> impl IntoView {
    let error = use_context::<FormState>().and_then(|state| state.form_error);
    error.map(|message| view! { <Banner tone=Tone::Danger title=message/> })
}
