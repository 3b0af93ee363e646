//! What a mail consists of, by the server's `BODYSTRUCTURE`.

use async_imap::imap_proto::{BodyContentCommon, BodyParams, BodyStructure};

use crate::domain::mailbox::cut::{CutFile, FILES_MAX};

/// How deep parts are looked into.
const DEPTH_MAX: usize = 20;

/// Characters of a name that are kept.
const NAME_MAX: usize = 255;

/// The first text of a mail, and its files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Where the first text stands: plain before HTML. Empty where the mail is nothing but this text.
    pub text: Option<Vec<u32>>,
    /// The files: 100 at most.
    pub files: Vec<CutFile>,
}

/// Draws the outline of a mail.
pub fn outline(root: &BodyStructure<'_>) -> Outline {
    let mut found = Found::default();
    found.visit(root, &mut Vec::new());
    Outline {
        text: found.plain.or(found.html),
        files: found.files,
    }
}

#[derive(Default)]
struct Found {
    plain: Option<Vec<u32>>,
    html: Option<Vec<u32>>,
    files: Vec<CutFile>,
}

impl Found {
    fn visit(&mut self, part: &BodyStructure<'_>, path: &mut Vec<u32>) {
        match part {
            BodyStructure::Multipart { bodies, .. } => {
                if path.len() >= DEPTH_MAX {
                    return;
                }
                for (number, body) in (1..).zip(bodies) {
                    path.push(number);
                    self.visit(body, path);
                    path.pop();
                }
            }
            BodyStructure::Text { common, other, .. } if !is_file(common) => {
                let place = if common.ty.subtype.eq_ignore_ascii_case("html") {
                    &mut self.html
                } else {
                    &mut self.plain
                };
                if place.is_none() {
                    *place = Some(path.clone());
                } else {
                    self.file(common, other.octets);
                }
            }
            BodyStructure::Text { common, other, .. }
            | BodyStructure::Basic { common, other, .. }
            | BodyStructure::Message { common, other, .. } => self.file(common, other.octets),
        }
    }

    fn file(&mut self, common: &BodyContentCommon<'_>, size: u32) {
        if self.files.len() < FILES_MAX {
            let mime = format!("{}/{}", common.ty.ty, common.ty.subtype);
            self.files.push(CutFile {
                name: name(common),
                mime: kept(&mime.to_ascii_lowercase()),
                size,
            });
        }
    }
}

fn is_file(common: &BodyContentCommon<'_>) -> bool {
    let disposition = common.disposition.as_ref();
    disposition.is_some_and(|disposition| disposition.ty.eq_ignore_ascii_case("attachment"))
}

fn name(common: &BodyContentCommon<'_>) -> String {
    let disposition = common.disposition.as_ref();
    let named = disposition.and_then(|disposition| param(&disposition.params, "filename"));
    kept(
        &named
            .or_else(|| param(&common.ty.params, "name"))
            .unwrap_or_default(),
    )
}

/// Finds a parameter, also one in the form of RFC 2231 (`filename*`), which is left as it is written.
fn param(params: &BodyParams<'_>, wanted: &str) -> Option<String> {
    let found = params.iter().flatten().find(|(name, _)| {
        let name = name.split('*').next().unwrap_or_default();
        name.eq_ignore_ascii_case(wanted)
    });
    found.map(|(_, value)| value.clone().into_owned())
}

fn kept(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use async_imap::imap_proto::{AttributeValue, Response};

    use super::*;

    fn of(structure: &str) -> Outline {
        let line = format!("* 1 FETCH (BODYSTRUCTURE {structure})\r\n");
        let (_, response) = Response::parse(line.as_bytes()).unwrap();
        let Response::Fetch(_, attributes) = response else {
            panic!("{structure}");
        };
        let AttributeValue::BodyStructure(root) = attributes.first().unwrap() else {
            panic!("{structure}");
        };
        outline(root)
    }

    #[test]
    fn the_first_text_and_the_files_are_found() {
        let plain = r#"("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 10 1 NIL NIL NIL NIL)"#;
        let html = r#"("TEXT" "HTML" NIL NIL NIL "7BIT" 10 1 NIL NIL NIL NIL)"#;
        let log = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 9 1 NIL ("ATTACHMENT" ("FILENAME" "a.log")) NIL NIL)"#;
        let pdf = r#"("APPLICATION" "PDF" ("NAME" "b.pdf") NIL NIL "BASE64" 99 NIL NIL NIL NIL)"#;
        let alternative = format!(r#"({html}{plain} "ALTERNATIVE" NIL NIL NIL NIL)"#);
        let mixed = |parts: &str| format!(r#"({parts} "MIXED" NIL NIL NIL NIL)"#);
        let files = |outline: &Outline| {
            let files = outline.files.iter();
            files
                .map(|file| format!("{} {} {}", file.name, file.mime, file.size))
                .collect::<Vec<_>>()
        };
        for (structure, text, expected) in [
            (plain.to_owned(), Some(vec![]), vec![]),
            (
                mixed(&format!("{plain}{pdf}")),
                Some(vec![1]),
                vec!["b.pdf application/pdf 99"],
            ),
            (
                mixed(&format!("{pdf}{alternative}{log}")),
                Some(vec![2, 2]),
                vec!["b.pdf application/pdf 99", "a.log text/plain 9"],
            ),
            (
                mixed(&format!("{log}{html}")),
                Some(vec![2]),
                vec!["a.log text/plain 9"],
            ),
            (pdf.to_owned(), None, vec!["b.pdf application/pdf 99"]),
        ] {
            let outline = of(&structure);
            assert_eq!(outline.text, text, "{structure}");
            assert_eq!(files(&outline), expected, "{structure}");
        }
    }
}
