//! A mail too large to be fetched whole, cut down to its header and its first text (channels.md §5.1).

/// Files of a mail that are listed at most.
pub const FILES_MAX: usize = 100;

/// What is missing from a mail that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The size of the whole mail, in bytes.
    pub size: u32,
    /// The files that it carries, as far as the server tells: 100 at most.
    pub files: Vec<CutFile>,
}

/// A file that stayed on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutFile {
    /// The name, as the mail writes it; empty where it has none.
    pub name: String,
    /// The MIME type, in lower case.
    pub mime: String,
    /// Bytes as encoded in the mail.
    pub size: u32,
}

/// The text that is kept of a cut mail.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The MIME header of its part; none where the mail is nothing but this text, and its own header tells.
    pub header: Option<&'a [u8]>,
    /// The text, as encoded, up to the limit.
    pub body: &'a [u8],
}

/// Composes the mail that stands for one that was cut: its header as it was, and nothing but the text.
///
/// Where the text is a part of a larger whole, the fields that tell of content are those of the part.
pub fn stub(header: &[u8], text: Option<Text<'_>>) -> Vec<u8> {
    let (own, body) = match text {
        None => (Some(&b""[..]), &b""[..]),
        Some(Text { header, body }) => (header, body),
    };
    let Some(own) = own else {
        let mut mail = block(header, |_| true);
        mail.extend_from_slice(b"\r\n");
        mail.extend_from_slice(body);
        return mail;
    };
    let mut mail = block(header, |name| !is_content(name));
    mail.extend(block(own, is_content));
    mail.extend_from_slice(b"\r\n");
    mail.extend_from_slice(body);
    mail
}

/// Whether a field tells of the content.
fn is_content(name: &[u8]) -> bool {
    name.len() >= 8 && name[..8].eq_ignore_ascii_case(b"content-")
}

/// Copies the fields of a header block whose name is wanted, with their folded lines, up to the empty line.
fn block(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let mut keeping = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        if bare.is_empty() {
            break;
        }
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            let name = bare.split(|byte| *byte == b':').next().unwrap_or_default();
            keeping = wanted(name.trim_ascii());
        }
        if keeping {
            kept.extend_from_slice(bare);
            kept.extend_from_slice(b"\r\n");
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"From: a@example.com\r\nContent-Type: multipart/mixed;\r\n boundary=x\r\n\
        Subject: long\r\n  folded\r\nCONTENT-Transfer-Encoding: 7bit\r\n\r\n";

    #[test]
    fn a_cut_mail_keeps_its_header_and_the_content_fields_of_its_text() {
        let kept = "From: a@example.com\r\nSubject: long\r\n  folded\r\n";
        let part = b"Content-Type: text/plain;\r\n charset=utf-8\r\nX-Other: 1\r\n\r\n".as_slice();
        let whole = "From: a@example.com\r\nContent-Type: multipart/mixed;\r\n boundary=x\r\nSubject: long\r\n  \
            folded\r\nCONTENT-Transfer-Encoding: 7bit\r\n\r\nhi";
        for (what, text, expected) in [
            ("without text", None, format!("{kept}\r\n")),
            (
                "a part",
                Some(Text {
                    header: Some(part),
                    body: b"hi",
                }),
                format!("{kept}Content-Type: text/plain;\r\n charset=utf-8\r\n\r\nhi"),
            ),
            (
                "nothing but text",
                Some(Text {
                    header: None,
                    body: b"hi",
                }),
                whole.to_owned(),
            ),
        ] {
            let mail = stub(HEADER, text);
            assert_eq!(String::from_utf8_lossy(&mail), expected, "{what}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_no_reason_to_stop() {
        for header in [
            b"".as_slice(),
            b"\r\n",
            b" folded first\r\n",
            b"no colon",
            b"\n\n",
            b":\r\n",
        ] {
            let _ = stub(header, None);
        }
        assert_eq!(stub(b"A: 1\nB: 2\n\nbody", None), b"A: 1\r\nB: 2\r\n\r\n");
    }
}
