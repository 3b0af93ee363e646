//! Methods of channel-gateway.

use super::super::requests::*;
use super::Told::{May, Refused};
use super::{CHANNEL, CHAT, CHATS, LINE, LINES, NEW, NOBODY, Row, row, service};

pub(super) fn rows() -> Vec<Row> {
    service(
        "channel_gateway.v1.ChannelGatewayService",
        [
            row("CreateChannel", new_bot, "", NEW),
            row("GetChannel", channel, "line", LINE),
            row("ListChannels", nothing, "channel", LINES),
            row("ListDeliveries", chat, "answer", CHATS),
            row(
                "CreateUpload",
                create_upload,
                "",
                [May, May, May, May, Refused, May, May, May],
            ),
            row("GetAttachment", attachment, "attachment", CHAT),
            row("CreateAttachmentLink", attachment, "attachment", CHAT),
            row("RefetchAttachment", attachment, "attachment", CHAT),
            row("HoldUploads", hold_attachment, "", NOBODY),
            row("UpdateChannel", update_channel, "", CHANNEL),
            row("VerifyChannel", channel, "", CHANNEL),
            row("DisableChannel", channel, "", CHANNEL),
            row("EnableChannel", channel, "", CHANNEL),
            row("DisconnectChannel", channel, "", CHANNEL),
            row("ConnectChannel", bot, "", CHANNEL),
        ],
    )
}
