//! Quoted history in a page, known by how mail programs mark it (channels.md §5.2, "Quoted text").

use super::super::visible::phrases;
use super::text;
use super::tokens::attributes;
use super::tree::Event;

/// Text at the start of a quotation that tells whether it is a forwarded mail.
const START_MAX: usize = 40;

/// What a mark says about what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The element is quoted.
    Element,
    /// The element is quoted as far as its first quotation; what stands behind that is an answer between the lines.
    UpToQuotation,
    /// Everything from here on is quoted.
    Rest,
}

/// Returns a page without its quoted history; none where no mark was found. Forwarded mails are no history.
pub fn without<'p>(events: &[Event<'p>]) -> Option<Vec<Event<'p>>> {
    let mut kept = Vec::with_capacity(events.len());
    let mut cut = false;
    let mut at = 0;
    while let Some(event) = events.get(at) {
        let Event::Open {
            name,
            attributes,
            holds,
        } = event
        else {
            kept.push(event.clone());
            at += 1;
            continue;
        };
        let found = mark(name, attributes);
        let end = if *holds && found.is_some() {
            end_of(events, at)
        } else {
            at
        };
        match found {
            Some(_) if forwarded(events, at) => {
                // The whole element is what the sender wants to show.
                kept.extend_from_slice(events.get(at..=end).unwrap_or_default());
                at = end + 1;
            }
            Some(Mark::Element) => {
                cut = true;
                at = end + 1;
            }
            Some(Mark::UpToQuotation) => {
                cut = true;
                let inside = events.get(at + 1..end).unwrap_or_default();
                let first = inside.iter().position(
                    |event| matches!(event, Event::Open { name, .. } if name == "blockquote"),
                );
                match first {
                    Some(first) => {
                        kept.push(event.clone());
                        at = end_of(events, at + 1 + first) + 1;
                    }
                    None => at = end + 1,
                }
            }
            Some(Mark::Rest) => {
                cut = true;
                break;
            }
            None => {
                kept.push(event.clone());
                at += 1;
            }
        }
    }
    cut.then_some(kept)
}

fn mark(name: &str, tag: &str) -> Option<Mark> {
    if tag.len() < 4 {
        return None;
    }
    let mut found = None;
    for (key, value) in attributes(tag) {
        let value = value.trim();
        let here = match key.as_str() {
            "class" => value
                .split_whitespace()
                .find_map(|class| class_mark(name, class)),
            "id" => id_mark(value),
            "type" if name == "blockquote" && value.eq_ignore_ascii_case("cite") => {
                Some(Mark::Element)
            }
            "data-signatureblock" => Some(Mark::Element),
            _ => None,
        };
        found = found.or(here);
    }
    found
}

fn class_mark(name: &str, class: &str) -> Option<Mark> {
    match class {
        // Gmail gives the same class to a quotation that somebody set by hand.
        _ if class.contains("gmail_quote") => (name == "div").then_some(Mark::UpToQuotation),
        "gmail_signature"
        | "moz-signature"
        | "moz-cite-prefix"
        | "zmail_extra"
        | "protonmail_quote"
        | "tutanota_quote"
        | "gmail_attr"
        | "yahoo_quoted"
        | "moz-email-headers-table" => Some(Mark::Element),
        "OutlookMessageHeader" => Some(Mark::Rest),
        _ if class.ends_with("yahoo_quoted") => Some(Mark::Element),
        _ => None,
    }
}

fn id_mark(id: &str) -> Option<Mark> {
    let id = id.trim_start_matches("x_");
    match id {
        "divRplyFwdMsg" | "appendonsend" | "stopSpelling" => Some(Mark::Rest),
        "OLK_SRC_BODY_SECTION"
        | "mail-editor-reference-message-container"
        | "reply-intro"
        | "zmail_extra"
        | "QuotedMsg" => Some(Mark::Element),
        _ if id.starts_with("yahoo_quoted") => Some(Mark::Element),
        _ => None,
    }
}

/// Returns the place of the event that closes the element that opens here.
fn end_of(events: &[Event<'_>], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, event) in events.iter().enumerate().skip(start) {
        match event {
            Event::Open { holds: true, .. } => depth += 1,
            Event::Close(_) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    events.len().saturating_sub(1)
}

/// Tells whether what begins here is a forwarded mail.
fn forwarded(events: &[Event<'_>], start: usize) -> bool {
    let start = events.get(start..(start + START_MAX).min(events.len()));
    let text = text::of(start.unwrap_or_default());
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .take(2)
        .any(phrases::is_forward)
}

#[cfg(test)]
mod tests {
    use super::super::tree::events;
    use super::*;

    #[test]
    fn marks_of_mail_programs_are_known() {
        for (name, page, expected) in [
            (
                "gmail",
                "Hi<div class=\"gmail_quote\">On 1 May Bob wrote:<blockquote class=gmail_quote>old</blockquote></div>",
                Some("Hi"),
            ),
            (
                "an answer between the lines",
                "<div class=gmail_quote>On 1 May Bob wrote:<blockquote>old</blockquote>new</div>",
                Some("new"),
            ),
            (
                "gmail forward",
                "Look<div class=gmail_quote>---------- Forwarded message ---------<br>From: a</div>",
                None,
            ),
            (
                "cite",
                "<blockquote type=cite>old</blockquote>new",
                Some("new"),
            ),
            (
                "a quotation by hand",
                "<blockquote>wise words</blockquote>new",
                None,
            ),
            (
                "outlook",
                "new<div id=\"appendonsend\"></div><hr><div id=\"divRplyFwdMsg\">From: a</div><div>old</div>",
                Some("new"),
            ),
            (
                "thunderbird",
                "<div class=\"moz-cite-prefix\">On 1 May, Bob wrote:</div><blockquote type=\"cite\">old</blockquote>new",
                Some("new"),
            ),
            (
                "yahoo",
                "new<div class=\"ydp1ab-yahoo_quoted\">old</div>",
                Some("new"),
            ),
            ("zoho", "new<div class=zmail_extra>old</div>", Some("new")),
        ] {
            let events = events(page);
            let kept = without(&events).map(|kept| text::of(&kept));
            assert_eq!(kept.as_deref(), expected, "{name}");
        }
    }
}
