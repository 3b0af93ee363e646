//! Words of chats: of the client and the chat itself, and of the linked entities of CRM by who may see them (F075).

use std::fmt::Write as _;

use chassis::id::{AccountSlug, AgentId};
use uuid::Uuid;

use super::{ASKED_MAX, Scope, short, words};
use crate::domain::ChannelId;
use crate::domain::activity::Reach;
use crate::domain::words::EntityKind;

/// Words of a chat, and of its entities, at most.
const WORDS_MAX: usize = 300;

/// What marks words that everybody finds who sees the chat, and its channel.
const OWN: &str = "w";
const CHANNEL: &str = "#";

/// The end of a phone by which it is found has so many digits at least.
const PHONE_MIN: usize = 4;

/// An entity of CRM that is linked with a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub responsible: Option<AgentId>,
}

/// What marks words of entities of a kind: for who sees all of them, and for who sees own ones. None of kinds that have no names.
const fn marks(kind: EntityKind) -> Option<(&'static str, &'static str)> {
    match kind {
        EntityKind::Contact => Some(("c", "C")),
        EntityKind::Card => Some(("l", "L")),
        _ => None,
    }
}

fn scope(account: &AccountSlug) -> Scope {
    Scope::new(account, "chats")
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Writes what everybody finds a chat by as a `tsvector`: its channel, the words of texts, and the ends of a phone.
pub fn own(account: &AccountSlug, channel: ChannelId, texts: [&str; 4], phone: &str) -> String {
    let scope = scope(account);
    let mut vector = scope.lexeme(CHANNEL, &short(channel.uuid()));
    for word in texts.into_iter().flat_map(words).take(WORDS_MAX) {
        let _ = write!(vector, " {}", scope.lexeme(OWN, &word.normal));
    }
    let phone = digits(phone);
    for start in 0..(phone.len() + 1).saturating_sub(PHONE_MIN).min(WORDS_MAX) {
        let end = phone.get(start..).unwrap_or_default();
        let _ = write!(vector, " {}", scope.lexeme(OWN, end));
    }
    vector
}

/// Writes the words of a chat's entities as a `tsvector`.
pub fn of_entities(account: &AccountSlug, entities: &[Entity]) -> String {
    let scope = scope(account);
    let mut vector = String::new();
    let marked = entities
        .iter()
        .filter_map(|entity| Some((entity, marks(entity.kind)?)));
    let words = marked
        .flat_map(|(entity, marks)| words(&entity.name).map(move |word| (entity, marks, word)));
    for (entity, (all, own), word) in words.take(WORDS_MAX) {
        let _ = write!(vector, " {}", scope.lexeme(all, &word.normal));
        if let Some(agent) = entity.responsible {
            let own = format!("{own}{}/", short(agent.uuid()));
            let _ = write!(vector, " {}", scope.lexeme(&own, &word.normal));
        }
    }
    vector
}

/// Writes a question as a `tsquery`: each word is the beginning of one of the chat's, or of one of an entity within reach. None
/// for a question without any word.
pub fn query(
    account: &AccountSlug,
    reach: &Reach,
    channel: Option<ChannelId>,
    text: &str,
) -> Option<String> {
    let scope = scope(account);
    let mut prefixes = vec![OWN.to_owned()];
    for kind in [EntityKind::Contact, EntityKind::Card] {
        let Some((all, own)) = marks(kind) else {
            continue;
        };
        if reach.all.contains(&kind.as_str()) {
            prefixes.push(all.to_owned());
        } else if let (true, Some(agent)) = (reach.own.contains(&kind.as_str()), reach.agent) {
            prefixes.push(format!("{own}{}/", short(agent.uuid())));
        }
    }
    let is_phone = |c: char| c.is_ascii_digit() || " +-().".contains(c);
    let asked = if text.chars().all(is_phone) && digits(text).len() >= PHONE_MIN {
        vec![digits(text)]
    } else {
        words(text)
            .map(|word| word.normal)
            .take(ASKED_MAX)
            .collect()
    };
    if asked.is_empty() {
        return None;
    }
    let mut all: Vec<String> = Vec::new();
    for word in &asked {
        let one = prefixes.iter().map(|mark| scope.lexeme(mark, word) + ":*");
        all.push(one.collect::<Vec<_>>().join(" | "));
    }
    let of_channel = |id: &Uuid| scope.lexeme(CHANNEL, &short(*id));
    let channels = match (channel, &reach.channels) {
        (Some(one), _) => Some(vec![one.uuid()]),
        (None, granted) => granted.clone(),
    };
    if let Some(channels) = channels {
        // Where there are none, one that no chat has.
        let channels = channels
            .iter()
            .map(of_channel)
            .chain([scope.lexeme(CHANNEL, "")]);
        all.push(channels.collect::<Vec<_>>().join(" | "));
    }
    Some(format!("({})", all.join(") & (")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, KindAccess, View};

    fn acme() -> (AccountSlug, String) {
        let acme = AccountSlug::parse("acme").unwrap();
        let prefix = scope(&acme).0;
        (acme, prefix)
    }

    #[test]
    fn f075_a_chat_has_the_words_of_its_client_and_of_its_entities() {
        let (acme, prefix) = acme();
        let texts = ["Олена", "olena_k", "o@x.ua", ""];
        let own = own(&acme, Uuid::from_u128(1).into(), texts, "+380441");
        let expected = "'.#00000001' '.wолена' '.wolena' '.wk' '.wo' '.wx' '.wua' '.w380441' '.w80441' '.w0441'";
        assert_eq!(own, expected.replace('.', &prefix));
        let entity = |kind, name: &str, responsible: Option<u128>| Entity {
            kind,
            name: name.into(),
            responsible: responsible.map(|id| Uuid::from_u128(id).into()),
        };
        let entities = [
            entity(EntityKind::Contact, "Ada", None),
            entity(EntityKind::Card, "Шафа", Some(5)),
            entity(EntityKind::Company, "Kava", None),
        ];
        let expected = " '.cada' '.lшафа' '.L00000005/шафа'".replace('.', &prefix);
        assert_eq!(of_entities(&acme, &entities), expected);
    }

    #[test]
    fn f075_f177_a_question_asks_for_beginnings_within_the_callers_reach() {
        let (acme, prefix) = acme();
        let record = |chats, leads, contacts, channels| AccessRecord {
            agent: Uuid::from_u128(5).into(),
            version: 1,
            active: true,
            channels,
            chats,
            leads: KindAccess {
                create: true,
                view: leads,
            },
            contacts: KindAccess {
                create: true,
                view: contacts,
            },
            settings: true,
        };
        let (full, limited) = (ChatAccess::Full, ChatAccess::Limited);
        let some =
            |ids: &[u128]| ChannelGrant::Some(ids.iter().map(|id| Uuid::from_u128(*id)).collect());
        let all = || ChannelGrant::All;
        for (record, text, expected) in [
            (
                None,
                "Ол к",
                "('.wол':* | '.cол':* | '.lол':*) & ('.wк':* | '.cк':* | '.lк':*)",
            ),
            (
                None,
                "+38 (044) 1",
                "('.w380441':* | '.c380441':* | '.l380441':*)",
            ),
            (
                Some(record(full, View::Own, View::None, all())),
                "a",
                "('.wa':* | '.L00000005/a':*)",
            ),
            (
                Some(record(full, View::None, View::Own, all())),
                "a",
                "('.wa':* | '.C00000005/a':*)",
            ),
            (
                Some(record(limited, View::All, View::All, all())),
                "a",
                "('.wa':*)",
            ),
            (
                Some(record(limited, View::All, View::All, some(&[1]))),
                "a",
                "('.wa':*) & ('.#00000001' | '.#')",
            ),
            (
                Some(record(limited, View::All, View::All, some(&[]))),
                "a",
                "('.wa':*) & ('.#')",
            ),
        ] {
            let query = query(&acme, &Reach::of(record.as_ref()), None, text).unwrap();
            assert_eq!(query, expected.replace('.', &prefix), "{text}");
        }
        let reach = Reach::of(Some(&record(limited, View::All, View::All, some(&[1]))));
        let one = query(&acme, &reach, Some(Uuid::from_u128(2).into()), "a").unwrap();
        assert!(one.ends_with("#')") && one.contains("#00000002") && !one.contains("#00000001"));
        assert_eq!(query(&acme, &reach, None, " - "), None);
    }
}
