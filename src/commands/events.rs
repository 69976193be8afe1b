//! `events list|show|replay`.

use anyhow::bail;
use billing::EventId;
use engine::store::Cursor;
use engine::store::inbox::{EventFilter, EventState, EventSummary};
use server::Tollgate;
use server::admin::{OperatorPermit, events};
use server::config::Config;

use super::database::open_to_read;
use crate::cli::EventsCommand;

/// Shows and replays events.
pub async fn run(config: Config, command: EventsCommand) -> anyhow::Result<()> {
    let tollgate = open_to_read(config).await?;
    let done = match command {
        EventsCommand::List { state, about, limit } => list(&tollgate, &EventFilter { state, about }, limit).await,
        EventsCommand::Show { id } => show(&tollgate, &EventId::new(id)).await,
        EventsCommand::Replay { id: Some(id), .. } => replay(&tollgate, &EventId::new(id)).await,
        EventsCommand::Replay { id: None, .. } => replay_parked(&tollgate).await,
    };
    tollgate.db().close().await;
    done
}

async fn list(tollgate: &Tollgate, filter: &EventFilter, limit: u32) -> anyhow::Result<()> {
    let limit = usize::try_from(limit)?;
    let mut after = Cursor::start();
    let mut shown = 0;
    loop {
        let page = events::events(tollgate, &OperatorPermit::for_cli(), filter, &after).await?;
        for event in &page.rows {
            if shown == limit {
                println!("There are more events than these {shown}: use --limit to list more.");
                return Ok(());
            }
            println!("{}", line(event));
            shown += 1;
        }
        match page.next {
            Some(next) => after = next,
            None if shown == 0 => {
                println!("No events.");
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

fn line(event: &EventSummary) -> String {
    format!(
        "{}  {:9}  {}  {}  {}  attempts: {}{}",
        event.received_at,
        event.state.as_str(),
        event.id,
        event.kind,
        event.subject.as_deref().unwrap_or("-"),
        event.attempts,
        event.last_error.as_ref().map(|error| format!("  {error}")).unwrap_or_default(),
    )
}

async fn show(tollgate: &Tollgate, id: &EventId) -> anyhow::Result<()> {
    let Some(event) = events::event(tollgate, &OperatorPermit::for_cli(), id).await? else { return unknown(id) };
    println!("{}", line(&event.summary));
    if let Some(next) = next_step(event.summary.state, id) {
        println!("{next}");
    }
    println!("{}", event.payload);
    Ok(())
}

/// Advice to an operator about an event.
fn next_step(state: EventState, id: &EventId) -> Option<String> {
    match state {
        EventState::Pending | EventState::Done => None,
        EventState::Ignored => Some("Its type is not handled, or it is about an object that is not stored.".to_owned()),
        EventState::Unmatched => {
            Some("No account owns its customer. It is applied once one does (docs/OPERATIONS.md).".to_owned())
        }
        EventState::Parked => Some(format!("Once the cause is fixed, apply it with `tollgate events replay {id}`.")),
    }
}

async fn replay(tollgate: &Tollgate, id: &EventId) -> anyhow::Result<()> {
    let permit = OperatorPermit::for_cli();
    if events::replay(tollgate, &permit, id).await? {
        println!("{id} is queued; a running server will apply it within seconds.");
        return Ok(());
    }
    match events::event(tollgate, &permit, id).await? {
        Some(_) => bail!("{id} is ignored: its type is not handled, or it is about an object that is not stored"),
        None => unknown(id),
    }
}

async fn replay_parked(tollgate: &Tollgate) -> anyhow::Result<()> {
    match events::replay_parked(tollgate, &OperatorPermit::for_cli()).await? {
        0 => println!("No event is parked."),
        1 => println!("1 event is queued; a running server will apply it within seconds."),
        events => println!("{events} events are queued; a running server will apply them within seconds."),
    }
    Ok(())
}

fn unknown(id: &EventId) -> anyhow::Result<()> {
    bail!("there is no event {id}: `tollgate events list` lists events, and `tollgate reconcile` fetches missed ones")
}
