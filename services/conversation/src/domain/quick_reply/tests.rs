//! What may stand in a quick reply, and what becomes of it.

use super::*;

fn ada() -> Values<'static> {
    Values {
        client_name: "Ada  Lovelace",
        client_username: "ada",
        client_phone: "+380441234567",
        client_email: "ada@example.org",
        agent_name: "Олена",
        conversation_number: "17",
    }
}

fn nobody() -> Values<'static> {
    Values::default()
}

fn text(template: &str, values: &Values<'_>) -> String {
    render(template, &[], values).unwrap().text
}

#[test]
fn b14_every_variable_is_filled_in() {
    for (template, expected) in [
        ("", ""),
        ("plain { } }} text", "plain { } }} text"),
        ("{{client.name}}", "Ada Lovelace"),
        ("{{client.first_name}}!", "Ada!"),
        ("@{{client.username}}", "@ada"),
        (
            "{{client.phone}}, {{client.email}}",
            "+380441234567, ada@example.org",
        ),
        ("{{agent.name}}", "Олена"),
        ("№ {{conversation.number}}.", "№ 17."),
        ("{{ client.name | friend }}", "Ada Lovelace"),
        ("{{client.name}}{{client.name}}", "Ada LovelaceAda Lovelace"),
        ("🙂{{client.username}}🙂", "🙂ada🙂"),
    ] {
        assert_eq!(text(template, &ada()), expected, "{template}");
        assert!(render(template, &[], &ada()).unwrap().missing.is_empty());
    }
}

#[test]
fn b14_what_has_no_value_has_its_fallback_or_closes_up() {
    for (template, expected) in [
        ("{{client.name|friend}}", "friend"),
        (
            "Hello, {{ client.name | dear friend }}!",
            "Hello, dear friend!",
        ),
        ("{{client.name|}}", ""),
        ("{{client.name||x}}", "|x"),
        ("Hello {{client.name}}!", "Hello!"),
        ("Hello, {{client.name}}!", "Hello!"),
        ("Hello, {{client.name}}", "Hello"),
        ("Hello, {{client.name}}\nBye", "Hello\nBye"),
        ("yes, {{client.name}} is here", "yes, is here"),
        ("a {{client.name}} b", "a b"),
        ("a {{client.name}} {{client.email}} b", "a b"),
        ("a {{client.name}}{{client.email}}, b", "a, b"),
        ("a{{client.name}}b", "ab"),
        ("a {{client.name}}b", "a b"),
        ("{{client.name}}, good day", "good day"),
        ("{{client.name}} {{client.email}}, good day", "good day"),
        (
            "Dear all,\n{{client.name}} , and others",
            "Dear all,\nand others",
        ),
        ("№{{conversation.number}}", "№"),
        ("(of {{client.name}})", "(of)"),
        ("{{client.name}}\n\n{{agent.name}}", "\n\n"),
    ] {
        assert_eq!(text(template, &nobody()), expected, "{template:?}");
    }
    let both = "{{client.name|x}} {{client.email}} {{client.name}}";
    assert_eq!(
        render(both, &[], &nobody()).unwrap().missing,
        [Variable::ClientName, Variable::ClientEmail]
    );
}

#[test]
fn b14_spaces_that_somebody_wrote_stay_where_nothing_is_missing() {
    let template = "  a  {{client.name}}  , b \n {{agent.name}} ";
    assert_eq!(text(template, &ada()), "  a  Ada Lovelace  , b \n Олена ");
}

#[test]
fn b14_a_value_is_one_line_of_bounded_length_and_is_not_read_again() {
    let named = |name| Values {
        client_name: name,
        ..Values::default()
    };
    for (name, expected) in [
        ("{{agent.name}}", "{{agent.name}}"),
        ("a\nb\tc\u{0}d", "a b c d"),
        (" \n ", ""),
    ] {
        assert_eq!(text("{{client.name}}", &named(name)), expected, "{name:?}");
    }
    let long = "й".repeat(5_000);
    assert_eq!(text("{{client.name}}", &named(&long)), "й".repeat(200));
    assert_eq!(
        text("{{client.first_name}}", &named(&long)),
        "й".repeat(200)
    );
}

#[test]
fn b14_what_is_no_variable_is_refused_with_its_place_and_with_what_there_is() {
    for (template, expected) in [
        ("{{", Flaw::Unclosed(1)),
        ("Привіт {{client.name", Flaw::Unclosed(8)),
        ("{{client.name}} {{client.name}", Flaw::Unclosed(17)),
        ("{{{{", Flaw::Unclosed(1)),
        ("{{client.name {{agent.name}}}}", Flaw::Nested(15)),
        ("🙂 {{client.name|{{agent.name}}}}", Flaw::Nested(17)),
        (
            "🙂{{client.nmae}}",
            Flaw::Unknown {
                name: "client.nmae".into(),
                place: 2,
            },
        ),
        (
            "{{}}",
            Flaw::Unknown {
                name: String::new(),
                place: 1,
            },
        ),
        (
            "{{{client.name}}}",
            Flaw::Unknown {
                name: "{client.name".into(),
                place: 1,
            },
        ),
        (
            "{{Client.Name}}",
            Flaw::Unknown {
                name: "Client.Name".into(),
                place: 1,
            },
        ),
    ] {
        assert_eq!(variables(template), Err(expected), "{template}");
    }
    let said = variables("Hi {{client.nick}}").unwrap_err().to_string();
    assert_eq!(
        said,
        "`client.nick` at character 4 is no variable: there are client.name, client.first_name, client.username, \
         client.phone, client.email, agent.name, conversation.number"
    );
    let said = variables("a {{b").unwrap_err().to_string();
    assert_eq!(said, "the `{{` at character 3 has no `}}` after it");
}

#[test]
fn b14_huge_texts_are_read_in_no_time_and_have_few_variables() {
    let many = |count| "{{agent.name}}".repeat(count);
    assert_eq!(variables(&many(50)), Ok(vec![Variable::AgentName]));
    assert_eq!(variables(&many(51)), Err(Flaw::TooMany));
    let braces = "{".repeat(20_000);
    assert_eq!(variables(&braces), Err(Flaw::Unclosed(1)));
    let shown = "x ".repeat(10_000);
    let template = format!("{shown}{{{{client.name}}}}{shown}");
    assert_eq!(text(&template, &nobody()).chars().count(), 40_000);
    let name = "a".repeat(1 << 20);
    assert!(matches!(
        variables(&format!("{{{{{name}}}}}")),
        Err(Flaw::Unknown { name, .. }) if name.len() == 60
    ));
}

/// The stretches of a text that ranges name, in UTF-16 code units.
fn stretches(rendered: &Rendered) -> Vec<Option<String>> {
    let units: Vec<u16> = rendered.text.encode_utf16().collect();
    let stretch = |range: &Option<Range>| {
        range.map(|(start, end)| String::from_utf16(&units[start..end]).unwrap())
    };
    rendered.ranges.iter().map(stretch).collect()
}

#[test]
fn b14_formatting_moves_with_what_it_formats() {
    // The place of a stretch of the template, in UTF-16 code units.
    let place = |template: &str, part: &str| {
        let start = template[..template.find(part).unwrap()]
            .encode_utf16()
            .count();
        (start, start + part.encode_utf16().count())
    };
    let template = "🙂 Hello, {{client.name}}! Yours, {{agent.name}} 🙂 end";
    for (part, filled, empty) in [
        ("🙂 Hello", Some("🙂 Hello"), Some("🙂 Hello")),
        ("{{client.name}}", Some("Ada Lovelace"), None),
        (
            "Hello, {{client.name}}!",
            Some("Hello, Ada Lovelace!"),
            Some("Hello!"),
        ),
        // It begins, or ends, inside a variable.
        (
            "name}}! Yours",
            Some("Ada Lovelace! Yours"),
            Some("! Yours"),
        ),
        ("Yours, {{agent", Some("Yours, Олена"), Some("Yours,")),
        (", {{client.name}}", Some(", Ada Lovelace"), None),
        (" 🙂 end", Some(" 🙂 end"), Some(" 🙂 end")),
        ("end", Some("end"), Some("end")),
        ("client", Some("Ada Lovelace"), None),
    ] {
        let ranges = [place(template, part)];
        let rendered = render(template, &ranges, &ada()).unwrap();
        assert_eq!(stretches(&rendered), [filled.map(str::to_owned)], "{part}");
        let rendered = render(template, &ranges, &nobody()).unwrap();
        assert_eq!(rendered.text, "🙂 Hello! Yours, 🙂 end");
        assert_eq!(stretches(&rendered), [empty.map(str::to_owned)], "{part}");
    }
}

#[test]
fn b14_no_range_ever_leaves_the_text() {
    let pieces = [
        "",
        "a",
        " ",
        "🙂",
        ", ",
        "\n",
        "{{client.name}}",
        "{{agent.name|й🙂}}",
        ".",
    ];
    let some = Values {
        client_name: "Ю 🙂",
        ..Values::default()
    };
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let template = [first, second, third, first].concat();
                let length = utf16(&template);
                let ranges: Vec<Range> = (0..length)
                    .flat_map(|start| (start + 1..=length).map(move |end| (start, end)))
                    .collect();
                for values in [&some, &nobody()] {
                    let rendered = render(&template, &ranges, values).unwrap();
                    let end = utf16(&rendered.text);
                    assert_eq!(rendered.ranges.len(), ranges.len());
                    for range in rendered.ranges.iter().flatten() {
                        assert!(
                            range.0 < range.1 && range.1 <= end,
                            "{template:?} {range:?}"
                        );
                    }
                    if !rendered.text.is_empty() {
                        let whole = ranges.iter().position(|range| *range == (0, length));
                        assert_eq!(
                            rendered.ranges[whole.unwrap()],
                            Some((0, end)),
                            "{template:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn f095_a_shortcut_is_one_word_in_lower_case() {
    for (typed, expected) in [
        ("", Ok("")),
        ("/", Ok("")),
        ("/Hi", Ok("hi")),
        (" ЦІНА-1_b ", Ok("ціна-1_b")),
        ("//hi", Err(())),
        ("two words", Err(())),
        ("a.b", Err(())),
        (&*"x".repeat(40), Ok(&*"x".repeat(40))),
        (&*"x".repeat(41), Err(())),
    ] {
        let read = shortcut(typed);
        assert_eq!(read.as_deref().map_err(|_| ()), expected, "{typed}");
    }
}

#[test]
fn an_owner_survives_being_stored() {
    let id = Uuid::from_u128(7);
    for owner in [Owner::Account, Owner::Group(id), Owner::Agent(id.into())] {
        let (kind, id) = owner.stored();
        assert_eq!(Owner::read(kind, id), Ok(owner));
    }
    assert!(Owner::read("team", id).is_err());
}
