//! Which parts of a mail are its body and which are files (channels.md §5.2, "Body choice", "Attachment or inline").

use std::collections::HashSet;

use bytes::Bytes;

use super::super::head::Head;
use super::super::walk::{Part, Parts};
use super::super::{body, html, shortened, words};
use super::{Mail, budget};

/// Characters of a file's name at most.
const NAME_MAX: usize = 180;

/// A file of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Its name, without path and control characters; made up where it has none.
    pub name: String,
    /// Its media type, as `image/png`.
    pub media_type: String,
    /// Its `Content-ID` without brackets; empty where it has none.
    pub content_id: String,
    /// The HTML shows it in its text.
    pub inline: bool,
    /// What it holds.
    pub bytes: Bytes,
}

/// What of the mail's text one part is.
#[derive(Default)]
struct Body {
    plain: Option<String>,
    html: Option<String>,
}

struct Reader<'r, 'm> {
    raw: &'r Bytes,
    parts: &'r Parts<'m>,
    children: Vec<Vec<usize>>,
    files: Vec<usize>,
    used: usize,
    cut: bool,
}

/// Fills in the texts and files of a mail.
pub fn fill(mail: &mut Mail, raw: &Bytes, parts: &Parts<'_>) {
    let mut children = vec![Vec::new(); parts.list.len()];
    for (index, part) in parts.list.iter().enumerate() {
        if let Some(list) = part.parent.and_then(|parent| children.get_mut(parent)) {
            list.push(index);
        }
    }
    let mut reader = Reader {
        raw,
        parts,
        children,
        files: Vec::new(),
        used: 0,
        cut: false,
    };
    let body = reader.body(0);
    mail.cut |= reader.cut;
    let files = std::mem::take(&mut reader.files);
    let shown = body
        .html
        .as_deref()
        .map(html::content_ids)
        .unwrap_or_default();
    mail.attachments = files
        .into_iter()
        .filter_map(|index| parts.list.get(index))
        .filter_map(|part| attached(raw, part, &shown))
        .collect();
    mail.plain = body.plain;
    mail.html = body.html;
}

impl Reader<'_, '_> {
    /// Reads the body that a part is or holds; what is none of it is put among the files.
    fn body(&mut self, index: usize) -> Body {
        let Some(part) = self.parts.list.get(index) else {
            return Body::default();
        };
        if !part.holds {
            return self.leaf(index);
        }
        let children = self.children.get(index).cloned().unwrap_or_default();
        if part.typed.subtype == "alternative" {
            let mut best = Body::default();
            // The last form is the best one that the sender had.
            for child in children {
                let body = self.body(child);
                best.plain = body.plain.or(best.plain);
                best.html = body.html.or(best.html);
            }
            return best;
        }
        let bodies: Vec<Body> = children.into_iter().map(|child| self.body(child)).collect();
        joined(bodies)
    }

    fn leaf(&mut self, index: usize) -> Body {
        let Some(part) = self.parts.list.get(index) else {
            return Body::default();
        };
        let html = part.typed.is("text", "html");
        // A multipart without parts is the text that stands there.
        let text = html
            || part.typed.is("text", "plain")
            || part.typed.kind == "multipart"
            || (part.typed.kind == "text" && part.typed.subtype.is_empty())
            || part.parent.is_none()
                && !part.typed.kind.contains(|c: char| c.is_ascii_alphabetic());
        let named = file_name(part).is_some();
        let disposition = part.head.typed("content-disposition");
        let disposition = disposition.as_ref().map(|found| found.kind.as_str());
        let is_file = match disposition {
            Some("attachment") => part.parent.is_some() || named,
            _ => named && self.used > 0,
        };
        if !text || is_file {
            self.files.push(index);
            return Body::default();
        }
        let left = budget(self.used);
        if left == 0 {
            self.cut = true;
            return Body::default();
        }
        let text = body::text(self.raw, part, left);
        self.used += text.len();
        self.cut |= text.len() >= left;
        let text = shortened(&text, left).to_owned();
        if html {
            Body {
                html: Some(text),
                plain: None,
            }
        } else {
            Body {
                plain: Some(text),
                html: None,
            }
        }
    }
}

/// Puts bodies one behind the other: each form is whole, or is not there.
fn joined(bodies: Vec<Body>) -> Body {
    let bodies: Vec<Body> = bodies
        .into_iter()
        .filter(|body| body.plain.is_some() || body.html.is_some())
        .collect();
    if bodies.len() < 2 {
        return bodies.into_iter().next().unwrap_or_default();
    }
    let mut whole = Body::default();
    if bodies.iter().any(|body| body.html.is_some()) {
        let pages = bodies.iter().map(|body| match (&body.html, &body.plain) {
            (Some(page), _) => page.clone(),
            (None, plain) => html::of_text(plain.as_deref().unwrap_or_default()),
        });
        whole.html = Some(pages.collect::<Vec<_>>().join("\n"));
    }
    if bodies.iter().all(|body| body.plain.is_some()) {
        let texts = bodies.into_iter().filter_map(|body| body.plain);
        let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
        whole.plain = Some(texts.join("\n"));
    }
    whole
}

fn attached(raw: &Bytes, part: &Part<'_>, shown: &HashSet<String>) -> Option<Attached> {
    let bytes = body::content(raw, part, usize::MAX);
    let named = file_name(part);
    if bytes.is_empty() && named.is_none() {
        return None;
    }
    let content_id = part.head.ids("content-id").into_iter().next();
    let content_id = content_id.unwrap_or_default();
    let content_id = content_id.trim_matches(|c| c == '<' || c == '>').to_owned();
    let media_type = if part.typed.kind.is_empty() || part.typed.subtype.is_empty() {
        "application/octet-stream".to_owned()
    } else {
        shortened(&format!("{}/{}", part.typed.kind, part.typed.subtype), 127).to_owned()
    };
    Some(Attached {
        name: named.unwrap_or_else(|| made_name(&media_type, &bytes)),
        inline: !content_id.is_empty() && shown.contains(&content_id.to_ascii_lowercase()),
        media_type,
        content_id,
        bytes,
    })
}

/// Returns the name that the mail gives a file.
fn file_name(part: &Part<'_>) -> Option<String> {
    let disposition = part.head.typed("content-disposition");
    let name = disposition
        .as_ref()
        .and_then(|disposition| disposition.parameter("filename"))
        .or_else(|| part.typed.parameter("name"))?;
    let name = words::again(name);
    // Paths of the sender's disk, in either notation.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !hidden(*c))
        .take(NAME_MAX)
        .collect();
    let name = name.trim().trim_matches('"').trim_end_matches('.').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Characters that are not seen, or that turn the direction of what is seen (a name could hide its ending).
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn made_name(media_type: &str, bytes: &Bytes) -> String {
    match media_type {
        "message/rfc822" | "message/global" => {
            let (head, _) = Head::find(&bytes[..bytes.len().min(64 * 1024)]);
            let subject = head.text("subject").replace(['/', '\\', ':'], " ");
            let subject: String = subject.chars().filter(|c| !hidden(*c)).take(80).collect();
            let subject = subject.trim();
            if subject.is_empty() {
                "message.eml".to_owned()
            } else {
                format!("{subject}.eml")
            }
        }
        "text/calendar" => "invite.ics".to_owned(),
        "text/vcard" | "text/x-vcard" => "contact.vcf".to_owned(),
        "application/ms-tnef" => "winmail.dat".to_owned(),
        "application/pdf" => "file.pdf".to_owned(),
        "application/pgp-signature" => "signature.asc".to_owned(),
        _ => match media_type.split_once('/') {
            Some(("image", kind @ ("png" | "gif" | "webp" | "bmp"))) => format!("image.{kind}"),
            Some(("image", "jpeg" | "jpg")) => "image.jpg".to_owned(),
            Some(("text", "html")) => "page.html".to_owned(),
            Some(("text" | "message", _)) => "text.txt".to_owned(),
            _ => "file".to_owned(),
        },
    }
}
