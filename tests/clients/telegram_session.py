"""What the bots written with Telegram libraries have in common: the environment that holds the library, the webhook, and
the hand that moves the customers of the stand-in."""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = 5540012873
OWNER = 42
CONNECTION = "bc_7Yh2"
KINDS = [
    "message",
    "edited_message",
    "callback_query",
    "my_chat_member",
    "message_reaction",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
]


def into_environment(package, version, script):
    """Begins anew in the virtual environment that holds the library; it is made on the first run."""
    sys.path.insert(0, str(ROOT / "scripts/lib"))
    from switchboard.machine import cache, from_pypi
    from switchboard.ui import Refusal, complain

    folder = cache() / f"{package}-{version}"
    if Path(sys.prefix) == folder:
        return
    printed, sys.stdout = sys.stdout, sys.stderr
    try:
        python = from_pypi(package, version, "python")
    except Refusal as refusal:
        complain(refusal)
        sys.exit(1)
    finally:
        sys.stdout = printed
    os.execv(python, [str(python), script, *sys.argv[1:]])


class Stage:
    """The webhook, which keeps what arrives, and the control API of the stand-in."""

    def __init__(self, url, token):
        self.control = f"{url}/control/bots/{token}"
        self.received = []
        stage = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                right = self.headers.get("X-Telegram-Bot-Api-Secret-Token") == "s-1"
                if right:
                    stage.received.append(json.loads(raw))
                self.send_response(200 if right else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"

    def do(self, path, **body):
        request = urllib.request.Request(
            f"{self.control}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def play(self, message_id):
        """Lets the customer do everything that a customer can do; returns the query of the pressed button."""
        customer, account = f"customers/{CUSTOMER}", f"business/{CONNECTION}"
        said = self.do(f"{customer}/say", text="/start lead_77", entities=[{"type": "bot_command", "offset": 0, "length": 6}])
        size = {"file_id": "AgAC1", "file_unique_id": "AQ1", "width": 90, "height": 67, "file_size": 4}
        self.do(f"{customer}/album", items=[{"photo": [size], "caption": "Ось"}, {"photo": [size]}])
        self.do(f"{customer}/edit", message_id=said["message_id"], text="Є 43?")
        self.do(f"{customer}/press", message_id=message_id, data="order:ok:551")
        self.do(f"{customer}/react", message_id=message_id, emojis=["❤"])
        self.do(f"{customer}/block")
        self.do(f"{customer}/unblock")
        self.do(account, owner=OWNER, first_name="Крамниця")
        first = self.do(f"{account}/{customer}/say", text="Ціна?")
        self.do(f"{account}/{customer}/say", text="120", by_owner=True)
        self.do(f"{account}/{customer}/say", text="Ціна 43?", message_id=first["message_id"], edit_date=1790764840)
        self.do(f"{account}/{customer}/delete", message_ids=[first["message_id"]])
        return next(update["callback_query"]["id"] for update in self.received if "callback_query" in update)


def arguments():
    """Address of the stand-in and the bot's token."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: {Path(sys.argv[0]).name} <address of the stand-in> <token>")
    return sys.argv[1].rstrip("/"), sys.argv[2]


def png(width, height):
    """The beginning of a picture: what tells its measures."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
