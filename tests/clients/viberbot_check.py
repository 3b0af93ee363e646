"""A bot written with `viberbot`, Viber's own library for Python, talks to the stand-in: what that library refuses, Viber's
bots would refuse too. Everything it saw goes to standard output as JSON; what is not as it should be ends it.

    viberbot_check.py <base address of the API> <control address> <token>
"""

import json
import os
import sys
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGE, VERSION = "viberbot", "1.0.12"
ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = "pQ7xN2aLr0uZ1mW8sYkTfA=="


def into_environment():
    """Begins anew in the virtual environment that holds the library."""
    sys.path.insert(0, str(ROOT / "scripts/lib"))
    from switchboard.machine import cache, from_pypi
    from switchboard.ui import Refusal, complain

    folder = cache() / f"{PACKAGE}-{VERSION}"
    if Path(sys.prefix) == folder:
        return
    printed, sys.stdout = sys.stdout, sys.stderr
    try:
        python = from_pypi(PACKAGE, VERSION, "python")
    except Refusal as refusal:
        complain(refusal)
        sys.exit(1)
    finally:
        sys.stdout = printed
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


class Bot:
    """The webhook, the library, and the hand that moves the customer."""

    def __init__(self, api_url, control, token):
        from viberbot import Api
        from viberbot.api import api
        from viberbot.api.bot_configuration import BotConfiguration

        api.VIBER_BOT_API_URL = api_url
        self.api = Api(BotConfiguration(name="Крамниця", avatar="https://a.example/a.png", auth_token=token))
        self.control = f"{control}/control/bots/{token}"
        self.received = []
        bot = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                status = bot.receive(raw, self.headers.get("X-Viber-Content-Signature"))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"

    def receive(self, raw, signature):
        if not self.api.verify_signature(raw, signature):
            self.received.append(("forged", raw))
            return 403
        try:
            self.received.append((self.api.parse_request(raw), json.loads(raw)))
        except Exception as error:  # the library throws nothing narrower
            self.received.append((f"refused: {error!r}", raw))
            return 400
        return 200

    def ask(self, path, body):
        """Moves the customer, and returns how the callback got through and what the bot received."""
        before = len(self.received)
        customer = urllib.parse.quote(CUSTOMER, safe="")
        request = urllib.request.Request(
            f"{self.control}/customers/{customer}/{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            delivered = json.load(answer)
        assert delivered["statuses"] == [200], (path, delivered, self.received[before:])
        request, told = self.received[before]
        assert told["message_token"] == delivered["message_token"], (told, delivered)
        return request, told


def customers_words(bot):
    """Every kind that a customer can send is one that the library understands, field by field."""
    media = "https://dl-media.viber.example/1?Signature=x"
    kinds = [
        {"type": "text", "text": "Коли відправите?", "tracking_data": "c:551"},
        {"type": "picture", "text": "Ось", "media": media, "thumbnail": media},
        {"type": "video", "media": media, "size": 9, "duration": 12, "thumbnail": media},
        {"type": "file", "media": media, "size": 9, "file_name": "накладна.pdf"},
        {"type": "url", "media": "https://shop.example/p/17"},
        {"type": "contact", "contact": {"name": "Ігор", "phone_number": "380501112233"}},
        {"type": "location", "location": {"lat": 49.8397, "lon": 24.0297}},
        {"type": "sticker", "sticker_id": 46105},
    ]
    for message in kinds:
        request, told = bot.ask("say", message)
        assert request.event_type == "message" and request.sender.id == CUSTOMER, request
        assert request.message_token == told["message_token"] > 2**53, request
        assert request.message.validate(), request
        read = request.message.to_dict()
        for key, value in message.items():
            if isinstance(value, dict):
                assert {k: read[key][k] for k in value} == value, (key, read)
            else:
                assert read[key] == value, (key, read)
    return [message["type"] for message in kinds]


def bots_words(bot):
    """Every kind that the library sends is taken, and its token comes back whole."""
    from viberbot.api.messages import (
        ContactMessage, FileMessage, LocationMessage, PictureMessage, StickerMessage, TextMessage, URLMessage, VideoMessage,
    )
    from viberbot.api.messages.data_types.contact import Contact
    from viberbot.api.messages.data_types.location import Location

    media = "https://cdn.example.ua/f/8c1"
    return bot.api.send_messages(CUSTOMER, [
        TextMessage(text="Є 42 та 43"),
        PictureMessage(text="Ось розміри", media=f"{media}.jpg"),
        VideoMessage(media=f"{media}.mp4", size=9, duration=12),
        FileMessage(media=f"{media}.pdf", size=9, file_name="a.pdf"),
        URLMessage(media="https://shop.example/p/17"),
        ContactMessage(contact=Contact(name="Ігор", phone_number="380501112233")),
        LocationMessage(location=Location(lat=49.8397, lon=24.0297)),
        StickerMessage(sticker_id=46105),
    ])


def refused(call, status):
    try:
        call()
    except Exception as error:  # the library throws nothing narrower
        assert f"status: {status}," in str(error), error
        return status
    raise AssertionError(f"not refused with {status}")


def main(api_url, control, token):
    from viberbot.api.messages import TextMessage

    bot = Bot(api_url, control, token)
    hello = [TextMessage(text="a")]
    refusals = [refused(lambda: bot.api.send_messages(CUSTOMER, hello), 10)]
    events = ["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"]
    assert bot.api.set_webhook(bot.url, events) == events
    # The question came while the call was under way, and its signature held.
    assert [request.event_type for request, _ in bot.received] == ["webhook"], bot.received
    info = bot.api.get_account_info()
    assert info["status"] == 0 and info["webhook"] == bot.url and info["event_types"] == events, info

    started, _ = bot.ask("conversation_started", {"context": "ad_autumn"})
    assert started.context == "ad_autumn" and started.user.id == CUSTOMER and started.subscribed is False, started
    subscribed, _ = bot.ask("subscribed", {})
    assert subscribed.user.id == CUSTOMER, subscribed
    kinds = customers_words(bot)
    tokens = bots_words(bot)
    assert bot.api.get_user_details(CUSTOMER)["id"] == CUSTOMER
    for event, told in [("delivered", {}), ("seen", {}), ("failed", {"desc": "keyboard is not valid"})]:
        receipt, _ = bot.ask(event, {"message_token": tokens[0], **told})
        assert receipt.event_type == event and receipt.user_id == CUSTOMER, receipt
        assert receipt.message_token == tokens[0], receipt
    gone, _ = bot.ask("unsubscribed", {})
    assert gone.user_id == CUSTOMER, gone
    refusals.append(refused(lambda: bot.api.send_messages(CUSTOMER, hello), 6))
    bot.ask("say", {"text": "Я знову тут"})
    refusals.append(refused(lambda: bot.api.send_messages(CUSTOMER, [TextMessage(text="ї" * 7001)]), 3))
    refusals.append(refused(lambda: bot.api.set_webhook("http://198.51.100.7/in"), 1))
    assert bot.api.unset_webhook() == []
    print(json.dumps({
        "kinds": kinds, "tokens": tokens, "refusals": refusals, "received": len(bot.received),
        "odd": [str(request) for request, _ in bot.received if isinstance(request, str)],
    }))


if __name__ == "__main__":
    into_environment()
    # All of it is on this machine: no proxy stands between.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    main(*sys.argv[1:])
