//! What a reader must see of a mail: without quoted history and signature (channels.md §5.2, "Quoted text").

mod heads;
pub mod lines;
pub mod phrases;
mod vocabulary;

use super::html::{quote, text, tree};
use super::{TEXT_MAX, shortened};

/// The text of a mail as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// The text.
    pub text: String,
    /// Something was left out: the whole text is longer.
    pub cut: bool,
    /// The whole text; empty where nothing was left out.
    pub full: String,
}

/// Returns what is shown of a mail. A forwarded mail is shown whole; where nothing would remain, everything is shown.
pub fn visible_text(plain: Option<&str>, html: Option<&str>, subject: &str) -> Visible {
    let plain = plain.map(|plain| shortened(plain, TEXT_MAX));
    let html = html.map(|page| shortened(page, TEXT_MAX));
    let forward = phrases::is_forward_subject(subject);
    match (plain.filter(|plain| !is_stub(plain, html.is_some())), html) {
        (Some(plain), page) => {
            let full = plain.trim_end();
            if forward {
                return whole(full);
            }
            if let Some(text) = lines::trimmed(full) {
                return cut(&text, full);
            }
            // The page may be marked where the text is not.
            let text = page.and_then(|page| {
                let events = tree::events(page);
                let text = text::of(&quote::without(&events)?);
                let text = lines::trimmed(&text).unwrap_or(text);
                (!text.trim().is_empty() && text.len() < full.len()).then_some(text)
            });
            text.map_or_else(|| whole(full), |text| cut(&text, full))
        }
        (None, Some(page)) => {
            let events = tree::events(page);
            let full = text::of(&events);
            if forward {
                return whole(&full);
            }
            let kept = quote::without(&events).map(|kept| text::of(&kept));
            let kept = kept.filter(|kept| !kept.trim().is_empty());
            let trimmed = lines::trimmed(kept.as_deref().unwrap_or(&full));
            match trimmed.or(kept) {
                Some(text) => cut(&text, &full),
                None => whole(&full),
            }
        }
        (None, None) => Visible::default(),
    }
}

fn whole(full: &str) -> Visible {
    Visible {
        text: outer(full).to_owned(),
        cut: false,
        full: String::new(),
    }
}

fn cut(text: &str, full: &str) -> Visible {
    if outer(text) == outer(full) {
        return whole(full);
    }
    Visible {
        text: outer(text).to_owned(),
        cut: true,
        full: outer(full).to_owned(),
    }
}

/// Drops empty lines at both ends; the first line keeps its indent.
pub fn outer(text: &str) -> &str {
    let text = text.trim_end();
    let skipped = text
        .split_inclusive('\n')
        .take_while(|line| line.trim().is_empty())
        .map(str::len)
        .sum::<usize>();
    text.get(skipped..).unwrap_or_default()
}

/// Tells whether a plain text only says that the mail should be read elsewhere.
fn is_stub(plain: &str, has_page: bool) -> bool {
    if !has_page {
        return false;
    }
    let plain = plain.trim();
    plain.is_empty() || (plain.len() < 200 && plain.to_ascii_lowercase().contains("html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_helps_where_the_text_is_not_marked() {
        let page = "<div>new</div><div class=\"gmail_quote\">old words without any mark</div>";
        let visible = visible_text(
            Some("new\n\nold words without any mark"),
            Some(page),
            "Re: a",
        );
        assert_eq!((visible.text.as_str(), visible.cut), ("new", true));
        assert_eq!(visible.full, "new\n\nold words without any mark");
    }

    #[test]
    fn what_would_leave_nothing_or_is_forwarded_is_shown_whole() {
        for (name, plain, page, subject) in [
            ("only a quote", Some("> old\n> older"), None, ""),
            (
                "a forward",
                Some("see\n\n-----Original Message-----\nold"),
                None,
                "FW: offer",
            ),
            (
                "a page that is quoted whole",
                None,
                Some("<blockquote type=cite>old</blockquote>"),
                "",
            ),
        ] {
            let visible = visible_text(plain, page, subject);
            assert!(
                !visible.cut && visible.text.contains("old"),
                "{name}: {visible:?}"
            );
        }
        assert_eq!(visible_text(None, None, ""), Visible::default());
    }

    #[test]
    fn a_stub_gives_way_to_the_page() {
        let stub = "This mail is written in HTML; your program cannot show it.";
        let visible = visible_text(Some(stub), Some("<p>Дякую</p>"), "");
        assert_eq!(visible.text, "Дякую");
    }
}
