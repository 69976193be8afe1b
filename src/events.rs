//! `events list|show|replay`: what Stripe has sent, and what became of it.

use anyhow::bail;
use billing::{EventId, Timestamp};
use server::Db;
use server::config::Config;
use server::store::After;
use server::store::inbox::{self, EventState, Filter, Listed};

use crate::EventsCommand;
use crate::commands::{clock, open};

/// Runs one of the commands.
pub async fn events(config: &Config, command: &EventsCommand) -> anyhow::Result<()> {
    let db = open(config).await?;
    let done = match command {
        EventsCommand::List { state, about, limit } => {
            list(&db, &Filter { state: *state, about: about.clone() }, *limit).await
        }
        EventsCommand::Show { id } => show(&db, &EventId::new(id)).await,
        EventsCommand::Replay { id } => replay(&db, &EventId::new(id), clock(config).await.now()).await,
    };
    db.close().await;
    done
}

/// The state that `--state` names.
pub fn state(word: &str) -> Result<EventState, String> {
    EventState::parse(word).ok_or_else(|| "use pending, done, ignored, unmatched or parked".to_owned())
}

async fn list(db: &Db, filter: &Filter, limit: u32) -> anyhow::Result<()> {
    let events = inbox::list(db, filter, &After::start(), i64::from(limit) + 1).await?;
    let shown = usize::try_from(limit)?.min(events.len());
    for event in events.iter().take(shown) {
        println!("{}", line(event));
    }
    if events.is_empty() {
        println!("No events.");
    } else if shown < events.len() {
        println!("These are the newest {shown}; there are more: --limit says how many to show.");
    }
    Ok(())
}

fn line(event: &Listed) -> String {
    format!(
        "{}  {:9}  {}  {}  {}  tried {}{}",
        Timestamp(event.received_at),
        event.state,
        event.event_id,
        event.kind,
        event.subject.as_deref().unwrap_or("-"),
        event.attempts,
        event.last_error.as_ref().map(|error| format!("  {error}")).unwrap_or_default(),
    )
}

async fn show(db: &Db, id: &EventId) -> anyhow::Result<()> {
    let (Some(event), Some(payload)) = (inbox::by_id(db, id).await?, inbox::payload(db, id).await?) else {
        return unknown(id);
    };
    println!("{}", line(&event));
    if let Some(sentence) = EventState::parse(&event.state).and_then(|state| next_step(state, id)) {
        println!("{sentence}");
    }
    println!("{payload}");
    Ok(())
}

/// What to do about an event, where something may be done.
fn next_step(state: EventState, id: &EventId) -> Option<String> {
    match state {
        EventState::Pending | EventState::Done => None,
        EventState::Ignored => Some("Its type changes nothing here, or it is about nothing of ours.".to_owned()),
        EventState::Unmatched => {
            Some("No account owns its customer. It is applied once one does: see docs/OPERATIONS.md.".to_owned())
        }
        EventState::Parked => Some(format!("When the reason is gone, `tollgate events replay {id}` makes it due.")),
    }
}

async fn replay(db: &Db, id: &EventId, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    if !inbox::replay(&mut tx, id, now).await? {
        drop(tx);
        return match inbox::standing(db, id).await? {
            Some(_) => bail!("{id} is ignored: its type changes nothing here, or it is about nothing of ours"),
            None => unknown(id),
        };
    }
    tx.commit().await?;
    println!("{id} is due; a running server applies it within seconds.");
    Ok(())
}

fn unknown(id: &EventId) -> anyhow::Result<()> {
    bail!("there is no event {id}: `tollgate events list` shows what came, `tollgate reconcile` fetches what did not")
}
