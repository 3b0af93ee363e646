//! Who sees and who changes whose quick replies (B14).

use chassis::access::ChatAccess;

use super::*;

#[tokio::test]
async fn b14_everybody_sees_what_is_theirs_and_changes_what_they_may() {
    let shop = Shop::new().await;
    shop.others.sales.lock().unwrap().insert(agent("ann"));
    let ids = shop.one_of_each().await;
    let mut none = full_access(agent("eve"));
    (none.chats, none.settings) = (ChatAccess::None, false);
    let eve = caller(
        &shop.world.account,
        agent("eve"),
        &["chats:*", "channels:*"],
        none,
    );
    let mut limited = full_access(agent("lea"));
    (limited.chats, limited.settings) = (ChatAccess::Limited, false);
    let lea = caller(&shop.world.account, agent("lea"), &["chats:*"], limited);
    let reader = service_caller(Some(&shop.world.account), "r", &["chats:*"], None);
    let narrow = caller(
        &shop.world.account,
        agent("admin"),
        &["chats:*"],
        full_access(agent("admin")),
    );
    let (seen, refused, hidden) = (Ok(()), Err(Code::PermissionDenied), Err(Code::NotFound));
    // Of account, group, ann and bob: who sees it, and who changes it.
    for (name, by, sees, changes) in [
        (
            "ann",
            shop.agent("ann"),
            [seen, seen, seen, hidden],
            [refused, refused, seen, hidden],
        ),
        (
            "bob",
            shop.agent("bob"),
            [seen, hidden, hidden, seen],
            [refused, hidden, hidden, seen],
        ),
        (
            "lea",
            lea,
            [seen, hidden, hidden, hidden],
            [refused, hidden, hidden, hidden],
        ),
        ("eve", eve, [refused; 4], [refused; 4]),
        (
            "admin",
            shop.admin(),
            [seen, seen, hidden, hidden],
            [seen, seen, hidden, hidden],
        ),
        (
            "without the scope",
            narrow,
            [seen, hidden, hidden, hidden],
            [refused, hidden, hidden, hidden],
        ),
        ("service", shop.service(), [seen; 4], [seen; 4]),
        ("reading service", reader, [seen; 4], [refused; 4]),
    ] {
        for (place, of) in ["account", "group", "ann", "bob"].into_iter().enumerate() {
            let id = &ids[of];
            let got = shop.get(&by, id).await;
            assert_eq!(
                got.map(drop).map_err(|status| status.code()),
                sees[place],
                "{name} sees {of}'s"
            );
            let change = pb::UpdateQuickReplyRequest {
                quick_reply_id: id.clone(),
                folder: Some(name.into()),
                ..Default::default()
            };
            let changed = shop.update(&by, change).await;
            assert_eq!(
                changed.map(drop).map_err(|status| status.code()),
                changes[place],
                "{name} changes {of}'s"
            );
            if changes[place].is_err() {
                let deleted = shop.delete(&by, id).await.map_err(|status| status.code());
                assert_eq!(deleted, changes[place], "{name} deletes {of}'s");
            }
        }
    }
}

#[tokio::test]
async fn b14_lists_have_what_is_used_or_what_may_be_changed() {
    let shop = Shop::new().await;
    shop.others.sales.lock().unwrap().insert(agent("ann"));
    shop.one_of_each().await;
    let (used, changeable) = (
        pb::ListQuickRepliesRequest::default(),
        pb::ListQuickRepliesRequest {
            changeable: true,
            ..Default::default()
        },
    );
    let of_kind = |kind: OwnerKind| pb::ListQuickRepliesRequest {
        owner_kind: kind.into(),
        ..Default::default()
    };
    let reader = service_caller(Some(&shop.world.account), "r", &["chats:*"], None);
    for (name, by, ask, expected) in [
        (
            "ann's",
            shop.agent("ann"),
            used.clone(),
            vec!["account", "ann", "group"],
        ),
        (
            "bob's",
            shop.agent("bob"),
            used.clone(),
            vec!["account", "bob"],
        ),
        (
            "ann changes",
            shop.agent("ann"),
            changeable.clone(),
            vec!["ann"],
        ),
        ("the admin's", shop.admin(), used.clone(), vec!["account"]),
        (
            "the admin changes",
            shop.admin(),
            changeable.clone(),
            vec!["account", "group"],
        ),
        (
            "the service's",
            shop.service(),
            used,
            vec!["account", "ann", "bob", "group"],
        ),
        (
            "the service changes",
            shop.service(),
            changeable.clone(),
            vec!["account", "ann", "bob", "group"],
        ),
        ("the reader changes", reader, changeable, vec![]),
        (
            "of groups",
            shop.agent("ann"),
            of_kind(OwnerKind::Group),
            vec!["group"],
        ),
        (
            "of the account",
            shop.agent("ann"),
            of_kind(OwnerKind::Account),
            vec!["account"],
        ),
        (
            "own",
            shop.agent("ann"),
            of_kind(OwnerKind::Agent),
            vec!["ann"],
        ),
    ] {
        assert_eq!(shop.titles(&by, ask.clone()).await, expected, "{name}");
        // Sought, it is the same.
        let mut found = Vec::new();
        for word in ["acc", "ann", "bob", "gro"] {
            let search = word.into();
            found.extend(
                shop.titles(
                    &by,
                    pb::ListQuickRepliesRequest {
                        search,
                        ..ask.clone()
                    },
                )
                .await,
            );
        }
        found.sort_unstable();
        assert_eq!(found, expected, "{name}, sought");
    }
}

#[tokio::test]
async fn b14_another_account_has_nothing_of_it() {
    let shop = Shop::new().await;
    shop.others.sales.lock().unwrap().insert(agent("ann"));
    let ids = shop.one_of_each().await;
    shop.world
        .receive(&[shop.world.message("7", "1", at(0), "Hello")])
        .await;
    let other = chassis::testing::account("other");
    let scopes = ["chats:*", "channels:*"];
    for by in [
        service_caller(Some(&other), "shop", &scopes, None),
        caller(&other, agent("ann"), &scopes, full_access(agent("ann"))),
    ] {
        for id in ids.values() {
            let change = pb::UpdateQuickReplyRequest {
                quick_reply_id: id.clone(),
                ..Default::default()
            };
            for code in [
                shop.get(&by, id).await.unwrap_err().code(),
                shop.update(&by, change).await.unwrap_err().code(),
                shop.delete(&by, id).await.unwrap_err().code(),
                shop.render(&by, "7", id).await.unwrap_err().code(),
            ] {
                assert_eq!(code, Code::NotFound);
            }
        }
        for search in ["", "a"] {
            let ask = pb::ListQuickRepliesRequest {
                search: search.into(),
                ..Default::default()
            };
            assert!(shop.list(&by, ask).await.unwrap().is_empty());
        }
    }
    // A chat beyond the record does not exist, whatever is rendered.
    let mut elsewhere = full_access(agent("ann"));
    elsewhere.channels = chassis::access::ChannelGrant::Some([Uuid::from_u128(5)].into());
    let ann = caller(&shop.world.account, agent("ann"), &scopes, elsewhere);
    let refused = shop.render(&ann, "7", &ids["ann"]).await.unwrap_err();
    assert_eq!(reason(&refused), "CHAT_NOT_FOUND");
}

#[tokio::test]
async fn b14_assignment_is_asked_only_where_groups_have_replies_and_nothing_is_guessed_while_it_is_away()
 {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    shop.create(&ann, own("Hello", "Hello")).await.unwrap();
    *shop.others.away.lock().unwrap() = true;
    assert_eq!(shop.titles(&ann, everything()).await, ["Hello"]);
    assert_eq!(*shop.others.asked.lock().unwrap(), 0);
    *shop.others.away.lock().unwrap() = false;
    let of_group = new(OwnerKind::Group, &SALES.to_string(), "Group", "x");
    let of_group = shop.create(&shop.admin(), of_group).await.unwrap();
    *shop.others.away.lock().unwrap() = true;
    let refused = [
        shop.list(&ann, everything()).await.map(drop),
        shop.get(&ann, &of_group.quick_reply_id).await.map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(reason(&refused), "DEPENDENCY_AWAY");
    }
    // Whoever may change settings sees it for that, and a service sees all: nobody is asked.
    let changeable = pb::ListQuickRepliesRequest {
        changeable: true,
        ..Default::default()
    };
    assert_eq!(shop.titles(&shop.admin(), changeable).await, ["Group"]);
    assert_eq!(shop.titles(&shop.service(), everything()).await.len(), 2);
}
