//! Files that are given to steps of a bot when it is made or changed.

use std::path::PathBuf;

use switchboard_proto::conversation::v1::Bot;
use switchboard_proto::conversation::v1::bot_step::Act;

use crate::connect::Session;
use crate::error::CliError;
use crate::token::Role;
use crate::verbs::chat::upload::{self, Chosen};

/// Reads which step sends which file.
pub(super) fn read(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((step, path)) if !step.is_empty() && !path.is_empty() => {
            Ok((step.to_owned(), path.into()))
        }
        _ => Err("give it as STEP=PATH, as in hello=price.pdf".to_owned()),
    }
}

/// Uploads files, and has steps of a bot send them. Nothing is uploaded before every step and file is looked at.
pub(super) async fn all(
    session: &Session,
    role: &Role,
    bot: &mut Bot,
    attached: &[(String, PathBuf)],
) -> Result<(), CliError> {
    let mut chosen = Vec::new();
    for (step, path) in attached {
        sending(bot, step)?;
        chosen.push(Chosen::look(path)?);
    }
    let mut ids = Vec::new();
    upload::all(session, role, &chosen, &mut ids).await?;
    for ((step, _), id) in attached.iter().zip(ids) {
        sending(bot, step)?.push(id);
    }
    Ok(())
}

/// The files of a step that sends.
fn sending<'b>(bot: &'b mut Bot, key: &str) -> Result<&'b mut Vec<String>, CliError> {
    let step = bot.steps.iter_mut().find(|step| step.key == key);
    match step.and_then(|step| step.act.as_mut()) {
        Some(Act::Send(send)) => Ok(&mut send.attachment_ids),
        _ => Err(CliError::usage(
            &format!("no step \"{key}\" of the bot sends"),
            "name the key of a step with `send`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::conversation::v1::{BotStep, bot_step::Send};

    #[test]
    fn f187_a_file_is_given_to_the_step_that_sends_it() {
        let pair = ("hello".to_owned(), PathBuf::from("a=b.pdf"));
        assert_eq!(read("hello=a=b.pdf"), Ok(pair));
        for wrong in ["price.pdf", "=price.pdf", "hello="] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let step = |key: &str, act: Option<Act>| BotStep {
            key: key.into(),
            act,
            ..BotStep::default()
        };
        let mut bot = Bot {
            steps: vec![
                step("ask", None),
                step("hello", Some(Act::Send(Send::default()))),
            ],
            ..Bot::default()
        };
        for wrong in ["ask", "gone"] {
            let error = sending(&mut bot, wrong).unwrap_err().render();
            assert!(error.contains(wrong), "{error}");
        }
        sending(&mut bot, "hello").unwrap().push("one".to_owned());
        assert_eq!(sending(&mut bot, "hello").unwrap(), &["one"]);
    }
}
