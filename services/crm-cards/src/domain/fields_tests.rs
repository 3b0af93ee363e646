use serde_json::json;
use uuid::Uuid;

use super::*;

fn definition(number: u128, key: &str, kind: FieldKind) -> Definition {
    Definition {
        id: Uuid::from_u128(number).into(),
        entity: Entity::Card,
        key: key.to_owned(),
        name: key.to_owned(),
        kind,
        options: if kind.has_options() {
            ["red", "green", "blue"].map(str::to_owned).to_vec()
        } else {
            Vec::new()
        },
        required: false,
        position: 0,
        revision: 1,
    }
}

/// What is kept of one value; none where it is refused.
fn kept(kind: FieldKind, value: FieldValue) -> Option<Value> {
    let definition = definition(1, "x", kind);
    let given = [("x".to_owned(), Some(value))].into();
    let result = changed(
        std::slice::from_ref(&definition),
        &Stored::new(),
        &given,
        false,
    );
    match result {
        Ok(stored) => stored.get(&definition.id.to_string()).cloned(),
        Err(wrong) => {
            assert_eq!((wrong.len(), &*wrong[0].key), (1, "x"));
            assert!(!wrong[0].description.is_empty());
            None
        }
    }
}

#[test]
fn a_value_is_of_its_fields_kind_and_kept_in_one_form() {
    use FieldKind as K;
    use FieldValue as V;
    let text = |text: &str| text.to_owned();
    let long = "x".repeat(2_001);
    let chosen = |options: &[&str]| V::MultiSelect(options.iter().map(|&one| text(one)).collect());
    for (kind, value, expected) in [
        (K::Text, V::Text(text(" Kyiv ")), Some(json!("Kyiv"))),
        (K::Text, V::Text(text("  ")), None),
        (K::Text, V::Text(long.clone()), None),
        (K::Text, V::Text(text("a\0b")), None),
        (K::Text, V::Number(text("1")), None),
        (K::Number, V::Number(text("12.500")), Some(json!("12.5"))),
        (
            K::Number,
            V::Number(text("-0.0000000000000000000000000001")),
            Some(json!("-0.0000000000000000000000000001")),
        ),
        (K::Number, V::Number(text("1e3")), None),
        (K::Number, V::Number(text("")), None),
        (K::Number, V::Text(text("1")), None),
        (K::Flag, V::Flag(false), Some(json!(false))),
        (K::Flag, V::Text(text("yes")), None),
        (
            K::Date,
            V::Date(text("2026-02-28")),
            Some(json!("2026-02-28")),
        ),
        (K::Date, V::Date(text("2026-02-29")), None),
        (K::Date, V::Date(text("2026-2-8")), None),
        (K::Date, V::Date(text("2026-02-28T10:00:00Z")), None),
        (K::Date, V::Date(text("20260228")), None),
        (K::Select, V::Select(text("red")), Some(json!("red"))),
        (K::Select, V::Select(text("Red")), None),
        (K::Select, chosen(&["red"]), None),
        (
            K::MultiSelect,
            chosen(&["blue", "red", "blue"]),
            Some(json!(["red", "blue"])),
        ),
        (K::MultiSelect, chosen(&["red", "pink"]), None),
        (K::MultiSelect, chosen(&[]), None),
        (
            K::Url,
            V::Url(text("https://example.com/a?b=c")),
            Some(json!("https://example.com/a?b=c")),
        ),
        (K::Url, V::Url(text("http://x")), Some(json!("http://x"))),
        (K::Url, V::Url(text("javascript:alert(1)")), None),
        (K::Url, V::Url(text("https://")), None),
        (K::Url, V::Url(text("https:///x")), None),
        (K::Url, V::Url(text("https://a b")), None),
        (K::Url, V::Url(format!("https://{long}")), None),
    ] {
        assert_eq!(kept(kind, value.clone()), expected, "{kind:?} {value:?}");
    }
}

#[test]
fn f140_a_form_asks_for_required_fields_and_nothing_clears_them() {
    let mut city = definition(1, "city", FieldKind::Text);
    city.required = true;
    let size = definition(2, "size", FieldKind::Number);
    let definitions = [city.clone(), size.clone()];
    let full: Stored = [
        (city.id.to_string(), json!("Kyiv")),
        (size.id.to_string(), json!("1")),
        // Of a field that is deleted: kept, whatever is asked.
        (Uuid::from_u128(9).to_string(), json!("old")),
    ]
    .into_iter()
    .collect();
    let empty = Stored::new();
    let lviv = Some(FieldValue::Text("Lviv".into()));
    let two = Some(FieldValue::Number("2".into()));
    for (name, stored, given, form, expected) in [
        (
            "a form without it",
            &empty,
            vec![("size", two.clone())],
            true,
            Err(vec!["city"]),
        ),
        (
            "a form with it",
            &empty,
            vec![("city", lviv.clone())],
            true,
            Ok(1),
        ),
        ("no form", &empty, vec![("size", two.clone())], false, Ok(1)),
        ("nothing at all", &empty, vec![], false, Ok(0)),
        (
            "it is there already",
            &full,
            vec![("size", two)],
            true,
            Ok(3),
        ),
        (
            "it is cleared",
            &full,
            vec![("city", None)],
            false,
            Err(vec!["city"]),
        ),
        (
            "another is cleared",
            &full,
            vec![("size", None)],
            false,
            Ok(2),
        ),
        (
            "all that is wrong is told",
            &empty,
            vec![("colour", lviv.clone()), ("size", lviv)],
            true,
            Err(vec!["colour", "size", "city"]),
        ),
    ] {
        let given: Given = given
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let result = changed(&definitions, stored, &given, form)
            .map(|kept| kept.len())
            .map_err(|wrong| wrong.into_iter().map(|one| one.key).collect::<Vec<_>>());
        let expected = expected.map_err(|keys| keys.into_iter().map(str::to_owned).collect());
        assert_eq!(result, expected, "{name}");
    }
}

#[test]
fn keys_are_short_and_plain() {
    for (text, expected) in [
        ("city", true),
        ("a", true),
        ("size_2", true),
        ("2size", false),
        ("_x", false),
        ("City", false),
        ("місто", false),
        ("a-b", false),
        ("", false),
    ] {
        assert_eq!(is_key(text), expected, "{text}");
    }
    assert!(is_key(&"k".repeat(40)) && !is_key(&"k".repeat(41)));
}

#[test]
fn only_chosen_values_have_options_each_once() {
    let options = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    for (kind, texts, fits) in [
        (FieldKind::Select, &["a", "b"][..], true),
        (FieldKind::Select, &[], false),
        (FieldKind::MultiSelect, &["a", "a"], false),
        (FieldKind::Text, &[], true),
        (FieldKind::Text, &["a"], false),
    ] {
        assert_eq!(
            wrong_options(kind, &options(texts)).is_none(),
            fits,
            "{kind:?} {texts:?}"
        );
    }
}

#[test]
fn a_value_is_read_from_what_a_query_makes_of_it() {
    let shown = json!({ "colours": { "multi-select": ["red"] }, "paid": { "flag": true } });
    let read: BTreeMap<String, FieldValue> = serde_json::from_value(shown).unwrap();
    assert_eq!(read["colours"], FieldValue::MultiSelect(vec!["red".into()]));
    assert_eq!(read["paid"], FieldValue::Flag(true));
}
