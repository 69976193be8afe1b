//! What happened, until when, and the way to mend it.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};
use crate::form_state::FormState;

/// How much a banner asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Info,
    /// It worked.
    Good,
    /// Something has to be done, and there is time.
    Warning,
    /// Something is lost already.
    Danger,
}

impl Tone {
    /// The word in class names.
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

/// A banner. `title` says what happened; `children` say more and hold the button.
#[component]
pub fn Banner(tone: Tone, #[prop(into)] title: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    // A screen reader is told of what went wrong without being asked.
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

/// What is wrong with the form as a whole, if anything is.
#[component]
pub fn Refusal() -> impl IntoView {
    let refusal = use_context::<FormState>().and_then(|state| state.refusal);
    refusal.map(|sentence| view! { <Banner tone=Tone::Danger title=sentence/> })
}
