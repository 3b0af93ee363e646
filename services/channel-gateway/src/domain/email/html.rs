//! HTML of mails: made safe to show, and turned into text. Linear, whatever the page is made of.
//!
//! A page is first flattened into tags that are closed in order and no deeper than [`tree::LEVELS_MAX`]: what comes
//! after it, the sanitiser too, meets no page that could cost more than its length.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use ammonia::Builder;

pub mod quote;
pub mod text;
pub mod tokens;
pub mod tree;

use super::{TEXT_MAX, shortened};
use tree::Event;

/// Content ids of one page that are collected.
const IDS_MAX: usize = 500;

/// Returns the ids that a page shows by `cid:`, in lower case.
pub fn content_ids(page: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    let mut rest = page;
    while let Some(at) = memchr::memchr(b':', rest.as_bytes()) {
        let (before, after) = rest.split_at(at);
        rest = &after[1..];
        let named = before.len() >= 3
            && before
                .get(before.len() - 3..)
                .is_some_and(|word| word.eq_ignore_ascii_case("cid"));
        if !named {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>)&;\\".contains(c));
        let id = shortened(&rest[..end.unwrap_or(rest.len()).min(rest.len())], 500);
        if !id.is_empty() && ids.len() < IDS_MAX {
            ids.insert(tokens::percent_plain(id).to_ascii_lowercase());
        }
    }
    ids
}

/// Writes a text as a page.
pub fn of_text(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + 64);
    page.push_str("<div style=\"white-space:pre-wrap\">");
    escape(text, &mut page);
    page.push_str("</div>");
    page
}

/// Escapes a text for a page and for the value of an attribute.
pub fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            c => into.push(c),
        }
    }
}

/// Makes a page safe to show: no scripts, no forms, no styles from elsewhere; remote images are kept as `data-src`,
/// which loads nothing (channels.md §5.2, "Body choice").
pub fn sanitised(page: &str) -> String {
    let page = shortened(page, TEXT_MAX);
    SANITISER.clean(&balanced(page)).to_string()
}

/// Returns what a reader sees of a page as plain text.
pub fn to_text(page: &str) -> String {
    text::of(&tree::events(shortened(page, TEXT_MAX)))
}

/// Returns what a page holds as plain text, its pictures named, though nothing of it may be shown.
pub fn everything(page: &str) -> String {
    text::everything(&tree::events(shortened(page, TEXT_MAX)))
}

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .add_tags(["font", "center", "u", "big", "tt"])
        .add_generic_attributes(["dir", "style", "align", "valign", "bgcolor", "data-src"])
        .add_tag_attributes("font", ["color", "face", "size"])
        .add_tag_attributes("table", ["width", "border", "cellpadding", "cellspacing"])
        .add_tag_attributes("td", ["width", "height"])
        .add_tag_attributes("th", ["width", "height"])
        .add_tag_attributes("blockquote", ["type"])
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid"]))
        .clean_content_tags(HashSet::from([
            "script", "style", "title", "head", "object", "applet", "noscript", "template", "svg",
            "math", "iframe", "select", "textarea",
        ]))
        .filter_style_properties(HashSet::from([
            "color",
            "background-color",
            "font-family",
            "font-size",
            "font-style",
            "font-weight",
            "text-align",
            "text-decoration",
            "vertical-align",
            "white-space",
            "width",
            "height",
            "margin",
            "margin-left",
            "margin-right",
            "margin-top",
            "margin-bottom",
            "padding",
            "padding-left",
            "padding-right",
            "padding-top",
            "padding-bottom",
            "border",
            "border-collapse",
            "border-left",
            "border-right",
            "border-top",
            "border-bottom",
            "line-height",
        ]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .attribute_filter(|_, attribute, value| match attribute {
            "style" if loads(value) => None,
            // A picture inside the mail is shown; one from elsewhere would tell its sender who reads.
            "src" if !is_inside(value) => None,
            _ => Some(Cow::Borrowed(value)),
        });
    builder
});

/// Tells whether a style could load something.
fn loads(style: &str) -> bool {
    let style = style.to_ascii_lowercase();
    style.contains("url")
        || style.contains('\\')
        || style.contains("expression")
        || style.contains("image")
}

/// Writes a page so that every tag is closed in order.
fn balanced(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + page.len() / 8);
    for event in tree::events(page) {
        match event {
            Event::Text(text) => out.push_str(&text.replace('<', "&lt;")),
            Event::Close(name) => {
                let _ = write!(out, "</{name}>");
            }
            Event::Open {
                name, attributes, ..
            } => {
                let _ = write!(out, "<{name}");
                let remote = name == "img"
                    && tokens::attributes(attributes)
                        .any(|(key, value)| key == "src" && !is_inside(&value));
                for (key, value) in tokens::attributes(attributes) {
                    let key = if remote && key == "src" {
                        "data-src"
                    } else {
                        key.as_str()
                    };
                    if key == "data-src" && !(remote && is_web(&value)) {
                        continue;
                    }
                    let _ = write!(out, " {key}=\"");
                    escape(&value, &mut out);
                    out.push('"');
                }
                out.push('>');
            }
        }
    }
    out
}

/// Tells whether an address names a part of the mail itself.
fn is_inside(address: &str) -> bool {
    let start = address.trim_start().get(..4);
    start.is_some_and(|start| start.eq_ignore_ascii_case("cid:"))
}

fn is_web(address: &str) -> bool {
    let start = address
        .trim_start()
        .get(..8)
        .unwrap_or_default()
        .to_ascii_lowercase();
    start.starts_with("https://") || start.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_made_safe() {
        for (name, page, expected) in [
            ("script", "a<script>alert(1)</script>b", "ab"),
            ("handler", "<p onclick=x>a</p>", "<p>a</p>"),
            ("form", "<form action=x><input name=y>a</form>", "a"),
            (
                "remote image",
                "<img src=\"https://x.example/a.png\" alt=a>",
                "<img data-src=\"https://x.example/a.png\" alt=\"a\">",
            ),
            (
                "own image",
                "<img src=\"cid:logo@x\">",
                "<img src=\"cid:logo@x\">",
            ),
            (
                "data image",
                "<img src=\"data:image/png;base64,AA\">",
                "<img>",
            ),
            (
                "script link",
                "<a href=\"javascript:x\">a</a>",
                "<a rel=\"noopener noreferrer nofollow\">a</a>",
            ),
            (
                "a style that loads",
                "<p style=\"background:url(https://x)\">a</p><p style=\"color:red\">b</p>",
                "<p>a</p><p style=\"color:red\">b</p>",
            ),
            ("style sheet", "<style>p{}</style><link rel=x href=y>a", "a"),
            ("broken tag", "a < b <c", "a &lt; b "),
        ] {
            assert_eq!(sanitised(page), expected, "{name}");
        }
    }

    #[test]
    fn shown_pictures_are_known() {
        let ids = content_ids("<img src='cid:A@x'><img src=\"CID:b%40x\"> url(cid:c) nocid:");
        for id in ["a@x", "b@x", "c"] {
            assert!(ids.contains(id), "{id}: {ids:?}");
        }
    }

    // pitfall 25: no page costs more than its length
    #[test]
    fn pages_made_to_cost_time_stay_small() {
        for page in [
            "<div>".repeat(200_000),
            "<a ".repeat(300_000),
            format!("<a {}>", "x ".repeat(500_000)),
            "<b><p>".repeat(100_000),
            "<table><tr><td>".repeat(60_000),
            "&".repeat(1_000_000),
            "<!--".repeat(250_000),
            "<a href=\"".repeat(100_000),
            "<style>".repeat(100_000),
            "<font color=a><p></font>".repeat(40_000),
        ] {
            let events = tree::events(&page);
            assert!(events.len() <= page.len() + 1);
            let depth = events.iter().scan(0_i32, |depth, event| {
                *depth += match event {
                    Event::Open { holds: true, .. } => 1,
                    Event::Close(_) => -1,
                    _ => 0,
                };
                Some(*depth)
            });
            assert!(depth.max().unwrap_or(0) <= i32::try_from(tree::LEVELS_MAX).unwrap());
            assert!(sanitised(&page).len() <= 12 * page.len());
            assert!(to_text(&page).len() <= 4 * page.len());
        }
    }
}
