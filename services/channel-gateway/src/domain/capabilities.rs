//! What a channel can (D15, channels.md §6), so that clients of the API hide what would fail.
//!
//! It is what can be done through Switchboard now, not what the provider could do. What conversation offers for each kind of channel (`domain/own_amendment.rs` there) and this say the same.

use switchboard_proto::channel_gateway::v1::capabilities::TextUnit;
use switchboard_proto::channel_gateway::v1::{Capabilities, FileLimit};
use switchboard_proto::common::v1::attachment::Kind;

use super::channel::ChannelKind;
use super::{instagram, telegram, viber};

/// Bytes of the files of a mail: most servers refuse more than 25 MB as encoded, which is about 18 MB of files. Some take
/// more, so that a larger one is left to the server to refuse.
const MAIL_FILES: i64 = 18_000_000;

/// Returns what a channel of this kind can, where no file is larger than `largest` bytes.
pub fn capabilities(kind: ChannelKind, largest: u64) -> Capabilities {
    let mut can = of_kind(kind);
    let largest = i64::try_from(largest).unwrap_or(i64::MAX);
    can.file_limit = can.file_limit.min(largest);
    for limit in &mut can.file_limits {
        limit.max_bytes = limit.max_bytes.min(largest);
    }
    can
}

fn of_kind(kind: ChannelKind) -> Capabilities {
    let characters = TextUnit::Characters.into();
    match kind {
        ChannelKind::TelegramBot => Capabilities {
            text_limit: limit(telegram::layout::TEXT_MAX),
            text_unit: characters,
            rich_text: true,
            pictures_per_message: 10,
            caption_limit: limit(telegram::layout::CAPTION_MAX),
            file_limit: telegram::media::FILE_MAX,
            file_limits: vec![or_document(Kind::Photo, telegram::media::PHOTO_MAX)],
            reply: true,
            edit: true,
            delete: true,
            react: true,
            ..Capabilities::default()
        },
        ChannelKind::ViberBot => Capabilities {
            text_limit: limit(viber::call::TEXT_MAX),
            text_unit: characters,
            rich_text: true,
            pictures_per_message: 1,
            caption_limit: limit(viber::call::CAPTION_MAX),
            file_limit: viber::file::FILE_MAX,
            file_limits: [
                (Kind::Photo, viber::file::PICTURE_MAX),
                (Kind::Video, viber::file::VIDEO_MAX),
                (Kind::VideoNote, viber::file::VIDEO_MAX),
                (Kind::Animation, viber::file::VIDEO_MAX),
            ]
            .map(|(kind, max)| or_document(kind, max))
            .into(),
            delivered_receipts: true,
            read_receipts: true,
            ..Capabilities::default()
        },
        // The documentation says bytes on one page and characters on another: bytes are safe.
        ChannelKind::Instagram => Capabilities {
            text_limit: limit(instagram::call::TEXT_MAX),
            text_unit: TextUnit::Bytes.into(),
            pictures_per_message: 10,
            file_limit: instagram::call::FILE_MAX,
            file_limits: vec![FileLimit {
                kind: Kind::Photo.into(),
                max_bytes: instagram::call::PICTURE_MAX,
                else_document: false,
            }],
            read_receipts: true,
            own_app_messages: true,
            window_hours: 24,
            comments: true,
            react: true,
            ..Capabilities::default()
        },
        ChannelKind::Email => Capabilities {
            text_unit: characters,
            rich_text: true,
            pictures_per_message: 100,
            caption_limit: i32::MAX,
            file_limit: MAIL_FILES,
            reply: true,
            own_app_messages: true,
            writes_first: true,
            ..Capabilities::default()
        },
    }
}

fn limit(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn or_document(kind: Kind, max_bytes: i64) -> FileLimit {
    FileLimit {
        kind: kind.into(),
        max_bytes,
        else_document: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::telegram::media::{Medium, Sort};
    use crate::domain::{email, instagram, viber};
    use switchboard_proto::common::v1::{
        Attachment, ContentPart, Text, attachment, content_part::Content,
    };
    use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};

    const KINDS: [ChannelKind; 4] = [
        ChannelKind::TelegramBot,
        ChannelKind::ViberBot,
        ChannelKind::Instagram,
        ChannelKind::Email,
    ];

    #[test]
    fn d15_every_kind_tells_what_it_can_and_never_more_than_its_provider() {
        use ChannelKind::{Email, Instagram, TelegramBot, ViberBot};
        for (kind, reply, read, window, pictures) in [
            (TelegramBot, true, false, 0, 10),
            (ViberBot, false, true, 0, 1),
            (Instagram, false, true, 24, 10),
            (Email, true, false, 0, 100),
        ] {
            let can = capabilities(kind, u64::MAX);
            assert_eq!(
                (can.reply, can.read_receipts, can.window_hours),
                (reply, read, window),
                "{kind:?}"
            );
            assert_eq!(can.pictures_per_message, pictures);
            // Both or neither: what has no own app messages hears of none.
            assert_eq!(can.comments, kind == Instagram);
        }
    }

    #[test]
    fn d15_no_channel_says_it_can_what_no_call_offers() {
        for (kind, expected) in [
            (ChannelKind::TelegramBot, [true, true, true, false]),
            (ChannelKind::ViberBot, [false; 4]),
            (ChannelKind::Instagram, [false, false, true, false]),
            (ChannelKind::Email, [false, false, false, true]),
        ] {
            let can = capabilities(kind, u64::MAX);
            let said = [can.edit, can.delete, can.react, can.writes_first];
            assert_eq!(said, expected, "{kind:?}");
        }
    }

    #[test]
    fn d15_no_file_goes_out_that_is_larger_than_any_may_be() {
        for kind in KINDS {
            let can = capabilities(kind, 1_000);
            let limits = can.file_limits.iter().map(|limit| limit.max_bytes);
            assert!(limits.chain([can.file_limit]).all(|max| max == 1_000));
        }
    }

    fn file(kind: Kind, media_type: &str, size: i64) -> Attachment {
        Attachment {
            attachment_id: "0197e7a4-0000-7000-8000-000000000000".to_owned(),
            kind: kind.into(),
            media_type: media_type.to_owned(),
            size,
            state: attachment::State::Stored.into(),
            ..Attachment::default()
        }
    }

    /// What is told holds where messages are made: a byte more goes another way.
    #[test]
    fn d15_files_go_out_up_to_the_limit_of_their_kind_and_no_further() {
        let of = |kind: ChannelKind, file: Kind| {
            let can = capabilities(kind, u64::MAX);
            let own = can.file_limits.iter().find(|limit| limit.kind() == file);
            own.map_or(can.file_limit, |limit| limit.max_bytes)
        };
        let telegram = |kind, media_type, size| {
            Medium::of(&file(kind, media_type, size)).map(|medium| medium.sort == Sort::Document)
        };
        let bot = ChannelKind::TelegramBot;
        let most = of(bot, Kind::Photo);
        assert_eq!(most, 10 << 20);
        assert_eq!(telegram(Kind::Photo, "image/png", most), Ok(false));
        assert_eq!(telegram(Kind::Photo, "image/png", most + 1), Ok(true));
        let most = of(bot, Kind::Video);
        assert_eq!(most, 50 << 20);
        assert_eq!(telegram(Kind::Video, "video/mp4", most), Ok(false));
        assert!(telegram(Kind::Video, "video/mp4", most + 1).is_err());

        let viber = |kind, media_type, size| {
            let params = viber::file::params(&file(kind, media_type, size), "");
            params
                .ok()
                .and_then(|params| params["type"].as_str().map(str::to_owned))
        };
        let shop = ChannelKind::ViberBot;
        for (kind, media_type, most, as_such) in [
            (Kind::Photo, "image/png", 1 << 20, Some("picture")),
            (Kind::Video, "video/mp4", 26 << 20, Some("video")),
            (Kind::Animation, "video/mp4", 26 << 20, Some("video")),
            (Kind::Document, "application/pdf", 50 << 20, Some("file")),
        ] {
            assert_eq!(of(shop, kind), most, "{kind:?}");
            assert_eq!(viber(kind, media_type, most).as_deref(), as_such);
            let beyond = Some("file").filter(|_| kind != Kind::Document);
            assert_eq!(viber(kind, media_type, most + 1).as_deref(), beyond);
        }

        for (kind, media_type, most) in [
            (Kind::Photo, "image/png", 8_000_000),
            (Kind::Video, "video/mp4", 25_000_000),
            (Kind::Voice, "audio/mp4", 25_000_000),
            (Kind::Document, "application/pdf", 25_000_000),
        ] {
            assert_eq!(of(ChannelKind::Instagram, kind), most, "{kind:?}");
            let goes = |size| {
                let part = ContentPart {
                    content: Some(Content::Attachment(file(kind, media_type, size))),
                };
                instagram::plan(&sent(vec![part]), instagram::call::How::default()).is_ok()
            };
            assert_eq!((goes(most), goes(most + 1)), (true, false), "{kind:?}");
        }
        assert_eq!(of(ChannelKind::Email, Kind::Photo), 18_000_000);
    }

    fn sent(parts: Vec<ContentPart>) -> OutboundCommand {
        OutboundCommand {
            action: Action::Send.into(),
            chat_key: "77".to_owned(),
            parts,
            ..OutboundCommand::default()
        }
    }

    /// In the unit that is told, a text of the limit is one piece and a longer one is two.
    #[test]
    fn d15_texts_are_split_where_the_limit_says_in_its_unit() {
        let text = |text: String| {
            sent(vec![ContentPart {
                content: Some(Content::Text(Text {
                    text,
                    entities: vec![],
                })),
            }])
        };
        let shop = viber::call::Sender {
            name: "Shop".to_owned(),
            avatar: String::new(),
        };
        let pieces = |kind, command: &OutboundCommand| match kind {
            ChannelKind::TelegramBot => telegram::plan(command).unwrap().len(),
            ChannelKind::ViberBot => viber::plan(command, &shop).unwrap().len(),
            ChannelKind::Instagram => instagram::plan(command, instagram::call::How::default())
                .unwrap()
                .len(),
            ChannelKind::Email => email::plan::plan(command, "shop.example", None, "Shop")
                .unwrap()
                .len(),
        };
        for kind in KINDS {
            let can = capabilities(kind, u64::MAX);
            let most = usize::try_from(can.text_limit).unwrap();
            // A letter of two bytes and one UTF-16 unit.
            let letters = match can.text_unit() {
                TextUnit::Bytes => most / 2,
                _ => most,
            };
            if most == 0 {
                assert_eq!(pieces(kind, &text("ї".repeat(100_000))), 1);
                continue;
            }
            assert_eq!(pieces(kind, &text("ї".repeat(letters))), 1, "{kind:?}");
            assert_eq!(pieces(kind, &text("ї".repeat(letters + 1))), 2, "{kind:?}");
        }
    }
}
