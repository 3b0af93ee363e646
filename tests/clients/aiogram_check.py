"""A bot written with aiogram talks to the stand-in: every answer and update must be read without anything left over. What
it saw goes to standard output as JSON; what is not as it should be ends it.

    aiogram_check.py <address of the stand-in> <token>
"""

import asyncio
import json

from telegram_session import CONNECTION, CUSTOMER, KINDS, OWNER, Stage, arguments, into_environment, png

PACKAGE, VERSION = "aiogram", "3.31.0"


def left_over(thing, path):
    """Fields that the library does not know, anywhere in what it read."""
    from pydantic import BaseModel

    if isinstance(thing, BaseModel):
        for field in thing.model_extra or {}:
            yield f"{path}.{field}"
        for name in type(thing).model_fields:
            yield from left_over(getattr(thing, name, None), f"{path}.{name}")
    elif isinstance(thing, (list, tuple)):
        for entry in thing:
            yield from left_over(entry, f"{path}[]")


async def session(url, token):
    from aiogram import Bot
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer
    from aiogram.exceptions import TelegramAPIError
    from aiogram.types import (
        BufferedInputFile,
        InputMediaDocument,
        InputMediaPhoto,
        InputMediaVideo,
        MessageEntity,
        ReactionTypeEmoji,
        ReplyParameters,
        Update,
    )

    stage = Stage(url, token)
    bot = Bot(token, session=AiohttpSession(api=TelegramAPIServer.from_base(url)))
    odd, answers, refusals = [], [], []

    def seen(name, answer):
        answers.append(name)
        odd.extend(left_over(answer, name))
        return answer

    async def refused(call):
        try:
            await call
        except TelegramAPIError as error:
            refusals.append([type(error).__name__, error.message])
        else:
            raise SystemExit("a call was taken that should be refused")

    async with bot:
        seen("get_me", await bot.get_me())
        assert await bot.set_webhook(stage.url, secret_token="s-1", allowed_updates=KINDS)
        info = seen("get_webhook_info", await bot.get_webhook_info())
        assert info.url == stage.url and info.allowed_updates == KINDS

        to = {"chat_id": CUSTOMER}
        bold = MessageEntity(type="bold", offset=2, length=2)
        text = seen("send_message", await bot.send_message(**to, text="Є 42", entities=[bold]))
        assert text.entities[0].extract_from(text.text) == "42"
        reply = ReplyParameters(message_id=text.message_id, allow_sending_without_reply=True)
        seen("reply", await bot.send_message(**to, text="?", reply_parameters=reply))

        receipt = BufferedInputFile(png(1280, 960), "чек.png")
        photo = seen("send_photo", await bot.send_photo(**to, photo=receipt, caption="чек"))
        assert (photo.photo[-1].width, photo.caption) == (1280, "чек")
        named = BufferedInputFile(b"%PDF", "рахунок.pdf")
        document = seen("send_document", await bot.send_document(**to, document=named))
        for kind in ["video", "animation", "audio", "voice", "video_note", "sticker"]:
            content = BufferedInputFile(b"content", f"a.{kind}")
            seen(f"send_{kind}", await getattr(bot, f"send_{kind}")(**to, **{kind: content}))
        seen("send_location", await bot.send_location(**to, latitude=50.45, longitude=30.52))
        seen("send_venue", await bot.send_venue(**to, latitude=50.45, longitude=30.52, title="Відділення", address="вул. Нова"))
        seen("send_contact", await bot.send_contact(**to, phone_number="+380671112233", first_name="Олена"))
        album = [
            InputMediaPhoto(media=BufferedInputFile(png(9, 9), "a.png"), caption="Ось"),
            InputMediaVideo(media=BufferedInputFile(b"film", "b.mp4")),
        ]
        sent = seen("send_media_group", await bot.send_media_group(**to, media=album))
        assert len({message.media_group_id for message in sent}) == 1 and sent[0].caption == "Ось"
        documents = [InputMediaDocument(media=BufferedInputFile(name, "a.txt")) for name in [b"a", b"b"]]
        seen("send_media_group", await bot.send_media_group(**to, media=documents))
        again = await bot.send_document(**to, document=document.document.file_id)
        assert again.document.file_id == document.document.file_id
        file = seen("get_file", await bot.get_file(document.document.file_id))
        assert (await bot.download_file(file.file_path)).read() == b"%PDF"

        edited = await bot.edit_message_text("Є 43", **to, message_id=text.message_id)
        assert seen("edit_message_text", edited).text == "Є 43"
        captioned = await bot.edit_message_caption(**to, message_id=photo.message_id, caption="квитанція")
        assert seen("edit_message_caption", captioned).caption == "квитанція"
        thumb = [ReactionTypeEmoji(emoji="👍")]
        assert await bot.set_message_reaction(**to, message_id=text.message_id, reaction=thumb)
        assert await bot.send_chat_action(**to, action="typing")

        query = stage.play(text.message_id)
        assert await bot.answer_callback_query(query, text="Так")
        await refused(bot.answer_callback_query(query))
        connection = seen("get_business_connection", await bot.get_business_connection(CONNECTION))
        assert connection.user.id == OWNER and connection.rights.can_reply
        business = await bot.send_message(**to, text="Є", business_connection_id=CONNECTION)
        seen("business_message", business)
        assert business.business_connection_id == CONNECTION and business.from_user.id == OWNER
        assert await bot.delete_business_messages(CONNECTION, [business.message_id])

        await refused(bot.send_message(**to, text=" "))
        await refused(bot.edit_message_text("Є 43", **to, message_id=text.message_id))
        await refused(bot.edit_message_caption(**to, message_id=text.message_id, caption="x"))
        await refused(bot.send_photo(**to, photo=BufferedInputFile(png(9_000, 9_000), "a.png")))
        lemon = [ReactionTypeEmoji(emoji="🍋")]
        await refused(bot.set_message_reaction(**to, message_id=text.message_id, reaction=lemon))
        await refused(bot.send_message(chat_id=1, text="x", business_connection_id=CONNECTION))
        assert await bot.delete_message(**to, message_id=text.message_id)
        await refused(bot.delete_message(**to, message_id=text.message_id))
        assert await bot.delete_messages(**to, message_ids=[message.message_id for message in sent])
        stage.do("faults", kind="flood", retry_after=3, times=1, chat_id=CUSTOMER)
        await refused(bot.send_message(**to, text="x"))
        stage.do("faults", kind="blocked", times=1, chat_id=CUSTOMER)
        await refused(bot.send_message(**to, text="x"))

    updates = []
    for received in stage.received:
        update = Update.model_validate(received)
        odd.extend(left_over(update, "update"))
        updates.append(next(kind for kind in received if kind != "update_id"))
        assert update.event_type == updates[-1]
    return {"odd": sorted(set(odd)), "answers": answers, "updates": updates, "refusals": refusals}


if __name__ == "__main__":
    into_environment(PACKAGE, VERSION, __file__)
    print(json.dumps(asyncio.run(session(*arguments()))))
