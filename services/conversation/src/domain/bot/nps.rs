//! The question of NPS (F202, F203, D15): which words are a score, what counts as its comment, and why a client is not asked.

use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_step::{Act, Ask, Send, ask::Expects};

use crate::domain::ConversationId;
use crate::domain::chat::Chat;
use crate::domain::words::{ChannelKind, Language, NpsSkipped};
use time::{Duration, OffsetDateTime};

/// How long after the client's last message Instagram takes messages (channels.md §4).
const WINDOW: Duration = Duration::hours(24);

/// Seconds for which the usual question waits for a score.
const SCORE_AWAITED: i32 = 3 * 24 * 60 * 60;

/// How long a comment is waited for where the scenario does not say: what the client writes later is about something else.
pub const COMMENT_AWAITED: Duration = Duration::minutes(15);

/// Characters of a comment that agents read in the chat's history; the whole is in the message itself.
const SHOWN_MAX: usize = 200;

/// What may stand between a score and the ten of which it is.
const OF_TEN: [&str; 8] = ["/", "з", "із", "зі", "из", "of", "out of", "от"];

/// What is counted in a score, which is no comment.
const POINTS: [&str; 9] = [
    "балів",
    "бали",
    "бал",
    "балла",
    "баллов",
    "балл",
    "points",
    "point",
    "stars",
];

/// Words that give a score.
const GIVING: &str = "\
    my our score rating mark is i we give rate it a an the say i'd we'd would here \
    моя наша оцінка оценка це это дам дамо даю даємо даем дадим ставлю поставлю ставимо ставим оцінюю оцениваю";

/// Words of kindness beside it, which begin its comment.
const KIND: &str = "\
    thanks thank you thx very much great good super excellent perfect nice ok okay everything all was fine love cool best \
    дякую дякуємо спасибі спасибо дуже добре очень хорошо все всё було было чудово супер відмінно отлично круто класно \
    классно молодці молодцы вам";

/// What may not touch a number that is a score: signs of sums, ranges, ordinals and keys.
const NO_SCORE: &str = "-−–—#№$€£₴₽@/\\_=%<>*°^~";

/// Reads an answer to the question, which may be several messages that came close upon another: the score, and what was said to
/// it. Of several scores the last one counts.
///
/// A score is the only number of the first line, or of the whole: 0 to 10, alone or out of ten, with emoji and words of giving and
/// kindness. With any other word it is none: it may be an order, a time or a place, which would be read by nobody.
pub fn read(text: &str) -> Option<(i32, String)> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    let Some((mut score, said)) = lines.next().and_then(one) else {
        return one(text);
    };
    while said.is_empty()
        && let Some(next) = lines.next_if(|line| one(line).is_some_and(|(_, said)| said.is_empty()))
    {
        score = one(next).map_or(score, |(next, _)| next);
    }
    let mut comment: Vec<&str> = Vec::new();
    comment.extend((!said.is_empty()).then_some(&*said));
    comment.extend(lines);
    Some((score, comment.join("\n")))
}

/// Reads a score and the words beside it.
fn one(text: &str) -> Option<(i32, String)> {
    let plain = plain(text);
    if plain.contains('?')
        || plain
            .chars()
            .any(|sign| sign.is_numeric() && !sign.is_ascii_digit())
    {
        return None;
    }
    let numbers = numbers(&plain);
    let (start, end) = match *numbers {
        [(start, end)] => (start, end),
        // Out of ten.
        [(start, middle), (ten, end)] => {
            let between = plain.get(middle..ten)?.trim().to_lowercase();
            let between = between.split_whitespace().collect::<Vec<_>>().join(" ");
            if plain.get(ten..end)? != "10" || !OF_TEN.contains(&&*between) {
                return None;
            }
            (start, end)
        }
        _ => return None,
    };
    let number_end = numbers.first()?.1;
    let number = plain.get(start..number_end)?;
    let score: i32 = number.parse().ok()?;
    let (before, after) = (plain.get(..start)?, plain.get(end..)?);
    let before = before.strip_suffix('+').unwrap_or(before);
    let stands_alone = |sign: Option<char>| {
        sign.is_none_or(|sign| !sign.is_alphanumeric() && !NO_SCORE.contains(sign))
    };
    let alone = stands_alone(before.chars().next_back()) && stands_alone(after.chars().next());
    if number.len() > 2 || !(0..=10).contains(&score) || !alone {
        return None;
    }
    let (words_before, words_after) = (words(before), words(after));
    let counted = words_after
        .first()
        .is_some_and(|word| POINTS.contains(&&**word));
    let beside_it = words_after.iter().skip(usize::from(counted));
    let mut kind = false;
    for word in words_before.iter().chain(beside_it) {
        let is_kind = lists(KIND, word);
        if !is_kind && !lists(GIVING, word) {
            return None;
        }
        kind |= is_kind;
    }
    if !kind {
        return Some((score, String::new()));
    }
    let after = if counted {
        after
            .trim_start()
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest)
    } else {
        after
    };
    let rest = format!("{} {}", before.trim(), after.trim_start_matches(beside));
    Some((score, rest.trim_matches(beside).to_owned()))
}

fn lists(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|listed| listed == word)
}

/// Text without what keyboards make of digits: two signs that stand after them, or one sign for ten.
fn plain(text: &str) -> String {
    let text = text.replace('🔟', "10");
    let kept = |sign: &char| !matches!(sign, '\u{fe0f}' | '\u{20e3}');
    text.chars().filter(kept).collect()
}

/// Where the numbers of a text begin and end.
fn numbers(text: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.match_indices(|sign: char| sign.is_ascii_digit()) {
        match found.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    let tokens = text.split(|sign: char| sign.is_whitespace() || matches!(sign, ',' | '.' | '!'));
    let tokens = tokens.map(|token| token.trim_matches(|sign: char| !sign.is_alphanumeric()));
    let tokens = tokens.filter(|token| !token.is_empty());
    tokens.map(str::to_lowercase).collect()
}

/// What stands between a score and the words to it.
fn beside(sign: char) -> bool {
    sign.is_whitespace() || matches!(sign, ',' | '.' | ';' | ':' | '-' | '–' | '—' | '!')
}

/// A comment as agents read it in the chat's history.
pub fn shown(comment: &str) -> String {
    let mut shown: String = comment.chars().take(SHOWN_MAX).collect();
    if shown.len() < comment.len() {
        shown.push('…');
    }
    shown
}

/// What is known of whether a client can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// When the client blocked the channel, by the provider's clock; none where nothing is known of it.
    pub blocked_at: Option<OffsetDateTime>,
    /// The channel is switched off, or its provider has refused it.
    pub channel_off: bool,
}

/// Why the channel cannot take a message of ours now; none where it can, as far as is known here.
pub fn obstacle(chat: &Chat, reach: Reach, now: OffsetDateTime) -> Option<NpsSkipped> {
    if reach.channel_off {
        return Some(NpsSkipped::ChannelOff);
    }
    // Who has written since has unblocked it.
    if reach
        .blocked_at
        .is_some_and(|at| at >= chat.last_client_message_at)
    {
        return Some(NpsSkipped::ClientBlocked);
    }
    let since = now - chat.last_client_message_at;
    let closed = chat.channel_kind == ChannelKind::Instagram && since >= WINDOW;
    closed.then_some(NpsSkipped::WindowClosed)
}

/// What is known of the question in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// A bot of NPS runs.
    pub running: bool,
    /// The revision of the conversation at which the question was sent last; 0 where an earlier version sent it, none where it was not
    /// sent.
    pub at: Option<i64>,
    /// The client has given a score.
    pub scored: bool,
    /// The client was asked just before, in another conversation, and opened this one with the answer.
    pub before: bool,
}

impl Asked {
    /// Tells whether NPS was sent for the end to which an open conversation comes (F202); `revision` is the conversation's.
    ///
    /// Each end has its question: one that was sent before the conversation ended and went on again (F210) was about that end. Only who
    /// has given a score is not asked once more, as a conversation has one score; then it is closed without.
    pub fn is_sent(self, revision: i64) -> bool {
        self.running || self.scored || self.at.is_some_and(|at| at == 0 || at == revision)
    }

    /// Tells whether it may be closed as far as NPS goes.
    pub fn is_settled(self, revision: i64) -> bool {
        self.before || self.is_sent(revision)
    }
}

/// Tells whether a conversation's end by a bot leaves its client not asked (F202): nobody is there to press "Send NPS".
/// `asks` tells that the channel's rule does, `settled` that the client was asked or is not to be.
pub const fn skipped_by_bot(by_nps: bool, asks: bool, settled: bool) -> bool {
    !by_nps && asks && !settled
}

/// Tells whether what a client said to a bot of NPS opened a conversation that is not its own: who said that is not asked again.
pub fn answered_before(
    nps: bool,
    own: ConversationId,
    open: Option<ConversationId>,
) -> Option<ConversationId> {
    open.filter(|open| nps && *open != own)
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
    // How long a comment is waited for is the service's to say.
    let question = |key: &str, words: &str, (expects, timeout_seconds)| pb::BotStep {
        key: key.to_owned(),
        act: Some(Act::Ask(Ask {
            text: text(words),
            timeout_seconds,
            expects: Expects::into(expects),
            ..Ask::default()
        })),
        ..pb::BotStep::default()
    };
    vec![
        question("score", ask, (Expects::Score, SCORE_AWAITED)),
        question("comment", comment, (Expects::Comment, 0)),
        pb::BotStep {
            key: "thanks".to_owned(),
            act: Some(Act::Send(Send {
                text: text(thanks),
                attachment_ids: Vec::new(),
            })),
            ..pb::BotStep::default()
        },
    ]
}
