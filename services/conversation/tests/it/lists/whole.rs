//! Whatever a list is narrowed to, and whichever statement reads it: it holds what its filters hold, in order, page by page.

use std::cmp::Reverse;

use conversation::domain::chat::Chat;
use conversation::store::chat::{self, Narrowing, Whose};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::world::World;

/// Chats of all kinds: three channels, three responsibles, all states, some waiting, unread, snoozed, spam.
const CHATS: &str = "
    insert into client (client_id, account, scope, user_id, name, username, phone, email, language, profile_time, created_at)
        values ('00000000-0000-0000-0000-000000000001', 'acme', 's', 'u', '', '', '', '', '', now(), now());
    insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, state, conversation_id, number, responsible,
                      last_client_message_at, created_at, waiting, unread, spam, snoozed)
        select gen_random_uuid(), 'acme', ('00000000-0000-0000-0000-00000000000' || 1 + n % 3)::uuid, 'telegram-bot', n::text,
            '00000000-0000-0000-0000-000000000001',
            case n / 3 % 4 when 0 then 'unassigned' when 1 then 'active' else 'inactive' end,
            case when n / 3 % 4 < 2 then gen_random_uuid() end, case when n / 3 % 4 < 2 then n else 0 end,
            case when n / 3 % 4 = 0 then null else ('00000000-0000-0000-0000-0000000000a' || n / 12 % 3)::uuid end,
            now() - n / 2 * interval '1 second', now(), n % 5 < 2, n % 7 < 3, n % 11 = 0, n % 13 = 0
        from generate_series(1, 401) n";

async fn all(connection: &mut PgConnection, world: &World) -> Vec<Chat> {
    let everything = Narrowing::default();
    chat::list(
        connection,
        &world.account,
        &everything,
        Whose::All,
        None,
        1_000,
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn d07_f074_f076_f077_f078_f209_a_list_holds_what_its_filters_hold() {
    let world = World::new().await;
    sqlx::raw_sql(CHATS).execute(&world.db.pool).await.unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let all = all(&mut connection, &world).await;
    assert_eq!(all.len(), 401);
    let channel = |number: u128| Uuid::from_u128(number);
    let agent = Uuid::from_u128(0xa1).into();
    let states = [
        None,
        Some(vec!["active"]),
        Some(vec!["unassigned"]),
        Some(vec!["inactive"]),
        Some(vec!["unassigned", "active"]),
        Some(vec!["inactive", "active"]),
        Some(vec![]),
    ];
    let granted = [
        None,
        Some(vec![]),
        Some(vec![channel(1)]),
        Some(vec![channel(2), channel(3), channel(9)]),
    ];
    let flags = [
        (false, None, None),
        (true, None, None),
        (false, Some(true), None),
        (false, Some(false), Some(false)),
        (true, None, Some(true)),
    ];
    let mut compared = 0;
    for states in &states {
        for granted in &granted {
            for one in [None, Some(channel(2)), Some(channel(9))] {
                for (waiting_only, unread, snoozed) in flags {
                    let narrowing = Narrowing {
                        granted: granted.clone(),
                        channel: one.map(Into::into),
                        states: states
                            .as_ref()
                            .map(|states| states.iter().map(ToString::to_string).collect()),
                        waiting_only,
                        unread,
                        snoozed,
                        ..Narrowing::default()
                    };
                    for whose in [
                        Whose::All,
                        Whose::Nobodys,
                        Whose::Of(agent),
                        Whose::WorkedBy(agent),
                    ] {
                        let held = all
                            .iter()
                            .filter(|chat| narrowing.holds(chat) && whose.holds(chat, |_| false));
                        let mut expected: Vec<_> = held
                            .map(|chat| (chat.last_client_message_at, chat.id))
                            .collect();
                        expected.sort_by_key(|place| Reverse(*place));
                        let mut listed = Vec::new();
                        loop {
                            let page = chat::list(
                                &mut connection,
                                &world.account,
                                &narrowing,
                                whose,
                                listed.last().copied(),
                                40,
                            )
                            .await
                            .unwrap();
                            let full = page.len() == 40;
                            listed.extend(
                                page.iter()
                                    .map(|chat| (chat.last_client_message_at, chat.id)),
                            );
                            if !full {
                                break;
                            }
                        }
                        assert_eq!(listed, expected, "{narrowing:?} {whose:?}");
                        compared += usize::from(!listed.is_empty());
                    }
                }
            }
        }
    }
    assert!(compared > 300, "{compared} lists had chats");
}
