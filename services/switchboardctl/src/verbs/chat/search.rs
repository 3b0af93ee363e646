//! Messages that are searched for by their words.

use switchboard_proto::conversation::v1::{FoundMessage, SearchMessagesRequest, Snippet, message};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::table::harmless;
use crate::output::{Cell, Show, View, cell, note, say, words};
use crate::verbs::Page;
use crate::verbs::audit::Moment;

/// What is searched for.
#[derive(clap::Args)]
pub(crate) struct SearchArgs {
    /// The words, the last one by its beginning; `"words in quotes"` one after the other, `-word` for none, `or`
    #[arg(required = true)]
    words: Vec<String>,
    /// Only messages of this channel
    #[arg(long, value_name = "UUID")]
    channel: Option<Uuid>,
    /// Only messages of this chat
    #[arg(long, value_name = "UUID")]
    chat: Option<Uuid>,
    /// Only messages from this time on, as 2h, 30d or 2026-03-02T18:00:00+02:00
    #[arg(long = "from", value_name = "TIME")]
    since: Option<Moment>,
    /// Only messages before this time
    #[arg(long = "to", value_name = "TIME")]
    until: Option<Moment>,
    #[command(flatten)]
    page: Page,
}

impl Show for FoundMessage {
    const NAME: &'static str = "switchboard.conversation.v1.FoundMessage";
    const HEADERS: &'static [&'static str] = &["ID", "CLIENT", "FROM", "WHEN", "CHAT"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let message = self.message.clone().unwrap_or_default();
        let from = match message.kind() {
            message::Kind::Agent | message::Kind::Note => view.name(&message.agent_id),
            kind => words::word(kind.as_str_name(), "KIND_"),
        };
        vec![
            cell(&message.message_id),
            cell(&self.client_name),
            cell(from),
            cell(words::ago(message.time.as_ref(), view.now)),
            cell(&message.chat_id),
        ]
    }
}

/// Writes a snippet; the words that were found stand out on a terminal.
fn marked(snippet: &Snippet, colour: bool) -> String {
    let (bold, plain) = if colour {
        ("\u{1b}[1;33m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    let units: Vec<u16> = snippet.text.encode_utf16().collect();
    let part = |from: usize, to: usize| {
        let units = units.get(from..to).unwrap_or_default();
        harmless(&String::from_utf16_lossy(units))
    };
    let place = |units: u32| usize::try_from(units).unwrap_or(usize::MAX);
    let (mut text, mut at) = (String::new(), 0);
    for range in &snippet.matches {
        let (start, end) = (place(range.offset), place(range.offset + range.length));
        let pieces = [&*part(at, start), bold, &*part(start, end), plain];
        text.extend(pieces);
        at = end;
    }
    text + &part(at, units.len())
}

/// Searches, and shows what was found: who, when and where, and below it the words.
pub(super) async fn run(args: SearchArgs, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.search(&session.role().await?).await?;
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let wanted = SearchMessagesRequest {
        text: args.words.join(" "),
        chat_id: id(args.chat),
        channel_id: id(args.channel),
        since_time: args.since.and_then(|since| since.stamp(view.now)),
        until_time: args.until.and_then(|until| until.stamp(view.now)),
        ..SearchMessagesRequest::default()
    };
    let mut cut = false;
    let ask = async |page_size, page_token| {
        let request = SearchMessagesRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.search_messages(request).await?.into_inner();
        cut |= page.cut;
        Ok((page.hits, page.next_page_token))
    };
    let (hits, next) = args.page.read(ask).await?;
    if cut {
        note!("there are more than 10,000: only the newest were looked at");
    }
    if !view.is_table() || hits.is_empty() {
        return view.list(&hits, &next);
    }
    for hit in &hits {
        let cells = hit.cells(view);
        let [id, client, from, when, chat] = cells.as_slice() else {
            continue;
        };
        say!("{}  from {}  {}", client.text(), from.text(), when.text());
        let snippet = hit.snippet.as_ref();
        say!(
            "  {}",
            snippet
                .map(|snippet| marked(snippet, view.colour))
                .unwrap_or_default()
        );
        say!("  chat {}  message {}", chat.text(), id.text());
    }
    View::tell_more(&next);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::conversation::v1::TextRange;

    #[test]
    fn b12_found_words_stand_out_on_a_terminal_alone() {
        let range = |offset, length| TextRange { offset, length };
        let snippet = Snippet {
            text: "😀 ціна \u{1b}[2J і ціна".into(),
            matches: vec![range(3, 4), range(15, 4), range(90, 4)],
        };
        let plain = "😀 ціна \\u{1b}[2J і ціна";
        assert_eq!(marked(&snippet, false), plain);
        let marked = marked(&snippet, true);
        assert_eq!(marked.matches("\u{1b}[1;33mціна\u{1b}[0m").count(), 2);
        assert!(!marked.contains("\u{1b}[2J"));
    }
}
