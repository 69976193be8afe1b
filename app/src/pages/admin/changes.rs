//! `/admin/changes?state=&account=&after=`

use billing::AccountId;
use engine::store::billing_changes::{ChangeFilter, ChangeState, StoredChange};
use engine::tasks::sweeper::KEPT_DAYS;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use server::admin::changes;

use super::filter::{Choice, FilterForm, Search};
use super::links::account_address;
use super::older::Older;
use super::sections::Sections;
use crate::api::{RetryChange, SkipChange};
use crate::caller::Operator;
use crate::components::{Banner, Column, DataTable, Empty, Glyph, Heading, Moment, Tone, operator_page};
use crate::failure::Failure;
use crate::query::{after, parameter};

/// Billing changes and whether the app's handler has accepted them, newest first.
#[component]
pub fn Changes() -> impl IntoView {
    let state = parameter("state").as_deref().and_then(ChangeState::parse);
    let account = parameter("account").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    let filter = ChangeFilter { state, account: account.clone().map(AccountId::new) };
    let cursor = after("after");
    let notice = parameter("notice");
    operator_page("Billing changes", move |Operator { tollgate, permit }| async move {
        let page = changes::changes(&tollgate, &permit, &filter, &cursor).await.map_err(Failure::store)?;
        let kept = vec![
            ("state", state.map_or("", ChangeState::as_str).to_owned()),
            ("account", account.clone().unwrap_or_default()),
        ];
        let body = if page.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No billing changes">
                    {format!("Subscription changes are listed here until the app's handler accepts them, and for {KEPT_DAYS} days after.")}
                </Empty>
            }
            .into_any()
        } else {
            view! {
                <ChangeTable rows=page.rows/>
                <Older path="/admin/changes" kept next=page.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Billing changes"/>
            <Sections/>
            {match notice.as_deref() {
                Some("retried") => Some(view! { <Banner tone=Tone::Good title="The change will be delivered shortly."/> }.into_any()),
                Some("skipped") => Some(view! { <Banner tone=Tone::Good title="The change was skipped."/> }.into_any()),
                _ => None,
            }}
            <section class="card" aria-label="Billing changes">
                <FilterForm action="/admin/changes" label="Filter billing changes">
                    <Choice name="state" label="State" values=ChangeState::ALL.map(ChangeState::as_str).to_vec() chosen=state.map(ChangeState::as_str)/>
                    <Search name="account" label="Account" value=account.unwrap_or_default() placeholder="account id"/>
                </FilterForm>
                {body}
            </section>
        }
        .into_any())
    })
}

#[component]
fn ChangeTable(rows: Vec<StoredChange>) -> impl IntoView {
    let rows = rows.into_iter().map(|change| view! { <ChangeRow change/> }).collect_view();
    view! {
        <DataTable
            label="Billing changes, table"
            columns=[Column::Text("Change"), Column::Text("State"), Column::Text("Account"), Column::Text("Recorded"), Column::Money("Attempts"), Column::Unseen("Actions")]
        >
            {rows}
        </DataTable>
    }
}

#[component]
fn ChangeRow(change: StoredChange) -> impl IntoView {
    let before = change.before.as_ref().map_or("new", |before| before.status.as_str());
    let text = format!("{}: {before} → {}", change.after.id, change.after.status.as_str());
    let class = match change.state {
        ChangeState::Pending if change.last_error.is_some() => "badge badge-danger",
        ChangeState::Pending => "badge badge-info",
        ChangeState::Delivered => "badge badge-good",
        ChangeState::Skipped => "badge",
    };
    let name = format!("change {} of account {}", change.number, change.account);
    let actions = (change.state == ChangeState::Pending).then(|| {
        let (account, number) = (change.account.to_string(), change.number.to_string());
        view! {
            <div class="actions">
                <ChangeAction action=RetryChange::url() label="Retry" account=account.clone() number=number.clone() name=name.clone()/>
                <ChangeAction action=SkipChange::url() label="Skip" account number name/>
            </div>
        }
    });
    view! {
        <tr>
            <th scope="row">
                {text}
                {change.last_error.map(|error| view! { <p class="quiet">{error}</p> })}
            </th>
            <td><span class=class>{change.state.as_str()}</span></td>
            <td><a href=account_address(change.account.as_str())><code>{format!("{}/{}", change.account, change.number)}</code></a></td>
            <td><Moment at=change.created_at/></td>
            <td class="money">{change.attempts}</td>
            <td>{actions}</td>
        </tr>
    }
}

#[component]
fn ChangeAction(
    action: &'static str,
    label: &'static str,
    account: String,
    number: String,
    name: String,
) -> impl IntoView {
    view! {
        <form method="post" action=action>
            <input type="hidden" name="account" value=account/>
            <input type="hidden" name="number" value=number/>
            <button class="button button-quiet" type="submit">{label}<span class="visually-hidden">{format!(" {name}")}</span></button>
        </form>
    }
}
