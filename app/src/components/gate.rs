//! A page that only some plans include. Nothing is loaded without an [`engine::Permit`]; without
//! one, the page offers the plan that includes it.

use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::page::{Heading, denied_page, page};
use super::upgrade_prompt::UpgradePrompt;
use crate::areas::Area;
use crate::caller::{Caller, Denied};
use crate::failure::Failure;

/// Shows `inside` to visitors who meet the area's policy, and an [`UpgradePrompt`] with status 403
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
        Err(denied) => denied_page(area.title, denied),
    }
}
