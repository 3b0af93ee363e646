use time::Duration;
use time::macros::datetime;

use super::*;

const ACTIVATED: OffsetDateTime = datetime!(2026-05-01 12:00:00 UTC);

fn rule(mode: Mode) -> Connection {
    Connection {
        mode,
        activated_at: ACTIVATED,
        ..Connection::OFF
    }
}

/// A client opened a new chat; nothing else is known of them.
fn fresh() -> Facts {
    Facts {
        opened_by_client: true,
        chat_created_at: ACTIVATED,
        cards_ever_linked: 0,
        card_in_work: false,
        order_in_work: false,
        contact_cards: 0,
        buyer: false,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn f005_f017_f212_f213_each_rule_decides_as_the_design_says() {
    use Mode::{ContactWithoutCards, OneTime, Repeat};
    let by_agent = Facts {
        opened_by_client: false,
        ..fresh()
    };
    let old_chat = Facts {
        chat_created_at: ACTIVATED - Duration::MICROSECOND,
        ..fresh()
    };
    let closed_card = Facts {
        cards_ever_linked: 1,
        contact_cards: 1,
        ..fresh()
    };
    let open_card = Facts {
        card_in_work: true,
        ..closed_card.clone()
    };
    let order = Facts {
        order_in_work: true,
        buyer: true,
        ..fresh()
    };
    let buyer = Facts {
        buyer: true,
        ..fresh()
    };
    let elsewhere = Facts {
        contact_cards: 1,
        ..fresh()
    };
    let deleted = Facts {
        cards_ever_linked: 1,
        ..fresh()
    };
    let table = [
        ("F006 off", rule(Mode::None), fresh(), Rule::ConnectionOff),
        ("F007 first", rule(OneTime), fresh(), Rule::FirstCardOfChat),
        (
            "F008 once only, though closed",
            rule(OneTime),
            closed_card.clone(),
            Rule::CardEverLinked,
        ),
        (
            "F009 a deleted one counts",
            rule(OneTime),
            deleted,
            Rule::CardEverLinked,
        ),
        (
            "F010 order without a card",
            rule(OneTime),
            order.clone(),
            Rule::OrderInWork,
        ),
        (
            "one-time per chat, not per client",
            rule(OneTime),
            elsewhere.clone(),
            Rule::FirstCardOfChat,
        ),
        (
            "F011 nothing in work",
            rule(Repeat),
            fresh(),
            Rule::NothingInWork,
        ),
        (
            "F012 card in work",
            rule(Repeat),
            open_card.clone(),
            Rule::CardInWork,
        ),
        (
            "F014 closed cards do not block",
            rule(Repeat),
            closed_card.clone(),
            Rule::NothingInWork,
        ),
        (
            "F015 order in work",
            rule(Repeat),
            order.clone(),
            Rule::OrderInWork,
        ),
        (
            "F014 a buyer without work",
            rule(Repeat),
            buyer.clone(),
            Rule::NothingInWork,
        ),
        (
            "F031 no buyer yet",
            rule(Repeat),
            fresh(),
            Rule::NothingInWork,
        ),
        (
            "F212 no card at all",
            rule(ContactWithoutCards),
            fresh(),
            Rule::ContactWithoutCards,
        ),
        (
            "F212 a card in another chat",
            rule(ContactWithoutCards),
            elsewhere,
            Rule::ContactHasCards,
        ),
        (
            "F212 a buyer",
            rule(ContactWithoutCards),
            buyer,
            Rule::ContactIsBuyer,
        ),
        (
            "F023 an agent opened",
            rule(Repeat),
            by_agent.clone(),
            Rule::OpenedByAgent,
        ),
        (
            "F213 an agent opened",
            rule(ContactWithoutCards),
            by_agent,
            Rule::OpenedByAgent,
        ),
        (
            "F021 an older chat",
            rule(Repeat),
            old_chat.clone(),
            Rule::ChatOlderThanRule,
        ),
        (
            "D03 an older chat, opted in",
            Connection {
                include_existing_chats: true,
                ..rule(OneTime)
            },
            old_chat,
            Rule::FirstCardOfChat,
        ),
        (
            "the card is told before the order",
            rule(Repeat),
            Facts {
                order_in_work: true,
                ..open_card
            },
            Rule::CardInWork,
        ),
    ];
    for (name, connection, facts, expected) in table {
        let decision = decide(&connection, &facts);
        assert_eq!(decision.rule, expected, "{name}");
        assert_eq!(decision.create, expected.creates_card(), "{name}");
    }
}

/// The table of §6 once more, written as it stands in the text and not as a list of reasons.
fn oracle(connection: &Connection, facts: &Facts) -> bool {
    let always_skipped = connection.mode == Mode::None
        || !facts.opened_by_client
        || (!connection.include_existing_chats && connection.activated_at > facts.chat_created_at);
    if always_skipped {
        return false;
    }
    match connection.mode {
        Mode::None => unreachable!("skipped above"),
        Mode::OneTime => facts.cards_ever_linked == 0 && !facts.order_in_work,
        Mode::Repeat => !(facts.card_in_work || facts.order_in_work),
        Mode::ContactWithoutCards => facts.contact_cards == 0 && !facts.buyer,
    }
}

/// Which reason the text allows for a skip: it must hold, and nothing that is named before it may.
fn reason_holds(rule: Rule, connection: &Connection, facts: &Facts) -> bool {
    match rule {
        Rule::ConnectionOff => connection.mode == Mode::None,
        Rule::OpenedByAgent => !facts.opened_by_client,
        Rule::ChatOlderThanRule => {
            !connection.include_existing_chats && connection.activated_at > facts.chat_created_at
        }
        Rule::CardEverLinked => connection.mode == Mode::OneTime && facts.cards_ever_linked > 0,
        Rule::CardInWork => connection.mode == Mode::Repeat && facts.card_in_work,
        Rule::OrderInWork => connection.mode != Mode::ContactWithoutCards && facts.order_in_work,
        Rule::ContactHasCards => {
            connection.mode == Mode::ContactWithoutCards && facts.contact_cards > 0
        }
        Rule::ContactIsBuyer => connection.mode == Mode::ContactWithoutCards && facts.buyer,
        Rule::FirstCardOfChat => connection.mode == Mode::OneTime,
        Rule::NothingInWork => connection.mode == Mode::Repeat,
        Rule::ContactWithoutCards => connection.mode == Mode::ContactWithoutCards,
    }
}

#[test]
fn every_combination_of_facts_agrees_with_a_second_reading_of_the_design() {
    let both = [false, true];
    let mut combinations = 0;
    for mode in Mode::ALL.iter().copied() {
        for scope in Scope::ALL.iter().copied() {
            for include_existing_chats in both {
                let connection = Connection {
                    scope,
                    include_existing_chats,
                    ..rule(mode)
                };
                for bits in 0..2_u32.pow(5) {
                    let bit = |n: u32| bits & (1 << n) != 0;
                    for cards_ever_linked in [0, 1, 2] {
                        for contact_cards in [0, 1, 2] {
                            let facts = Facts {
                                opened_by_client: bit(0),
                                chat_created_at: ACTIVATED
                                    + Duration::SECOND * if bit(1) { 1 } else { -1 },
                                cards_ever_linked,
                                card_in_work: bit(2),
                                order_in_work: bit(3),
                                contact_cards,
                                buyer: bit(4),
                            };
                            let decision = decide(&connection, &facts);
                            let case = format!("{connection:?} {facts:?}");
                            assert_eq!(decision.create, oracle(&connection, &facts), "{case}");
                            assert_eq!(decision.create, decision.rule.creates_card(), "{case}");
                            assert!(reason_holds(decision.rule, &connection, &facts), "{case}");
                            let first = Rule::ALL
                                .iter()
                                .filter(|rule| !rule.creates_card())
                                .find(|rule| reason_holds(**rule, &connection, &facts));
                            assert_eq!(first.is_none(), decision.create, "{case}");
                            assert!(first.is_none_or(|rule| *rule == decision.rule), "{case}");
                            combinations += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 4 * 2 * 2 * 32 * 9);
}

#[test]
fn x01_deciding_again_after_the_card_exists_creates_no_second() {
    for mode in Mode::ALL.iter().copied() {
        let first = decide(&rule(mode), &fresh());
        let after = Facts {
            cards_ever_linked: 1,
            contact_cards: 1,
            card_in_work: true,
            ..fresh()
        };
        assert!(
            !(first.create && decide(&rule(mode), &after).create),
            "{mode:?}"
        );
    }
}

#[test]
fn words_survive_being_written_and_read() {
    for rule in Rule::ALL.iter().copied() {
        assert_eq!(Rule::try_from(rule.as_str()), Ok(rule));
        assert!(rule.explanation().ends_with('.'));
    }
    assert!(Rule::try_from("SOMETHING_NEW").is_err());
}
