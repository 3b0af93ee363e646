//! How quick replies are found: by words, by folder, page by page, and by which index (F095).

use conversation::store::quick_replies::{self as store, Groups, Narrowing, Sought, Whose};
use sqlx::Row as _;

use super::*;

fn search(text: &str) -> pb::ListQuickRepliesRequest {
    pb::ListQuickRepliesRequest {
        search: text.into(),
        page_size: 1,
        ..Default::default()
    }
}

#[tokio::test]
async fn f095_replies_are_found_by_beginnings_of_words_shortcuts_first() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    for (shortcut, title, text) in [
        ("price", "Zero cost", "It costs nothing"),
        ("", "Ціни на доставку", "Доставка коштує 50 грн"),
        ("", "Delivery", "The price of delivery is 50"),
        ("pre-order", "Later", "Not yet"),
        ("", "All prices", "See our site"),
    ] {
        let new = pb::CreateQuickReplyRequest {
            shortcut: shortcut.into(),
            ..own(title, text)
        };
        shop.create(&ann, new).await.unwrap();
    }
    let all = [
        "All prices",
        "Delivery",
        "Later",
        "Zero cost",
        "Ціни на доставку",
    ];
    for (text, expected) in [
        ("price", vec!["Zero cost", "All prices", "Delivery"]),
        ("/pri", vec!["Zero cost", "All prices", "Delivery"]),
        ("PR", vec!["Later", "Zero cost", "All prices", "Delivery"]),
        ("pre-o", vec!["Later"]),
        ("prices our", vec!["All prices"]),
        ("деливери", vec![]),
        ("дост цін", vec!["Ціни на доставку"]),
        ("50", vec!["Delivery", "Ціни на доставку"]),
        ("rice", vec![]),
        ("/", all.to_vec()),
        ("", all.to_vec()),
        ("it's '); drop", vec![]),
        ("':* | 'a", vec!["All prices"]),
    ] {
        let mut found = shop.titles(&ann, search(text)).await;
        if text.len() < 2 {
            // The order of scripts is the database's.
            found.sort_unstable();
        }
        assert_eq!(found, expected, "{text}");
    }
    let refused = shop.list(&ann, search(&"x".repeat(201))).await.unwrap_err();
    assert_eq!(named(&refused).0, "search");

    // What it says now is what it is found by.
    let found = shop.list(&ann, search("delivery")).await.unwrap();
    let change = pb::UpdateQuickReplyRequest {
        quick_reply_id: found[0].quick_reply_id.clone(),
        text: Some(plain("Courier")),
        ..Default::default()
    };
    shop.update(&ann, change).await.unwrap();
    assert_eq!(shop.titles(&ann, search("50")).await, ["Ціни на доставку"]);
    assert_eq!(shop.titles(&ann, search("cour")).await, ["Delivery"]);
}

#[tokio::test]
async fn f094_folders_are_those_that_replies_name() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.agent("ann"), shop.agent("bob"));
    for (by, folder, title) in [
        (&ann, "Sales", "a"),
        (&ann, "Sales", "b"),
        (&ann, "Delivery", "c"),
        (&ann, "", "d"),
        (&bob, "Secret", "e"),
    ] {
        let new = pb::CreateQuickReplyRequest {
            folder: folder.into(),
            ..own(title, "x")
        };
        shop.create(by, new).await.unwrap();
    }
    let (mut folders, mut page_token) = (Vec::new(), String::new());
    loop {
        let ask = pb::ListQuickReplyFoldersRequest {
            page_size: 1,
            page_token,
        };
        let page = shop.api.list_quick_reply_folders(request(&ann, ask)).await;
        let page = page.unwrap().into_inner();
        folders.extend(
            page.folders
                .into_iter()
                .map(|one| (one.name, one.quick_replies)),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        folders,
        [("Delivery".to_owned(), 1), ("Sales".to_owned(), 2)]
    );
    for (folder, search, expected) in [
        ("Sales", "", vec!["a", "b"]),
        ("Sales", "b", vec!["b"]),
        ("Sales", "c", vec![]),
        ("Secret", "", vec![]),
        ("None", "", vec![]),
    ] {
        let ask = pb::ListQuickRepliesRequest {
            folder: folder.into(),
            search: search.into(),
            ..Default::default()
        };
        assert_eq!(shop.titles(&ann, ask).await, expected, "{folder} {search}");
    }
    for wrong in [
        pb::ListQuickRepliesRequest {
            page_token: "x".into(),
            ..Default::default()
        },
        pb::ListQuickRepliesRequest {
            owner_kind: 9,
            ..Default::default()
        },
        pb::ListQuickRepliesRequest {
            page_size: -1,
            ..Default::default()
        },
    ] {
        let refused = shop.list(&ann, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn f094_a_long_list_comes_in_pages_each_once() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    for place in 0..7 {
        // Two and two have the same title: the page must not lose one of them.
        let new = own(&format!("Title {}", place / 2), "word");
        shop.create(&ann, new).await.unwrap();
    }
    for search in ["", "wor"] {
        let ask = pb::ListQuickRepliesRequest {
            search: search.into(),
            page_size: 3,
            ..Default::default()
        };
        let found = shop.list(&ann, ask).await.unwrap();
        let ids: BTreeSet<_> = found.iter().map(|one| one.quick_reply_id.clone()).collect();
        assert_eq!((found.len(), ids.len()), (7, 7), "{search}");
        assert!(found.is_sorted_by(|one, next| one.title <= next.title));
    }
}

#[tokio::test]
async fn f095_every_list_is_found_by_an_index() {
    let shop = Shop::new().await;
    let fill = "
        insert into quick_reply
            select 'a' || n % 20, gen_random_uuid(), 'account', '00000000-0000-0000-0000-000000000000', 'f' || n % 7, '',
                'title ' || n, '', '{}', to_tsvector('simple', 'word' || n) || array_to_tsvector(array['@a' || n % 20]), 1,
                null, now(), now()
            from generate_series(1, 60000) n;
        analyze quick_reply";
    sqlx::raw_sql(fill)
        .execute(&shop.world.db.pool)
        .await
        .unwrap();
    let mut connection = shop.world.db.pool.acquire().await.unwrap();
    let account = chassis::testing::account("a1");
    let whose = Whose::Some {
        account: true,
        agent: agent("ann"),
        groups: Groups::Of(vec![SALES]),
    };
    let everything = Narrowing::default();
    // The statements are those that the store itself prepares on this connection.
    let listed = store::list(
        &mut connection,
        &account,
        &whose,
        &everything,
        ("", Uuid::nil()),
        51,
    );
    assert_eq!(listed.await.unwrap().len(), 51);
    let sought = Sought {
        words: "'@a1' & 'word2':*",
        shortcut: "word2",
    };
    let found = store::find(
        &mut connection,
        &account,
        (&whose, &everything),
        sought,
        (false, "", Uuid::nil()),
        51,
    );
    assert_eq!(found.await.unwrap().len(), 51);
    let folders = store::folders(&mut connection, &account, &whose, "", 51);
    assert_eq!(folders.await.unwrap().len(), 7);
    store::held_before(&mut connection, chassis::clock::now(), 50)
        .await
        .unwrap();
    let nobody = "true, '00000000-0000-0000-0000-000000000001', false, '{}'";
    let nil = "'00000000-0000-0000-0000-000000000000'";
    let list = format!("'a1', '', {nil}, false, {nobody}, null, null, 51");
    let find = format!(
        "'a1', '''@a1'' & ''word21'':*', 'word21', false, '', {nil}, false, {nobody}, null, null, 51"
    );
    let folders = format!("'a1', '', false, {nobody}, 51");
    // Folders are counted over all of an account's rows, which are few: by whichever index begins with it.
    for (statement, parameters, index) in [
        (
            r"from quick_reply\s+where account = \$1 and \(title",
            &list,
            "quick_reply_by_title",
        ),
        (
            r"from quick_reply where words @@",
            &find,
            "quick_reply_by_words",
        ),
        (r"group by folder", &folders, "Index Cond: (account"),
        (
            r"where held_at <",
            &"now(), 50".to_owned(),
            "quick_reply_held",
        ),
    ] {
        let name: String =
            sqlx::query_scalar("select name from pg_prepared_statements where statement ~ $1")
                .bind(statement)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        let explain = sqlx::AssertSqlSafe(format!("explain execute {name} ({parameters})"));
        let plan: Vec<sqlx::postgres::PgRow> = sqlx::raw_sql(explain)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = lines.join("\n");
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}
