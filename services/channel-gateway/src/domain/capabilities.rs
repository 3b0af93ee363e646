//! What a channel can (D15, channels.md §6), so that clients of the API hide what would fail.

use switchboard_proto::channel_gateway::v1::Capabilities;

use super::channel::ChannelKind;

const MEGABYTE: i64 = 1024 * 1024;

/// Returns what a channel of this kind can. A mailbox takes what its server takes: most refuse more than 25 MB as
/// encoded, which is 18 MB of files.
pub fn capabilities(kind: ChannelKind) -> Capabilities {
    match kind {
        ChannelKind::TelegramBot => Capabilities {
            text_limit: 4_096,
            rich_text: true,
            pictures_per_message: 10,
            caption_limit: 1_024,
            file_limit: 50 * MEGABYTE,
            reply: true,
            edit: true,
            delete: true,
            react: true,
            ..Capabilities::default()
        },
        ChannelKind::ViberBot => Capabilities {
            text_limit: 7_000,
            rich_text: true,
            pictures_per_message: 1,
            caption_limit: 512,
            file_limit: 50 * MEGABYTE,
            delivered_receipts: true,
            read_receipts: true,
            ..Capabilities::default()
        },
        // The limit is one of bytes where the documentation disagrees with itself: half as many letters are safe.
        ChannelKind::Instagram => Capabilities {
            text_limit: 1_000,
            pictures_per_message: 10,
            file_limit: 25 * MEGABYTE,
            react: true,
            read_receipts: true,
            own_app_messages: true,
            window_hours: 24,
            comments: true,
            ..Capabilities::default()
        },
        ChannelKind::Email => Capabilities {
            rich_text: true,
            pictures_per_message: 100,
            caption_limit: i32::MAX,
            file_limit: 18 * MEGABYTE,
            reply: true,
            own_app_messages: true,
            writes_first: true,
            ..Capabilities::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d15_every_kind_tells_what_it_can_and_never_more_than_its_provider() {
        use ChannelKind::{Email, Instagram, TelegramBot, ViberBot};
        for (kind, edit, react, read, first, window, pictures) in [
            (TelegramBot, true, true, false, false, 0, 10),
            (ViberBot, false, false, true, false, 0, 1),
            (Instagram, false, true, true, false, 24, 10),
            (Email, false, false, false, true, 0, 100),
        ] {
            let can = capabilities(kind);
            assert_eq!(
                (can.edit, can.react, can.read_receipts, can.writes_first),
                (edit, react, read, first),
                "{kind:?}"
            );
            assert_eq!(
                (can.window_hours, can.pictures_per_message),
                (window, pictures)
            );
            // Both or neither: what has no own app messages hears of none.
            assert_eq!(can.comments, kind == Instagram);
        }
    }
}
