//! Credentials of a channel, as files: they stay out of the list of processes and of the shell's history.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::{
    ConnectChannelRequest, CreateChannelRequest, UpdateChannelRequest,
};

use crate::error::CliError;
use crate::output::json as protobuf_json;

/// A Telegram bot's token, by whichever way.
#[derive(Args)]
pub(crate) struct BotToken {
    /// The bot's token, from `@BotFather`
    #[arg(
        long,
        env = "SWITCHBOARD_CTL_BOT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        required_unless_present = "bot_token_file"
    )]
    bot_token: Option<String>,
    /// A file with that token, which keeps it out of the list of processes
    #[arg(long, value_name = "FILE", conflicts_with = "bot_token")]
    bot_token_file: Option<PathBuf>,
}

impl BotToken {
    /// The token.
    pub fn read(self) -> Result<String, CliError> {
        match (self.bot_token, self.bot_token_file) {
            (_, Some(path)) => bot_token(&path),
            (token, None) => Ok(token.unwrap_or_default()),
        }
    }
}

/// Credentials of a channel of any kind: the same words wherever a verb takes them.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CredentialsFile {
    /// A JSON file with the credentials in the words of the contract: `{"viber_bot": {"token": "…"}}`, or `telegram_bot`,
    /// `instagram`, `email` with the fields of that message
    #[arg(long, alias = "credentials-file", value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// For a Telegram bot: a file with nothing but its token, from `@BotFather`
    #[arg(long, value_name = "FILE")]
    bot_token_file: Option<PathBuf>,
}

/// A request that carries credentials.
pub(crate) trait Carries: prost::Message + Default {
    /// Full protobuf name.
    const NAME: &'static str;
}

impl Carries for CreateChannelRequest {
    const NAME: &'static str = "switchboard.channel_gateway.v1.CreateChannelRequest";
}

impl Carries for UpdateChannelRequest {
    const NAME: &'static str = "switchboard.channel_gateway.v1.UpdateChannelRequest";
}

impl Carries for ConnectChannelRequest {
    const NAME: &'static str = "switchboard.channel_gateway.v1.ConnectChannelRequest";
}

impl CredentialsFile {
    /// A request with the credentials that the file holds.
    pub fn read<T: Carries>(self) -> Result<T, CliError> {
        if let Some(path) = self.bot_token_file {
            let token = json!({ "telegram_bot": { "token": bot_token(&path)? } });
            return request(&path, &token.to_string());
        }
        let path = self.credentials.unwrap_or_default();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| CliError::file("read the credentials", &path, &error))?;
        request(&path, &text)
    }
}

/// What is wrong with the text is not told in detail: it is secret.
fn request<T: Carries>(path: &Path, text: &str) -> Result<T, CliError> {
    let carries = |text| {
        let keys: serde_json::Map<_, _> = serde_json::from_str(text).ok()?;
        (!keys.is_empty()).then(|| protobuf_json::message(T::NAME, text))?
    };
    carries(text).ok_or_else(|| {
        CliError::usage(
            &format!("{} holds no credentials of a channel", path.display()),
            "JSON with one key of the contract: telegram_bot, viber_bot, instagram or email, and in it the fields of \
             that message",
        )
    })
}

fn bot_token(path: &Path) -> Result<String, CliError> {
    let token = std::fs::read_to_string(path)
        .map_err(|error| CliError::file("read the bot's token", path, &error))?;
    Ok(token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use switchboard_proto::channel_gateway::v1::connect_channel_request::Credentials;

    use super::*;

    #[test]
    fn credentials_are_read_as_the_contract_names_them() {
        let read = |text: &str| {
            let request: Result<ConnectChannelRequest, _> = request(Path::new("x.json"), text);
            request.ok().and_then(|request| request.credentials)
        };
        let viber = read(r#"{"viberBot": {"token": "x", "senderName": "Shop"}}"#);
        assert!(matches!(viber, Some(Credentials::ViberBot(bot)) if bot.sender_name == "Shop"));
        let mail = r#"{"email": {"address": "a@b.example", "imap": {"host": "h", "security": "SECURITY_TLS"}, "password": "x"}}"#;
        assert!(matches!(read(mail), Some(Credentials::Email(mailbox)) if mailbox.imap.is_some()));
        for nothing in ["", "{}", "[]", r#"{"viberBot": {"tokn": "x"}}"#] {
            assert!(read(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn what_is_wrong_with_credentials_is_told_without_them() {
        let error =
            request::<CreateChannelRequest>(Path::new("x.json"), r#"{"viber_bot": "s3cret"}"#);
        let text = error.err().map(|error| error.render()).unwrap_or_default();
        assert!(
            text.contains("x.json") && !text.contains("s3cret"),
            "{text}"
        );
    }
}
