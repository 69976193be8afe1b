//! What only some plans include. Nothing behind a gate is loaded without a
//! [`engine::Permit`]; without one the page shows how to get it.

use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::page::{Heading, page, turned_away};
use super::upgrade_prompt::UpgradePrompt;
use crate::areas::Area;
use crate::caller::{Caller, Denied};
use crate::failure::Failure;

/// Shows `inside` to those who meet the area's policy, an [`UpgradePrompt`] with status 403
/// to others.
#[component]
pub fn Gate<F, Fut>(area: &'static Area, inside: F) -> impl IntoView
where
    F: FnOnce(Caller) -> Fut + Send + 'static,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    match Caller::require(area.policy) {
        Ok(caller) => page(area.title, async move {
            let inside = inside(caller).await?;
            Ok(view! { <Heading title=area.title lead=area.summary/> {inside} }.into_any())
        }),
        Err(Denied::TooLow { needed }) => {
            expect_context::<ResponseOptions>().set_status(Failure::Forbidden.status());
            view! { <UpgradePrompt area needed/> }.into_any()
        }
        Err(denied) => turned_away(area.title, denied),
    }
}
