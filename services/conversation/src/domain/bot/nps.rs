//! The question of NPS (F202, F203).

use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_step::{Act, Ask, Send, ask::Expects};

use crate::domain::chat::Chat;
use crate::domain::words::{ChannelKind, Language};
use time::{Duration, OffsetDateTime};

/// How long after the client's last message Instagram takes messages (channels.md §4).
const WINDOW: Duration = Duration::hours(24);

/// How long a score and a comment are waited for.
const WAITED: i32 = 3 * 24 * 60 * 60;

/// What may stand behind a score: out of how many it is, or what is counted.
const COUNTED: [&str; 12] = [
    "",
    "/10",
    "з 10",
    "із 10",
    "из 10",
    "of 10",
    "out of 10",
    "балів",
    "бали",
    "бал",
    "баллов",
    "points",
];

/// Reads a score from 0 to 10: the number alone, as typed or as keyboards make it of digits, also out of ten.
pub fn score(text: &str) -> Option<i32> {
    // Keyboards make an emoji of a digit by two signs that stand after it.
    let plain: String = text
        .chars()
        .filter(|sign| !matches!(sign, '\u{fe0f}' | '\u{20e3}'))
        .collect();
    let plain = plain.trim().trim_end_matches(['.', '!']).trim_end();
    let plain = if plain == "🔟" { "10" } else { plain };
    let plain = plain.strip_prefix('+').unwrap_or(plain).to_lowercase();
    let end = plain.find(|sign: char| !sign.is_ascii_digit());
    let (number, rest) = plain.split_at(end.unwrap_or(plain.len()));
    let rest = rest
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("/ ", "/");
    let digits = (1..=2).contains(&number.len()) && COUNTED.contains(&&*rest);
    let score: i32 = number.parse().ok()?;
    (digits && (0..=10).contains(&score)).then_some(score)
}

/// Reads an answer to the question, which may be several messages that came close upon another: the score, and what was said to
/// it. Of several scores the last one counts.
pub fn read(text: &str) -> Option<(i32, String)> {
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    let mut read = None;
    while let Some(next) = lines.next_if(|line| score(line).is_some()) {
        read = score(next);
    }
    let more: Vec<&str> = lines.map(str::trim).collect();
    read.map(|score| (score, more.join("\n")))
}

/// Why the channel cannot take a message of ours now; none where it can, as far as is known here.
pub fn obstacle(chat: &Chat, now: OffsetDateTime) -> Option<&'static str> {
    let since = now - chat.last_client_message_at;
    (chat.channel_kind == ChannelKind::Instagram && since >= WINDOW).then_some("window-closed")
}

/// The usual questions.
pub fn scenario(language: Language) -> Vec<pb::BotStep> {
    let (ask, comment, thanks) = match language {
        Language::English => (
            "How likely are you to recommend us to a friend? Please answer with a number from 0 (not at all) to 10 (certainly).",
            "Thank you! What is the main reason for your score?",
            "Thank you, that helps us.",
        ),
        Language::Ukrainian => (
            "Наскільки ймовірно, що ви порадите нас друзям? Дайте відповідь числом від 0 (зовсім ні) до 10 (обов'язково).",
            "Дякуємо! Яка головна причина вашої оцінки?",
            "Дякуємо, це нам допоможе.",
        ),
    };
    let text = |text: &str| {
        Some(Text {
            text: text.to_owned(),
            ..Text::default()
        })
    };
    let question = |key: &str, words: &str, expects: Expects| pb::BotStep {
        key: key.to_owned(),
        act: Some(Act::Ask(Ask {
            text: text(words),
            timeout_seconds: WAITED,
            expects: expects.into(),
            ..Ask::default()
        })),
        ..pb::BotStep::default()
    };
    vec![
        question("score", ask, Expects::Score),
        question("comment", comment, Expects::Comment),
        pb::BotStep {
            key: "thanks".to_owned(),
            act: Some(Act::Send(Send { text: text(thanks) })),
            ..pb::BotStep::default()
        },
    ]
}
