//! Fetching: first what messages are, then one at a time, cut down where it is too large.

use async_imap::imap_proto::{AttributeValue, MessageSection, Response, SectionPath};
use bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::outline::{Outline, outline};
use super::{ImapError, Mailbox};
use crate::domain::mailbox::cut::{Cut, Text, stub};

/// Bytes of a header that are kept of a cut mail.
const HEADER_MAX: usize = 256 * 1024;

/// Bytes of the first text that are kept of a cut mail (§5.1).
const TEXT_MAX: usize = 64 * 1024;

/// Flags of a message that are kept.
const FLAGS_MAX: usize = 50;

const INTERNAL_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[day]-[month repr:short]-[year] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

/// What a server tells of a message before it is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Its UID.
    pub uid: u32,
    /// When the server got it.
    pub internal_date: Option<OffsetDateTime>,
    /// Its size in bytes.
    pub size: u32,
    /// Its flags, as `\Seen`.
    pub flags: Vec<String>,
}

/// A message that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The mail; where it was cut, one with its header and its first text.
    pub raw: Bytes,
    /// What is missing.
    pub cut: Option<Cut>,
}

impl Mailbox {
    /// Returns what the server tells of these messages, in their order. Of one that is gone it tells nothing.
    pub(super) async fn envelopes(&mut self, uids: &[u32]) -> Result<Vec<Envelope>, ImapError> {
        let set: Vec<String> = uids.iter().map(u32::to_string).collect();
        let command = format!(
            "UID FETCH {} (UID FLAGS INTERNALDATE RFC822.SIZE)",
            set.join(",")
        );
        let mut all: Vec<Envelope> = uids
            .iter()
            .map(|uid| Envelope {
                uid: *uid,
                ..Envelope::default()
            })
            .collect();
        self.command(&command, |response| {
            let Response::Fetch(_, attributes) = response else {
                return;
            };
            let told = all.iter_mut().find(|envelope| is(attributes, envelope.uid));
            if let Some(envelope) = told {
                read(attributes, envelope);
            }
        })
        .await?;
        Ok(all)
    }

    /// Fetches one message of the open folder; none where it is gone.
    ///
    /// One above `limit` is cut. What is in it is asked for only `with_structure`: that answer is the hardest to read,
    /// and a message that was not understood is tried again without.
    pub async fn fetch(
        &mut self,
        envelope: &Envelope,
        limit: u32,
        with_structure: bool,
    ) -> Result<Option<Fetched>, ImapError> {
        let uid = envelope.uid;
        let fetched = if envelope.size <= limit {
            self.whole(uid).await
        } else {
            self.cut(uid, envelope.size, with_structure).await
        };
        fetched.map_err(|error| match error {
            // Dovecot says goodbye over a mail that it cannot read.
            ImapError::Garbled(why) | ImapError::Refused(why) | ImapError::Bye(why) => {
                ImapError::Protocol { uid, why }
            }
            other => other,
        })
    }

    async fn whole(&mut self, uid: u32) -> Result<Option<Fetched>, ImapError> {
        let mut raw = None;
        let there = self
            .attributes(uid, "BODY.PEEK[]", |attribute| match attribute {
                AttributeValue::BodySection {
                    section: None,
                    data: Some(data),
                    ..
                }
                | AttributeValue::Rfc822(Some(data)) => raw = Some(Bytes::copy_from_slice(data)),
                _ => {}
            })
            .await?;
        match raw {
            Some(raw) => Ok(Some(Fetched { raw, cut: None })),
            None if there => Err(ImapError::Garbled("it came without content".into())),
            None => Ok(None),
        }
    }

    async fn cut(
        &mut self,
        uid: u32,
        size: u32,
        with_structure: bool,
    ) -> Result<Option<Fetched>, ImapError> {
        let (mut header, mut found) = (None, Outline::default());
        let structure = if with_structure { "BODYSTRUCTURE " } else { "" };
        let items = format!("{structure}BODY.PEEK[HEADER]<0.{HEADER_MAX}>");
        let there = self
            .attributes(uid, &items, |attribute| match attribute {
                AttributeValue::BodyStructure(root) => found = outline(root),
                AttributeValue::BodySection {
                    section: Some(SectionPath::Full(MessageSection::Header)),
                    data: Some(data),
                    ..
                } => header = Some(data.to_vec()),
                _ => {}
            })
            .await?;
        let Some(header) = header else {
            let without = ImapError::Garbled("it came without header".into());
            return if there { Err(without) } else { Ok(None) };
        };
        let (mut own, mut body) = (None, None);
        if let Some(path) = &found.text {
            let part: Vec<String> = path.iter().map(u32::to_string).collect();
            let part = part.join(".");
            let items = if path.is_empty() {
                format!("BODY.PEEK[TEXT]<0.{TEXT_MAX}>")
            } else {
                format!("BODY.PEEK[{part}.MIME]<0.{HEADER_MAX}> BODY.PEEK[{part}]<0.{TEXT_MAX}>")
            };
            self.attributes(uid, &items, |attribute| {
                let AttributeValue::BodySection {
                    section: Some(section),
                    data: Some(data),
                    ..
                } = attribute
                else {
                    return;
                };
                match section {
                    SectionPath::Part(_, Some(MessageSection::Mime)) => own = Some(data.to_vec()),
                    SectionPath::Full(MessageSection::Text) | SectionPath::Part(_, None) => {
                        body = Some(data.to_vec());
                    }
                    _ => {}
                }
            })
            .await?;
        }
        let text = body.as_deref().map(|body| Text {
            header: own.as_deref(),
            body: body.get(..TEXT_MAX).unwrap_or(body),
        });
        let files = found.files;
        Ok(Some(Fetched {
            raw: stub(&header, text).into(),
            cut: Some(Cut { size, files }),
        }))
    }

    /// Asks for items of a message and shows them; false where the message is gone.
    async fn attributes(
        &mut self,
        uid: u32,
        items: &str,
        mut visit: impl FnMut(&AttributeValue<'_>) + Send,
    ) -> Result<bool, ImapError> {
        let mut there = false;
        self.command(&format!("UID FETCH {uid} (UID {items})"), |response| {
            if let Response::Fetch(_, attributes) = response
                && is(attributes, uid)
            {
                there = true;
                attributes.iter().for_each(&mut visit);
            }
        })
        .await?;
        Ok(there)
    }
}

/// Whether these are attributes of that message: servers tell, unasked, of others too.
fn is(attributes: &[AttributeValue<'_>], uid: u32) -> bool {
    attributes.contains(&AttributeValue::Uid(uid))
}

/// Takes over what attributes tell of a message.
pub(super) fn read(attributes: &[AttributeValue<'_>], envelope: &mut Envelope) {
    for attribute in attributes {
        match attribute {
            AttributeValue::InternalDate(text) => envelope.internal_date = internal_date(text),
            AttributeValue::Rfc822Size(size) => envelope.size = *size,
            AttributeValue::Flags(flags) => {
                let flags = flags.iter().take(FLAGS_MAX);
                envelope.flags = flags.map(|flag| flag.clone().into_owned()).collect();
            }
            _ => {}
        }
    }
}

/// Reads `17-Jul-1996 02:44:25 -0700`; days below ten may begin with a space.
fn internal_date(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim_start();
    let padded = format!("{text:0>26}");
    OffsetDateTime::parse(&padded, INTERNAL_DATE).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn internal_dates_are_read_whatever_stands_before_the_day() {
        let july = datetime!(1996-07-07 02:44:25 -7);
        for (text, expected) in [
            ("07-Jul-1996 02:44:25 -0700", Some(july)),
            (" 7-Jul-1996 02:44:25 -0700", Some(july)),
            ("7-Jul-1996 02:44:25 -0700", Some(july)),
            (
                "17-Nov-2026 00:00:00 +0530",
                Some(datetime!(2026-11-17 00:00 +5:30)),
            ),
            ("32-Nov-2026 00:00:00 +0000", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(internal_date(text), expected, "{text}");
        }
    }
}
