//! `events list|show|replay`: what Stripe has sent, and what became of it.

use anyhow::{Context, bail};
use billing::{EventId, Timestamp};
use server::Db;
use server::config::Config;
use server::store::After;
use server::store::inbox::{self, EventState, Filter};

use crate::EventsCommand;
use crate::commands::{clock, connect};

/// Runs one of the commands.
pub async fn events(config: &Config, command: &EventsCommand) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let done = match command {
        EventsCommand::List { state, about, limit } => list(&db, state.as_deref(), about.clone(), *limit).await,
        EventsCommand::Show { id } => show(&db, &EventId::new(id)).await,
        EventsCommand::Replay { id } => replay(&db, &EventId::new(id), clock(config).await.now()).await,
    };
    db.close().await;
    done
}

async fn list(db: &Db, state: Option<&str>, about: Option<String>, limit: u32) -> anyhow::Result<()> {
    let state = state
        .map(|word| {
            EventState::parse(word)
                .with_context(|| format!("`{word}` is no state: use pending, done, ignored, unmatched or parked"))
        })
        .transpose()?;
    let events = inbox::list(db, &Filter { state, about }, &After::start(), i64::from(limit)).await?;
    if events.is_empty() {
        println!("No events.");
    }
    for event in events {
        println!(
            "{}  {:9}  {}  {}  {}  tried {}{}",
            Timestamp(event.received_at),
            event.state,
            event.event_id,
            event.kind,
            event.subject.as_deref().unwrap_or("-"),
            event.attempts,
            event.last_error.map(|error| format!("  {error}")).unwrap_or_default(),
        );
    }
    Ok(())
}

async fn show(db: &Db, id: &EventId) -> anyhow::Result<()> {
    let (Some((state, attempts, error)), Some(payload)) =
        (inbox::standing(db, id).await?, inbox::payload(db, id).await?)
    else {
        bail!("there is no event {id}");
    };
    println!(
        "{id}  {}  tried {attempts}{}",
        state.as_str(),
        error.map(|error| format!("  {error}")).unwrap_or_default()
    );
    println!("{payload}");
    Ok(())
}

async fn replay(db: &Db, id: &EventId, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    if !inbox::replay(&mut tx, id, now).await? {
        bail!("there is no event {id} that could be applied");
    }
    tx.commit().await?;
    println!("{id} is due; a running server applies it within seconds.");
    Ok(())
}
