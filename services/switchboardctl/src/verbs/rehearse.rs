//! A rehearsal (O1.5): a signed webhook is sent through the whole installation by a line that belongs to no provider's bot, and it
//! is seen stored, a card made of it, and an agent given the chat. Then everything is put away again, also where it failed.

mod line;
mod play;
mod putting_away;

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::connect::{DRY_RUN, Session};
use crate::error::CliError;
use crate::output::{View, note, say};
use play::Play;

/// What everything of a rehearsal is called: so the next one finds it again.
const NAME: &str = "Rehearsal";

/// How a rehearsal is played.
#[derive(Args)]
#[command(
    after_help = "It needs an account's own token (`token --service rehearsal --scope 'chats:* crm:* channels:* agents:*'`) or the \
                  signing key, and is best given an account of its own. What it cannot delete, as channels, chats, contacts and \
                  agents stay for good, it switches off, and the next rehearsal takes it up again.\n\nExamples:\n  \
                  switchboardctl --account rehearsal rehearse\n  switchboardctl rehearse --webhooks https://hooks.example.com -o json"
)]
pub(crate) struct RehearseArgs {
    /// Where the gateway takes webhooks: as providers reach it, or its own address from within
    #[arg(
        long,
        env = "SWITCHBOARD_CTL_WEBHOOKS",
        value_name = "URL",
        default_value = "http://127.0.0.1:7121"
    )]
    webhooks: String,
    /// How long a step may take, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
}

/// What was done so far, shown to people at once and to programs at the end.
struct Transcript {
    people: bool,
    steps: Vec<Value>,
}

impl Transcript {
    /// A step that took until now.
    fn done(&mut self, step: &str, began: Instant, told: &str) {
        let took = began.elapsed();
        if self.people {
            say!("{step:<10} {:>8.3} s  {told}", took.as_secs_f64());
        }
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.steps
            .push(json!({ "step": step, "milliseconds": milliseconds, "detail": told }));
    }
}

/// Runs the verb.
pub(crate) async fn run(args: RehearseArgs, session: &Session, view: View) -> Result<(), CliError> {
    // Once and before anything: a question in the midst of putting away could be answered with no.
    session.terms.consent("play a rehearsal", true)?;
    let mut out = Transcript {
        people: view.is_table(),
        steps: Vec::new(),
    };
    let patience = Duration::from_secs(args.patience);
    let mut play = Play::new(session, &args.webhooks, patience)?;
    let began = Instant::now();
    let played = tokio::select! {
        played = play.act(&mut out) => played,
        _ = tokio::signal::ctrl_c() => Err(CliError::failed("it was interrupted", "")),
    };
    if let Err(error) = &played
        && error.reason().as_deref() == Some(DRY_RUN)
    {
        return played;
    }
    let putting_away = Instant::now();
    let left = play.put_away().await;
    let told = if left.is_empty() {
        "conversation closed, card deleted, channel disconnected, agent inactive".to_owned()
    } else {
        format!("left behind: {}", left.join("; "))
    };
    out.done("put away", putting_away, &told);
    let total = began.elapsed();
    let failure = played.as_ref().err().map(CliError::render);
    if !view.is_table() {
        view.value(&json!({
            "passed": failure.is_none() && left.is_empty(), "seconds": total.as_secs_f64(), "steps": out.steps, "left": left,
            "error": failure,
        }));
    }
    played?;
    if !left.is_empty() {
        return Err(CliError::failed(
            format!(
                "the rehearsal went through, and left behind: {}",
                left.join("; ")
            ),
            "the next rehearsal of this account takes it up again",
        ));
    }
    note!("the rehearsal went through in {:.1} s", total.as_secs_f64());
    Ok(())
}
