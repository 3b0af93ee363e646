//! The main path as a story: one customer, two agents, two conversations; then one customer on each further channel that
//! the context names. Every step is checked; the transcript says what was seen.

mod again;
mod ending;
mod instagram;
mod lines;
mod mail;
mod opening;
mod read;
mod stage;
mod talk;
mod transcript;
mod viber;

use std::time::Duration;

pub(crate) use read::plain_text;

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
    let (opened, message_id) = opening::play(stage).await?;
    talk::play(stage, &opened, message_id).await?;
    let reopened = again::play(stage, &opened).await?;
    ending::play(stage).await?;
    let settings = &stage.session.settings;
    let mut others = Vec::new();
    if let Some(line) = &settings.viber {
        let opened = viber::play(stage, line).await?;
        lines::again(stage, line, &opened).await?;
        others.push(("on Viber", opened));
    }
    if let Some(line) = &settings.instagram {
        others.push(("on Instagram", instagram::play(stage, line).await?));
    }
    if let Some(line) = &settings.mail {
        others.push(("the mail", mail::play(stage, line).await?));
    }
    lines::play(stage).await?;
    ending::close(stage, &opened, &reopened, &others);
    Ok(())
}
