//! Names that people gave themselves, as agents read them: bounded, and without what changes the text around them.

/// Characters of a name at most.
pub const NAME_MAX: usize = 256;

/// Returns the name to show of a person: the one that was told or, where nothing of it can be seen, the nick, else the id.
/// Of whom no name was told, none is known yet.
pub fn shown(told: Option<&str>, nick: &str, id: &str) -> String {
    let Some(told) = told else {
        return String::new();
    };
    let mut names = [told, nick, id].into_iter().map(clean);
    names
        .find(|name| name.chars().any(is_visible))
        .unwrap_or_default()
}

/// Cuts a name to its bound, and takes out what steers a terminal or turns the direction of what follows. What breaks a
/// line is a space here.
pub fn clean(name: &str) -> String {
    let kept = name.chars().filter_map(|c| match c {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => None,
        c => Some(c),
    });
    let clean: String = kept
        .skip_while(|c| c.is_whitespace())
        .take(NAME_MAX)
        .collect();
    clean.trim_end().to_owned()
}

/// Tells whether a character shows by itself. Joiners and marks of direction have their place within names, and blanks of
/// other scripts are what nameless names are made of.
fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_bounded_and_plain_or_in_its_place_what_else_is_known() {
        let long = "Ї".repeat(300);
        let cut = "Ї".repeat(NAME_MAX);
        let spaced = format!("{}  b", "a".repeat(NAME_MAX - 1));
        for (told, nick, id, expected) in [
            (Some("Олена Коваль"), "olena", "7", "Олена Коваль"),
            (Some(" Olena \n"), "", "7", "Olena"),
            (Some("Olena\tKoval\r\nShop"), "", "7", "Olena Koval  Shop"),
            (Some("a\u{2028}b\u{7}\u{1b}[31m"), "", "7", "a b[31m"),
            (
                Some("\u{202e}moc.elpmaxe\u{2066}!\u{2069}"),
                "",
                "7",
                "moc.elpmaxe!",
            ),
            (Some("نام\u{200c}خانوادگی"), "", "7", "نام\u{200c}خانوادگی"),
            (Some("👩\u{200d}👧"), "", "7", "👩\u{200d}👧"),
            (Some(&long), "", "7", &cut),
            (Some(&format!("{}{long}", " ".repeat(300))), "", "7", &cut),
            (Some(&spaced), "", "7", &"a".repeat(NAME_MAX - 1)),
            (Some("\u{3164}"), "olena", "7", "olena"),
            (Some("\u{202e}\u{2800}\u{200b}"), "\u{feff}", "7", "7"),
            (Some("\u{200f}"), "", "", ""),
            (Some(""), "", "7", "7"),
            (Some("  "), " olena", "7", "olena"),
            (Some("\u{3164}"), &long, "7", &cut),
            (None, "olena", "7", ""),
        ] {
            let name = shown(told, nick, id);
            assert_eq!(name, expected, "{told:?}");
            assert!(name.chars().count() <= NAME_MAX);
        }
    }
}
