//! Files of messages: the gateway has them and says what became of them; readers see the newest word.

use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::common::v1::{Attachment, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use chassis::id::AccountSlug;

use crate::error::Error;
use crate::store;

/// Puts the gateway's newest words on the files of messages of an account into them, one statement for a page.
pub async fn describe(
    connection: &mut PgConnection,
    account: &AccountSlug,
    messages: &mut [pb::Message],
) -> Result<(), Error> {
    let messages = messages.iter_mut().map(|message| (account, message));
    describe_of(connection, messages.collect()).await
}

/// The same of messages of several accounts, each with its own.
pub async fn describe_of(
    connection: &mut PgConnection,
    mut messages: Vec<(&AccountSlug, &mut pb::Message)>,
) -> Result<(), Error> {
    let mut ids: Vec<Uuid> = Vec::new();
    for (_, message) in &mut messages {
        each(message, |file| {
            ids.extend(file.attachment_id.parse::<Uuid>());
        });
    }
    ids.sort_unstable();
    ids.dedup();
    let words = store::attachment::words(connection, &ids).await?;
    if words.is_empty() {
        return Ok(());
    }
    for (account, message) in messages {
        each(message, |file| {
            let id: Option<Uuid> = file.attachment_id.parse().ok();
            let word = id.and_then(|id| words.get(&id));
            let word = word.filter(|(of, _)| of == account);
            let word = word.and_then(|(_, word)| Attachment::decode(word.as_slice()).ok());
            if let Some(word) = word {
                overlay(file, word);
            }
        });
    }
    Ok(())
}

/// What a message said of its file stands where the gateway's word says nothing of it.
fn overlay(file: &mut Attachment, word: Attachment) {
    file.state = word.state;
    file.reason = word.reason;
    if word.size > 0 {
        file.size = word.size;
    }
    for (own, said) in [
        (&mut file.file_name, word.file_name),
        (&mut file.media_type, word.media_type),
    ] {
        if !said.is_empty() {
            *own = said;
        }
    }
    for (own, said) in [
        (&mut file.width, word.width),
        (&mut file.height, word.height),
    ] {
        if said > 0 {
            *own = said;
        }
    }
    if file.kind == 0 {
        file.kind = word.kind;
    }
    if word.duration_ms > 0 {
        file.duration_ms = word.duration_ms;
    }
}

fn each(message: &mut pb::Message, mut change: impl FnMut(&mut Attachment)) {
    for part in &mut message.parts {
        match &mut part.content {
            Some(Content::Attachment(file)) => change(file),
            Some(Content::Sticker(sticker)) => sticker.attachment.iter_mut().for_each(&mut change),
            _ => {}
        }
    }
    message.html.iter_mut().for_each(&mut change);
    message.original.iter_mut().for_each(change);
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::attachment::State;

    #[test]
    fn the_newest_word_stands_over_what_the_message_said() {
        let mut file = Attachment {
            attachment_id: "a".into(),
            file_name: "receipt.pdf".into(),
            kind: 2,
            width: 5,
            ..Attachment::default()
        };
        let word = Attachment {
            state: State::Stored.into(),
            media_type: "application/pdf".into(),
            size: 17,
            kind: 1,
            ..Attachment::default()
        };
        overlay(&mut file, word);
        assert_eq!(file.state(), State::Stored);
        assert_eq!(
            (file.file_name.as_str(), file.media_type.as_str()),
            ("receipt.pdf", "application/pdf")
        );
        assert_eq!((file.size, file.width, file.kind), (17, 5, 2));
    }
}
