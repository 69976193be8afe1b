//! Asks for confirmation before a change that is hard to undo.

use std::io::{IsTerminal, Write};

use anyhow::bail;

/// Asks a question in the terminal. It is an error if there is none.
pub fn confirm(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("this needs your confirmation: run it in a terminal, or pass --yes");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
