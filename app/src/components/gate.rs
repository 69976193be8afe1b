//! What only some plans open. Nothing behind a gate is loaded without a [`Permit`],
//! which `server::access` alone can make; without one there is the way to get it.

use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use server::access::{self, AccessError, Permit};

use super::page::signed_in_page;
use super::{Heading, UpgradePrompt};
use crate::areas::Area;
use crate::failure::Failure;

/// Shows `inside` to those whose entitlement meets the area's policy, an
/// [`UpgradePrompt`] with status 403 to the others.
#[component]
pub fn Gate<F, Fut>(area: &'static Area, inside: F) -> impl IntoView
where
    F: FnOnce(Permit) -> Fut + Send + 'static,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    let response = expect_context::<ResponseOptions>();
    signed_in_page(area.title, move |tollgate, who| async move {
        match access::require(&tollgate, &who, area.policy).await {
            Ok(permit) => {
                let inside = inside(permit).await?;
                Ok(view! { <Heading title=area.title lead=area.summary/> {inside} }.into_any())
            }
            Err(AccessError::TooLow { needed }) => {
                response.set_status(Failure::Forbidden.status());
                Ok(view! { <UpgradePrompt area needed/> }.into_any())
            }
            Err(AccessError::NotForSale) => Err(Failure::NotFound),
            Err(AccessError::Store(cause)) => Err(Failure::store(cause)),
        }
    })
}
