//! Sentences with places for parameters.

use std::collections::BTreeMap;

/// Fills a template: `{name}` becomes the parameter, or `?` where there is none; what stands in brackets is left out where
/// one of its parameters is not there.
pub(super) fn render(template: &str, parameters: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('[') {
        let (optional, behind) = after.split_once(']').unwrap_or((after, ""));
        out.push_str(&filled(before, parameters).0);
        if let (text, true) = filled(optional, parameters) {
            out.push_str(&text);
        }
        rest = behind;
    }
    out.push_str(&filled(rest, parameters).0);
    out
}

/// Fills a part; tells whether everything was there.
fn filled(part: &str, parameters: &BTreeMap<String, String>) -> (String, bool) {
    let mut out = String::new();
    let mut whole = true;
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        let value = parameters.get(name).filter(|value| !value.is_empty());
        whole &= value.is_some();
        out.push_str(value.map_or("?", String::as_str));
        rest = behind;
    }
    out.push_str(rest);
    (out, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d33_a_template_takes_the_parameters_that_are_there() {
        let parameters = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()));
            owned.collect::<BTreeMap<String, String>>()
        };
        for (template, pairs, expected) in [
            ("Plain", &[][..], "Plain"),
            ("Number {n}", &[("n", "7")], "Number 7"),
            ("Number {n}", &[], "Number ?"),
            (
                r#"Card[ "{t}"] moved[ to {s}]"#,
                &[("t", "A [1] {2}"), ("s", "New")],
                r#"Card "A [1] {2}" moved to New"#,
            ),
            (
                r#"Card[ "{t}"] moved[ to {s}]"#,
                &[("s", "New"), ("t", "")],
                "Card moved to New",
            ),
            (r#"Card[ "{t}"] moved[ to {s}]"#, &[], "Card moved"),
        ] {
            assert_eq!(
                render(template, &parameters(pairs)),
                expected,
                "{template} {pairs:?}"
            );
        }
    }
}
