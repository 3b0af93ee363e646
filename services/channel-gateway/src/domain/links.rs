//! Links in what goes out: found, and replaced by short ones (F191, F192). Pure and total.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};
use switchboard_proto::common::v1::{Text, TextEntity, content_part::Content, text_entity::Kind};
use switchboard_proto::conversation::v1::OutboundCommand;
use url::Url;

use super::split::units;

/// Links of one text that are replaced.
const LINKS_MAX: usize = 50;

/// A longer address is left as it is.
const URL_MAX: usize = 4 * 1024;

/// Replaces links by what `short` makes of their targets, the written-out ones and those behind text; formatting stays
/// on its characters. Links within code are left as typed, and so is what `short` returns nothing for.
pub fn shorten(text: &Text, mut short: impl FnMut(&str) -> Option<String>) -> Text {
    let mut left = LINKS_MAX;
    let mut replace = |link: &str| {
        let target = target(link).filter(|_| left > 0)?;
        let short = short(&target)?;
        left -= 1;
        Some(short)
    };
    let mut replaced = Vec::new();
    let mut counted = Counted::default();
    for link in written(&text.text) {
        if is_free(text, counted.range(&text.text, &link))
            && let Some(short) = text.text.get(link.clone()).and_then(&mut replace)
        {
            replaced.push((link, short));
        }
    }
    let mut shortened = apply(text, &replaced);
    for entity in &mut shortened.entities {
        if entity.kind() == Kind::TextLink
            && let Some(short) = replace(&entity.url)
        {
            entity.url = short;
        }
    }
    shortened
}

/// What a link behind text may begin with: what opens a page, a mail, a call, or a chat. `javascript:` and the like run
/// something at whoever presses them.
const SCHEMES: [&str; 5] = ["http", "https", "mailto", "tel", "tg"];

/// Tells whether a link behind text may be opened. What has no scheme is a bare address: `shop.example:8080` too, for no
/// scheme that does something has a dot.
fn is_harmless(url: &str) -> bool {
    Url::parse(url).map_or(true, |url| {
        SCHEMES.contains(&url.scheme()) || url.scheme().contains('.')
    })
}

/// Returns a command without the links behind text that may not be opened: the text stays. None where there are none.
pub fn harmless(command: &OutboundCommand) -> Option<OutboundCommand> {
    let harmful =
        |entity: &TextEntity| entity.kind() == Kind::TextLink && !is_harmless(&entity.url);
    let found = command.parts.iter().any(
        |part| matches!(&part.content, Some(Content::Text(text)) if text.entities.iter().any(harmful)),
    );
    let mut command = found.then(|| command.clone())?;
    for part in &mut command.parts {
        if let Some(Content::Text(text)) = &mut part.content {
            text.entities.retain(|entity| !harmful(entity));
        }
    }
    Some(command)
}

/// Returns where a link leads, as a header may hold it; none where it is no address of the web.
fn target(link: &str) -> Option<String> {
    let bare = link
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("www."));
    let url = if bare {
        Url::parse(&format!("https://{link}"))
    } else {
        Url::parse(link)
    };
    let url = url
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))?;
    (url.has_host() && url.as_str().len() <= URL_MAX).then(|| url.into())
}

/// Returns the byte ranges of links that are written out; with a scheme or `www.`, for `etc.` and `file.pdf` are none.
fn written(text: &str) -> Vec<Range<usize>> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]).url_must_have_scheme(false);
    let mut found: Vec<Range<usize>> = finder
        .links(text)
        .map(|link| link.start()..link.end())
        .collect();
    found.extend(abroad(text, &found));
    found.retain(|link| {
        text.get(link.clone())
            .is_some_and(|link| target(link).is_some())
    });
    found.sort_by_key(|link| link.start);
    found
}

/// Links that the finder does not take for such: it knows no top domains beyond the Latin letters, as `.укр`.
fn abroad(text: &str, found: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut more: Vec<Range<usize>> = Vec::new();
    // Both are in their order, so that each place is looked at once, however many links there are.
    let mut known = found.iter().peekable();
    for (start, _) in text.match_indices("http") {
        let rest = text.get(start..).unwrap_or_default();
        if !rest.starts_with("https://") && !rest.starts_with("http://") {
            continue;
        }
        while known.next_if(|link| link.end <= start).is_some() {}
        let inside = known.peek().is_some_and(|link| link.start <= start);
        if inside || more.last().is_some_and(|link| link.end > start) {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || "<>\"«»“”".contains(c);
        let most = rest.floor_char_boundary(URL_MAX + 4);
        let link = rest.get(..most).unwrap_or_default();
        let link = link.split(ends).next().unwrap_or_default();
        if link.len() > URL_MAX {
            continue;
        }
        let link = link.trim_end_matches(|c| ".,;:!?)]}'…".contains(c));
        let link = start..start + link.len();
        if known.peek().is_none_or(|known| link.end <= known.start) {
            more.push(link);
        }
    }
    more
}

/// A link may be replaced where its characters are neither code nor the text of another link.
fn is_free(text: &Text, (before, after): (u32, u32)) -> bool {
    !text.entities.iter().any(|entity| {
        matches!(entity.kind(), Kind::Code | Kind::Pre | Kind::TextLink)
            && entity.offset < after
            && end(entity) > before
    })
}

/// Counts code units on from where it was asked last: places come in their order.
#[derive(Default)]
struct Counted {
    bytes: usize,
    units: u32,
}

impl Counted {
    fn to(&mut self, text: &str, place: usize) -> u32 {
        self.units += text.get(self.bytes..place).map_or(0, units);
        self.bytes = place.max(self.bytes);
        self.units
    }

    fn range(&mut self, text: &str, range: &Range<usize>) -> (u32, u32) {
        (self.to(text, range.start), self.to(text, range.end))
    }
}

fn end(entity: &TextEntity) -> u32 {
    entity.offset.saturating_add(entity.length)
}

/// A replacement in UTF-16 code units: what it takes the place of, and how long it is.
struct Shift {
    from: u32,
    to: u32,
    length: u32,
}

fn apply(text: &Text, replaced: &[(Range<usize>, String)]) -> Text {
    let (mut written, mut done, mut shifts) = (String::new(), 0, Vec::new());
    for (link, short) in replaced {
        let (Some(kept), Some(whole)) =
            (text.text.get(done..link.start), text.text.get(link.clone()))
        else {
            continue;
        };
        written.push_str(kept);
        written.push_str(short);
        let from = text.text.get(..link.start).map_or(0, units);
        shifts.push(Shift {
            from,
            to: from + units(whole),
            length: units(short),
        });
        done = link.end;
    }
    written.push_str(text.text.get(done..).unwrap_or_default());
    let entities = text.entities.iter().map(|entity| {
        let start = moved(entity.offset, &shifts, false);
        TextEntity {
            offset: start,
            length: moved(end(entity), &shifts, true).saturating_sub(start),
            ..entity.clone()
        }
    });
    Text {
        entities: entities.collect(),
        text: written,
    }
}

/// Returns where a place of the old text is in the new one; a place within a link goes to its beginning or end.
fn moved(place: u32, shifts: &[Shift], is_end: bool) -> u32 {
    let mut moved = i64::from(place);
    for shift in shifts {
        if place >= shift.to {
            moved += i64::from(shift.length) - i64::from(shift.to - shift.from);
        } else if place > shift.from {
            let within = i64::from(place - shift.from);
            moved += if is_end {
                i64::from(shift.length) - within
            } else {
                -within
            };
        }
    }
    u32::try_from(moved).unwrap_or(0)
}

/// Tells programs that look at links before a person does, to show what is behind them: theirs is no click.
///
/// They name themselves by a word that ends so, as `TelegramBot` or `SkypeUriPreview`. CUBOT makes phones.
pub fn is_previewer(user_agent: &str) -> bool {
    let agent = user_agent.to_ascii_lowercase();
    let endings = [
        "bot",
        "bots",
        "crawler",
        "spider",
        "preview",
        "facebookexternalhit",
    ];
    let mut words = agent.split(|c: char| !c.is_ascii_alphabetic());
    agent.is_empty()
        || agent.starts_with("viber")
        || ["whatsapp/", "curl/"].iter().any(|it| agent.contains(it))
        || words.any(|word| word != "cubot" && endings.iter().any(|end| word.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::ContentPart;

    fn entity(kind: Kind, offset: u32, length: u32) -> TextEntity {
        TextEntity {
            kind: kind.into(),
            offset,
            length,
            ..TextEntity::default()
        }
    }

    /// Shortens all links to `s/1`, `s/2` …; returns the text and the targets.
    fn shortened(text: &str, entities: Vec<TextEntity>) -> (Text, Vec<String>) {
        let mut targets = Vec::new();
        let text = Text {
            text: text.to_owned(),
            entities,
        };
        let text = shorten(&text, |target| {
            targets.push(target.to_owned());
            Some(format!("s/{}", targets.len()))
        });
        (text, targets)
    }

    #[test]
    fn f191_links_cost_little_however_many_stand_in_a_text() {
        for unit in [
            "http://a.укр/ ",
            "http://",
            "https://shop.example/x,",
            "www.a.b/ ",
        ] {
            let text = Text {
                text: unit.repeat(20_000 / unit.len()),
                entities: vec![],
            };
            let began = std::time::Instant::now();
            let _ = shorten(&text, |_| None);
            let took = began.elapsed();
            assert!(took.as_secs() < 2, "{unit}: {took:?}");
        }
    }

    #[test]
    fn f192_links_are_found_as_a_reader_sees_them_and_replaced() {
        for (text, expected, target) in [
            (
                "https://shop.example/p/17",
                "s/1",
                "https://shop.example/p/17",
            ),
            (
                "Ось: https://shop.example/p.",
                "Ось: s/1.",
                "https://shop.example/p",
            ),
            (
                "(https://shop.example/a_(b))!",
                "(s/1)!",
                "https://shop.example/a_(b)",
            ),
            (
                "👍🏽 http://shop.example?x=1, так",
                "👍🏽 s/1, так",
                "http://shop.example/?x=1",
            ),
            ("www.shop.example/p", "s/1", "https://www.shop.example/p"),
            (
                "Тут (https://крамниця.укр/чек).",
                "Тут (s/1).",
                "https://xn--80aqgq7ashj.xn--j1amh/%D1%87%D0%B5%D0%BA",
            ),
        ] {
            let (short, targets) = shortened(text, vec![]);
            assert_eq!(short.text, expected, "{text}");
            assert_eq!(targets.len(), 1, "{text}");
            if !target.contains("xn--") {
                assert_eq!(targets[0], target);
            }
            assert!(targets[0].is_ascii());
        }
        for text in [
            "і т.д. та file.pdf",
            "a@shop.example",
            "ftp://x.example/",
            "tg://resolve",
            "https://",
        ] {
            assert_eq!(shortened(text, vec![]).0.text, text);
        }
    }

    #[test]
    fn formatting_stays_on_its_characters_before_on_and_after_a_link() {
        // 👍 takes two code units.
        let text = "👍 ціна https://shop.example/p тут";
        let (before, on, after) = (
            entity(Kind::Bold, 3, 4),
            entity(Kind::Url, 8, 22),
            entity(Kind::Italic, 31, 3),
        );
        let whole = entity(Kind::Underline, 0, 34);
        let inside = entity(Kind::Spoiler, 10, 5);
        let (short, _) = shortened(text, vec![whole, before, on, inside, after]);
        assert_eq!(short.text, "👍 ціна s/1 тут");
        let places: Vec<_> = short
            .entities
            .iter()
            .map(|entity| (entity.offset, entity.length))
            .collect();
        assert_eq!(places, [(0, 15), (3, 4), (8, 3), (8, 3), (12, 3)]);
    }

    #[test]
    fn a_link_behind_text_is_replaced_without_the_text() {
        let behind = TextEntity {
            url: "https://shop.example/p".to_owned(),
            ..entity(Kind::TextLink, 0, 6)
        };
        let showing = TextEntity {
            url: "https://shop.example/q".to_owned(),
            ..entity(Kind::TextLink, 7, 20)
        };
        let text = "каталог https://shop.example";
        let (short, targets) = shortened(text, vec![behind, showing]);
        assert_eq!(short.text, text);
        assert_eq!(
            targets,
            ["https://shop.example/p", "https://shop.example/q"]
        );
        let urls: Vec<_> = short
            .entities
            .iter()
            .map(|entity| entity.url.as_str())
            .collect();
        assert_eq!(urls, ["s/1", "s/2"]);
    }

    #[test]
    fn code_is_left_as_typed_and_so_is_what_has_no_short_link() {
        let text = "curl https://shop.example/p";
        let code = entity(Kind::Code, 0, 27);
        assert_eq!(shortened(text, vec![code]).0.text, text);
        let typed = Text {
            text: text.to_owned(),
            entities: vec![],
        };
        assert_eq!(shorten(&typed, |_| None), typed);
    }

    #[test]
    fn links_beyond_the_bound_are_left() {
        let text = "https://shop.example/p ".repeat(LINKS_MAX + 7);
        assert_eq!(shortened(&text, vec![]).1.len(), LINKS_MAX);
    }

    #[test]
    fn links_that_run_something_are_taken_from_behind_their_text_and_others_stay() {
        for (url, stays) in [
            ("https://shop.example/p", true),
            ("HTTP://shop.example", true),
            ("mailto:a@shop.example", true),
            ("tel:+380671112233", true),
            ("tg://resolve?domain=shop", true),
            ("shop.example/p", true),
            ("shop.example:8080/p", true),
            ("", true),
            ("javascript:alert(1)", false),
            (" JaVaScript:alert(1)", false),
            ("java\nscript:alert(1)", false),
            ("data:text/html,<b>x</b>", false),
            ("vbscript:x", false),
            ("file:///etc/passwd", false),
        ] {
            let link = TextEntity {
                url: url.to_owned(),
                ..entity(Kind::TextLink, 0, 4)
            };
            let text = Text {
                text: "here".to_owned(),
                entities: vec![entity(Kind::Bold, 0, 4), link],
            };
            let part = ContentPart {
                content: Some(Content::Text(text)),
            };
            let command = OutboundCommand {
                parts: vec![part],
                ..OutboundCommand::default()
            };
            let changed = harmless(&command);
            assert_eq!(changed.is_none(), stays, "{url:?}");
            if let Some(changed) = changed {
                let Some(Content::Text(text)) = &changed.parts[0].content else {
                    panic!("{changed:?}");
                };
                assert_eq!((text.text.as_str(), text.entities.len()), ("here", 1));
            }
        }
    }

    #[test]
    fn programs_that_look_first_are_told_from_people() {
        for (agent, previews) in [
            ("TelegramBot (like TwitterBot)", true),
            ("facebookexternalhit/1.1", true),
            ("Viber/21.0", true),
            (
                "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
                true,
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1) SkypeUriPreview Preview/0.5",
                true,
            ),
            (
                "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
                true,
            ),
            ("Mozilla/5.0 (compatible; YandexBot/3.0)", true),
            (
                "Mozilla/5.0 (Linux; Android 10; CUBOT_X30 Build/QP1A) Chrome/120.0 Mobile Safari/537.36",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; CUBOT KING KONG 9) Chrome/120.0 Mobile Safari/537.36",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Botany One) Chrome/120.0 Mobile Safari/537.36",
                false,
            ),
            ("", true),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1",
                false,
            ),
        ] {
            assert_eq!(is_previewer(agent), previews, "{agent}");
        }
    }
}
