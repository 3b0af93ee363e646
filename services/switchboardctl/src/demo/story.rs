//! The main path as a story: one customer, two agents, two conversations. Every step is checked; the transcript says
//! what was seen.

mod again;
mod ending;
mod opening;
mod read;
mod stage;
mod talk;
mod transcript;

use std::time::Duration;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;
use stage::Stage;

/// Plays the story.
pub(crate) async fn run(session: &Session, view: View, patience: Duration) -> Result<(), CliError> {
    let mut stage = Stage::set(session, view, patience).await?;
    let played = play(&mut stage).await;
    if played.is_err() {
        stage.out.broken();
        // What was published until then is the best hint at what went wrong.
        ending::show_events(&stage);
    }
    played.map_err(|error| match error {
        CliError::Failed { text, hint } if hint.is_empty() => CliError::failed(
            format!(
                "the story stopped in “{}”\n  {}",
                stage.out.scene_title(),
                text
            ),
            stage.advice(),
        ),
        other => other,
    })
}

async fn play(stage: &mut Stage<'_>) -> Result<(), CliError> {
    let opened = opening::play(stage).await?;
    talk::play(stage, &opened).await?;
    let reopened = again::play(stage, &opened).await?;
    ending::play(stage, &opened, &reopened).await
}
