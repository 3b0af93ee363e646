//! Files as they are: odd ones, and those that are written.

use crm_cards::store::Before;
use crm_cards::store::card_lists::Responsible;
use crm_cards::store::exports::{Place, companies_statement};
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use super::plan;
use crate::world::{field, fields, reason, tenant, world};

#[tokio::test]
async fn i28_a_file_that_cannot_be_read_is_refused_at_once_with_its_reason() {
    let (world, tenant) = (world().await, tenant());
    let asked = || plan(RecordKind::Contact);
    let unknown = world
        .import(&tenant, asked(), "name,fone,mail,name\nAnna,,,\n")
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert_eq!(fields(&unknown), ["fone", "mail", "name"]);
    assert!(unknown.message().contains("phones"), "{unknown:?}");
    let utf_16: Vec<u8> = "\u{feff}name\nAnna\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (file, text) in [
        (b"".to_vec(), "empty"),
        (utf_16, "UTF-16"),
        (b"na\xffme\n".to_vec(), "not UTF-8"),
        (vec![b'x'; 100_000], "64 KiB"),
    ] {
        let refused = world.import(&tenant, asked(), file).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{text}");
        assert_eq!(reason(&refused), "FILE_UNREADABLE");
        assert!(refused.message().contains(text), "{refused:?}");
    }
    for (asked, named) in [
        (ImportPlan::default(), "plan.import_id"),
        (ImportPlan { kind: 0, ..asked() }, "plan.kind"),
        (
            ImportPlan {
                import_id: "with space".into(),
                ..asked()
            },
            "plan.import_id",
        ),
    ] {
        let refused = world.import(&tenant, asked, "name\nAnna\n").await;
        assert_eq!(field(&refused.unwrap_err()), named);
    }
    assert!(world.contacts(&tenant).await.is_empty());
}

#[tokio::test]
async fn i28_rows_without_measure_are_refused_and_the_next_is_read() {
    let (world, tenant) = (world().await, tenant());
    let huge = "x".repeat(1_000_000);
    let wide = ",".repeat(1_000_000);
    let long = "x".repeat(201);
    let mut file = format!("name\n{huge}\n{wide}\n{long}\nAnna\n").into_bytes();
    file.extend_from_slice(b"\xc0\xed\xed\xe0\nBob\n\"Carl");
    let outcome = world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    assert_eq!(outcome.counts(), [2, 0, 0, 5]);
    let lines: Vec<i64> = outcome.rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3, 4, 6, 8]);
}

#[tokio::test]
async fn i28_what_is_exported_is_imported_as_it_was_also_what_a_spreadsheet_would_run() {
    let (world, tenant) = (world().await, tenant());
    for (key, kind) in [
        ("note", field::Type::Text),
        ("size", field::Type::Number),
        ("day", field::Type::Date),
        ("vip", field::Type::Flag),
    ] {
        world
            .field_of(&tenant, field::Entity::Contact, key, kind)
            .await;
    }
    let file = "id,name,phones,emails,buyer,created_at,field.note,field.size,field.day,field.vip\n\
        a,'=1+1,+380441234567;+15208782491,a@example.com;b@example.com,yes,2020-01-02T03:04:05.123456Z,\
        \"two\nlines, \"\"quoted\"\"\",-12.5,2026-03-02,no\n\
        b,''=quoted,,,no,,@SUM(A1),,,\n\
        c,\"semi;colon\",,,,,,,,\n";
    let asked = || plan(RecordKind::Contact);
    let made = world.import(&tenant, asked(), file).await.unwrap();
    assert_eq!(made.counts(), [3, 0, 0, 0], "{:?}", made.refused);
    let exported = world.export(&tenant, RecordKind::Contact).await.unwrap();
    for cell in [
        ",'=1+1,'+380441234567;+15208782491,a@example.com;b@example.com,,yes,,2020-01-02T03:04:05.123456Z,",
        "\"two\nlines, \"\"quoted\"\"\"",
        ",-12.5,2026-03-02,no\r\n",
        ",''=quoted,",
        "'@SUM(A1)",
    ] {
        assert!(exported.contains(cell), "{cell}: {exported}");
    }
    let same = world.import(&tenant, asked(), &exported).await.unwrap();
    assert_eq!(same.counts(), [0, 0, 3, 0], "{:?}", same.refused);
    // Elsewhere they get other ids, and are the same otherwise.
    let other = crate::world::tenant();
    for (key, kind) in [
        ("note", field::Type::Text),
        ("size", field::Type::Number),
        ("day", field::Type::Date),
        ("vip", field::Type::Flag),
    ] {
        world
            .field_of(&other, field::Entity::Contact, key, kind)
            .await;
    }
    let moved = world.import(&other, asked(), &exported).await.unwrap();
    assert_eq!(moved.counts(), [3, 0, 0, 0], "{:?}", moved.refused);
    let again = world.export(&other, RecordKind::Contact).await.unwrap();
    let plain = |file: &str| {
        let mut lines: Vec<String> = file
            .split("\r\n")
            .map(|line| line.split_once(',').map_or("", |(_, rest)| rest).to_owned())
            .collect();
        // Made at one moment, they stand in the order of their ids.
        lines.sort();
        lines
    };
    assert_eq!(plain(&again), plain(&exported));
    let repeated = world.import(&other, asked(), &exported).await.unwrap();
    assert_eq!(repeated.counts(), [0, 0, 3, 0], "{:?}", repeated.refused);
}

#[tokio::test]
async fn i28_a_file_is_written_for_excel_and_page_by_page() {
    let (world, tenant) = (world().await, tenant());
    let file = super::contacts::many(450);
    world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    let request = ExportRecordsRequest {
        kind: RecordKind::Contact.into(),
        delimiter: ";".into(),
        byte_order_mark: true,
    };
    let file = world.export_as(&tenant, request).await.unwrap();
    assert!(file.starts_with("\u{feff}id;name;phones;"), "{file}");
    assert_eq!(file.matches("\r\n").count(), 451);
    let ids: std::collections::BTreeSet<&str> =
        file.lines().filter_map(|line| line.get(..36)).collect();
    assert_eq!(ids.len(), 451, "each once, and the first line");
    let empty = world
        .export(&crate::world::tenant(), RecordKind::Contact)
        .await
        .unwrap();
    assert_eq!(empty.matches("\r\n").count(), 1, "{empty}");
    let odd = ExportRecordsRequest {
        kind: RecordKind::Contact.into(),
        delimiter: "|".into(),
        ..ExportRecordsRequest::default()
    };
    let refused = world.export_as(&tenant, odd).await.unwrap_err();
    assert_eq!(field(&refused), "delimiter");
}

#[tokio::test]
async fn i28_pages_of_companies_are_found_by_index() {
    let (world, tenant) = (world().await, tenant());
    let pool = &world.database.pool;
    sqlx::query(
        "insert into company (account, id, name, parent, responsible, created_at)
         select $1, md5(n::text)::uuid, 'x', case when n > 2000 then md5((n % 2000 + 1)::text)::uuid end,
                case when n % 100 = 0 then md5('anna')::uuid end, now() - n * interval '1 s'
         from generate_series(1, 20000) n",
    )
    .bind(tenant.account.as_str())
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("analyze").execute(pool).await.unwrap();
    let parents: Vec<Uuid> =
        sqlx::query_scalar("select md5(n::text)::uuid from generate_series(1, 200) n")
            .fetch_all(pool)
            .await
            .unwrap();
    let anna: Uuid = sqlx::query_scalar("select md5('anna')::uuid")
        .fetch_one(pool)
        .await
        .unwrap();
    for place in [Place::Top, Place::Below(parents)] {
        for responsible in [Responsible::Any, Responsible::Agent(anna)] {
            let which = (&place, responsible);
            let account = &tenant.account;
            let plan: Vec<(String,)> =
                companies_statement("explain ", account, which, Before::START, 200)
                    .build_query_as()
                    .persistent(false)
                    .fetch_all(pool)
                    .await
                    .unwrap();
            let plan: Vec<String> = plan.into_iter().map(|(line,)| line).collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan on"), "{responsible:?}\n{plan}");
            assert!(plan.contains("Index"), "{responsible:?}\n{plan}");
        }
    }
}
