//! The guides, whose steps are executed: adding the engine to an app (`skills/stripe-setup/SKILL.md`,
//! `docs/EMBED.md`), and customizing this app (`docs/MAKE-IT-YOURS.md`).

mod blocks;
mod embed;
mod make_it_yours;
mod shell;
mod stripe_setup;
mod suite;
mod tree;

pub use suite::run;
