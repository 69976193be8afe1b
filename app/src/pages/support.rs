//! `/dashboard/support`: the contact form and the account's messages.

use leptos::prelude::*;
use server::workspace::support::{BODY_MAX, SUBJECT_MAX, SupportMessage, support_messages};

use crate::areas::SUPPORT;
use crate::caller::Caller;
use crate::components::{Banner, Empty, Field, Gate, Glyph, Moment, TextField, Tone};
use crate::failure::Failure;
use crate::query::parameter;

/// The contact form, and the messages that were sent.
#[component]
pub fn Support() -> impl IntoView {
    let was_sent = parameter("notice").as_deref() == Some("sent");
    let inside = move |Caller { tollgate, permit, who }| async move {
        let messages = support_messages(&tollgate, &permit).await.map_err(Failure::store)?;
        let list = if messages.is_empty() {
            view! {
                <Empty glyph=Glyph::Speech title="No messages yet">
                    "Messages you send appear here."
                </Empty>
            }
            .into_any()
        } else {
            let rows = messages.into_iter().map(|message| view! { <Message message/> }).collect_view();
            view! { <ul class="rows">{rows}</ul> }.into_any()
        };
        Ok(view! {
            {was_sent.then(|| view! {
                <Banner tone=Tone::Good title="Sent.">
                    <p>{format!("We'll reply to {}.", who.email)}</p>
                </Banner>
            })}
            <section class="card" aria-labelledby="write-title">
                <h2 id="write-title">"Contact us"</h2>
                <form method="post" action=SUPPORT.path novalidate aria-labelledby="write-title">
                    <Field name="subject" label="Subject" max=SUBJECT_MAX autocomplete="off"/>
                    <TextField name="body" label="Message" max=BODY_MAX hint="What did you do, what happened, and what did you expect?"/>
                    <button class="button button-primary" type="submit">"Send message"</button>
                </form>
            </section>
            <section class="card" aria-labelledby="messages-title">
                <h2 id="messages-title">"Your messages"</h2>
                {list}
            </section>
        }
        .into_any())
    };
    view! { <Gate area=&SUPPORT inside/> }
}

#[component]
fn Message(message: SupportMessage) -> impl IntoView {
    view! {
        <li class="row row-tall">
            <article>
                <h3 class="row-title">{message.subject}</h3>
                <p class="quiet"><Moment at=message.created_at/></p>
                <p class="message">{message.body}</p>
            </article>
        </li>
    }
}
