//! Calls to Viber as values: what a message becomes (channels.md §3.3).

use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::{
    Attachment, ContentPart, Location, SharedContact, SharedLink, Sticker, Text,
    content_part::Content,
};
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};

use super::content::STICKER_ID;
use super::file;
use super::markup::{marked, with_addresses};
use crate::domain::call::Call;
use crate::domain::delivery::Unfit;
use crate::domain::split::{split, units};
use crate::domain::value;

/// Characters of a text at most. Counted in UTF-16 code units, which are never fewer.
pub const TEXT_MAX: u32 = 7_000;
/// Characters of a picture's caption at most: Viber's pages say 120, 512 and 768.
pub const CAPTION_MAX: u32 = 512;
/// Bytes of a whole request at most, with what is added when it is sent.
pub const BODY_MAX: usize = 30_000;
/// Bytes of it that are left for receiver, sender and the names of fields.
const FRAME_MAX: usize = 6_000;
/// Bytes of an address that is sent as such at most; Viber takes so many characters.
const ADDRESS_MAX: usize = 2_000;
/// Characters of the sender's name and of a contact's name at most.
const NAME_MAX: usize = 28;
/// Characters of a contact's phone number at most.
const PHONE_MAX: usize = 18;
/// The method that sends.
const SEND: &str = "send_message";
/// The oldest version of clients' apps that shows everything that is sent here.
const MIN_API_VERSION: u32 = 1;

const UNSUPPORTED_COMMAND: Unfit = Unfit {
    reason: "UNSUPPORTED_COMMAND",
    detail: "Viber lets nobody edit, delete or react to messages.",
};
const UNSUPPORTED_CONTENT: Unfit = Unfit {
    reason: "UNSUPPORTED_CONTENT",
    detail: "This kind of content cannot be sent through Viber.",
};
const MESSAGE_EMPTY: Unfit = Unfit {
    reason: "MESSAGE_EMPTY",
    detail: "The message has nothing to send.",
};
const PHONE_UNFIT: Unfit = Unfit {
    reason: "PHONE_UNFIT",
    detail: "Viber takes a contact only with a phone number of 18 characters at most.",
};
const PLACE_UNFIT: Unfit = Unfit {
    reason: "PLACE_UNFIT",
    detail: "The place lies nowhere on Earth.",
};

/// Who the client sees as the writer; every call must name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Name; what is beyond 28 characters is cut off.
    pub name: String,
    /// Address of a picture; may be empty.
    pub avatar: String,
}

impl Sender {
    fn value(&self) -> Value {
        let name: String = tidy(self.name.trim()).chars().take(NAME_MAX).collect();
        let name = name.trim();
        // A call without a name would be refused.
        let mut sender = json!({ "name": if name.is_empty() { "Chat" } else { name } });
        if is_address(&self.avatar) {
            sender["avatar"] = json!(self.avatar);
        }
        sender
    }
}

/// Turns a command into calls to Viber, in order; each is one part. What cannot be sent whole is split.
///
/// There are no references to other messages: what is answered is left out.
pub fn plan(command: &OutboundCommand, sender: &Sender) -> Result<Vec<Call>, Unfit> {
    if command.action() != Action::Send {
        return Err(UNSUPPORTED_COMMAND);
    }
    // The database cannot store it: a command that is never stored would block its chat for good.
    if command.chat_key.contains('\0') {
        return Err(UNSUPPORTED_CONTENT);
    }
    let mut sent = Vec::new();
    let mut rest = command.parts.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let files: Vec<&Attachment> = rest.iter().map_while(attachment).collect();
        rest = if files.is_empty() {
            sent.extend(part(first)?);
            after
        } else {
            let (_, after) = rest.split_at(files.len());
            let text = after.first().and_then(text);
            sent.extend(run(&files, text)?);
            after.get(usize::from(text.is_some())..).unwrap_or_default()
        };
    }
    if sent.is_empty() {
        return Err(MESSAGE_EMPTY);
    }
    let sender = sender.value();
    let calls = sent.into_iter().map(|mut params| {
        params.insert("sender".into(), sender.clone());
        Call {
            method: SEND.into(),
            params: Value::Object(params),
        }
    });
    Ok(calls.collect())
}

/// Returns the body to send to this chat: the call with its receiver.
pub fn body(call: &Call, chat_key: &str) -> Value {
    let mut body = call.params.clone();
    if let Some(body) = body.as_object_mut() {
        body.insert("receiver".into(), json!(chat_key));
        body.insert("min_api_version".into(), json!(MIN_API_VERSION));
    }
    body
}

/// Returns the provider key of a sent message: its token, with all digits.
pub fn provider_key(answer: &Value) -> Option<String> {
    value::id(answer, "message_token")
}

type Params = Map<String, Value>;

fn attachment(part: &ContentPart) -> Option<&Attachment> {
    match &part.content {
        Some(Content::Attachment(file)) => Some(file),
        _ => None,
    }
}

fn text(part: &ContentPart) -> Option<&Text> {
    match &part.content {
        Some(Content::Text(text)) => Some(text),
        _ => None,
    }
}

/// Files that stand together, with the text that follows them: on the first of them where that is a picture and takes
/// it, else after pictures; other files can have none, so that there the text comes first.
fn run(files: &[&Attachment], text: Option<&Text>) -> Result<Vec<Params>, Unfit> {
    let caption = text.and_then(|text| caption(files, text));
    let texts = match text {
        Some(text) if caption.is_none() => texts(text),
        _ => Vec::new(),
    };
    let sent = files.iter().enumerate().map(|(index, file)| {
        let caption = caption.as_deref().filter(|_| index == 0);
        file::params(file, caption.unwrap_or_default())
    });
    let sent = sent.collect::<Result<Vec<_>, _>>()?;
    let pictures = files.iter().all(|file| file::is_picture(file));
    Ok(if pictures {
        sent.into_iter().chain(texts).collect()
    } else {
        texts.into_iter().chain(sent).collect()
    })
}

/// Returns a text as caption of the first file, where it fits. Marks are not read there: it is plain.
fn caption(files: &[&Attachment], text: &Text) -> Option<String> {
    files.first().filter(|file| file::is_picture(file))?;
    let caption = with_addresses(text).text;
    let caption = tidy(caption.trim());
    (units(&caption) <= CAPTION_MAX).then_some(caption)
}

fn part(part: &ContentPart) -> Result<Vec<Params>, Unfit> {
    match &part.content {
        Some(Content::Text(text)) => Ok(texts(text)),
        Some(Content::Location(place)) => location(place),
        Some(Content::Contact(contact)) => shared_contact(contact).map(|params| vec![params]),
        Some(Content::Link(link)) => shared_link(link),
        Some(Content::Sticker(sent)) => sticker(sent),
        _ => Err(UNSUPPORTED_CONTENT),
    }
}

/// Splits a text so that every piece fits with its marks, or else without them.
fn texts(text: &Text) -> Vec<Params> {
    let text = with_addresses(text);
    // Characters that JSON escapes are few; a text full of them is cut shorter, down to what fits in any case.
    let lengths = [TEXT_MAX, TEXT_MAX / 2, TEXT_MAX / 4];
    let pieces = |most: u32| -> Vec<String> {
        let pieces = split(&text, most);
        pieces.iter().map(|piece| written(piece, most)).collect()
    };
    let fitting = lengths
        .into_iter()
        .map(pieces)
        .find(|pieces| pieces.iter().all(|piece| fits(piece)));
    let pieces = fitting.unwrap_or_else(|| pieces(TEXT_MAX / 4));
    pieces
        .into_iter()
        .map(|piece| text_params(&piece))
        .collect()
}

fn written(piece: &Text, most: u32) -> String {
    let marked = tidy(&marked(piece));
    if units(&marked) <= most {
        marked
    } else {
        tidy(&piece.text)
    }
}

fn text_params(text: &str) -> Params {
    let mut params = Params::new();
    params.insert("type".into(), json!("text"));
    params.insert("text".into(), json!(text));
    params
}

/// Tells whether a text leaves the request small enough.
fn fits(text: &str) -> bool {
    json!(text).to_string().len() <= BODY_MAX - FRAME_MAX
}

/// A place; Viber shows no name with it, so that the name is sent before.
fn location(place: &Location) -> Result<Vec<Params>, Unfit> {
    let on_earth =
        (-90.0..=90.0).contains(&place.latitude) && (-180.0..=180.0).contains(&place.longitude);
    if !on_earth {
        return Err(PLACE_UNFIT);
    }
    let mut sent = texts(&plain(&lines(&place.title, &place.address)));
    let mut params = Params::new();
    params.insert("type".into(), json!("location"));
    params.insert(
        "location".into(),
        json!({ "lat": place.latitude, "lon": place.longitude }),
    );
    sent.push(params);
    Ok(sent)
}

fn shared_contact(contact: &SharedContact) -> Result<Params, Unfit> {
    let digits = |c: &char| c.is_ascii_digit() || *c == '+';
    let phone: String = contact.phone.chars().filter(digits).collect();
    if !phone.bytes().any(|byte| byte.is_ascii_digit()) || phone.len() > PHONE_MAX {
        return Err(PHONE_UNFIT);
    }
    let name: String = tidy(contact.name.trim()).chars().take(NAME_MAX).collect();
    let name = if name.is_empty() { &phone } else { &name };
    let mut params = Params::new();
    params.insert("type".into(), json!("contact"));
    params.insert(
        "contact".into(),
        json!({ "name": name, "phone_number": phone }),
    );
    Ok(params)
}

/// A link: as such where it has no title, which Viber would not show, else as text.
fn shared_link(link: &SharedLink) -> Result<Vec<Params>, Unfit> {
    if link.url.trim().is_empty() {
        return Err(UNSUPPORTED_CONTENT);
    }
    if !link.title.trim().is_empty() || !is_address(&link.url) {
        return Ok(texts(&plain(&lines(&link.title, &link.url))));
    }
    let mut params = Params::new();
    params.insert("type".into(), json!("url"));
    params.insert("media".into(), json!(link.url));
    Ok(vec![params])
}

/// A sticker: one of Viber's own by its number, else the emoji that it stands for, else its picture.
fn sticker(sticker: &Sticker) -> Result<Vec<Params>, Unfit> {
    let file = sticker.attachment.as_ref();
    let known = file.and_then(|file| serde_json::from_slice::<Value>(&file.extension).ok());
    if let Some(number) = known.and_then(|known| value::int(&known, STICKER_ID)) {
        let mut params = Params::new();
        params.insert("type".into(), json!("sticker"));
        params.insert(STICKER_ID.into(), json!(number));
        return Ok(vec![params]);
    }
    if !sticker.emoji.trim().is_empty() {
        return Ok(texts(&plain(&sticker.emoji)));
    }
    let file = file.ok_or(UNSUPPORTED_CONTENT)?;
    file::params(file, "").map(|params| vec![params])
}

fn plain(text: &str) -> Text {
    Text {
        text: text.to_owned(),
        entities: Vec::new(),
    }
}

fn lines(first: &str, second: &str) -> String {
    format!("{}\n{}", first.trim(), second.trim())
}

/// NUL, which Postgres cannot store, becomes U+FFFD.
fn tidy(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn is_address(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.len() <= ADDRESS_MAX && !url.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
