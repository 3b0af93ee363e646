"""The local stand-ins for providers: where they listen, what the gateway must know of them, and their control API."""

import json
import shutil
import urllib.error
import urllib.request

from . import machine
from .processes import wait_until
from .ui import Refusal, say

# What the Meta app of the stand-in is known by. It opens nothing else.
APP_SECRET = "local-demo-app-secret"
VERIFY_TOKEN = "local-demo-verify-token"

# Offsets count from the port base. The mailbox is there only where its servers are.
TELEGRAM, VIBER, META, MAIL = "the Bot API stand-in", "the Viber stand-in", "the Graph API stand-in", "the mailbox"
IMAP, IMAPS, LMTP, SMTP = "IMAP", "IMAP by TLS", "LMTP", "SMTP"
OFFSETS = {TELEGRAM: 2, VIBER: 4, META: 5, MAIL: 6, IMAP: 7, IMAPS: 8, LMTP: 9, SMTP: 14}


def ports(base):
    return {what: base + offset for what, offset in OFFSETS.items()}


def url(what, ports):
    return f"http://127.0.0.1:{ports[what]}"


def settings(ports):
    """What the gateway is configured with."""
    return {
        "TELEGRAM__API_URL": url(TELEGRAM, ports),
        "VIBER__API_URL": f"{url(VIBER, ports)}/pa",
        "INSTAGRAM__INSTAGRAM_URL": url(META, ports),
        "INSTAGRAM__FACEBOOK_URL": url(META, ports),
        "INSTAGRAM__APP_SECRET": APP_SECRET,
        "INSTAGRAM__VERIFY_TOKEN": VERIFY_TOKEN,
        "MAIL__ALLOW_PLAIN": "true",
        "MAIL__ALLOW_PRIVATE": "true",
        # A start that follows a crash need not wait long for the mailbox.
        "MAIL__RENEW": "1s",
        "MAIL__LEASE": "4s",
    }


def mail_servers():
    """Variables that name the mailbox's servers to it, or nothing: whoever cannot have them does without the mailbox."""
    try:
        if not machine.dovecot() and machine.is_root() and shutil.which("apt-get"):
            machine.install_packages(postgres=False, mail=True)
        dovecot = machine.dovecot()
        if not dovecot:
            return None
        return {"SWITCHBOARD_DOVECOT_BIN": str(dovecot), "SWITCHBOARD_AIOSMTPD_PYTHON": str(machine.aiosmtpd_python())}
    except Refusal as refusal:
        say(f"  no mailbox: {refusal}")
        return None


def start(children, binaries, ports, environment, mail, folder):
    """Starts the stand-ins, and the mailbox where `mail` names its servers; returns {kind: address of its control}."""
    wanted = {
        "telegram": (TELEGRAM, [], {}),
        "viber": (VIBER, [], {}),
        "meta": (META, ["--app-secret", APP_SECRET, "--verify-token", VERIFY_TOKEN], {}),
    }
    if mail:
        servers = [("--imap", IMAP), ("--imaps", IMAPS), ("--lmtp", LMTP), ("--smtp", SMTP)]
        wanted["mail"] = (MAIL, [word for option, what in servers for word in (option, ports[what])], mail)
    started = {}
    for kind, (what, options, more) in wanted.items():
        command = [binaries / f"{kind}_stand_in", "--listen", f"127.0.0.1:{ports[what]}", *options]
        started[kind] = children.start(f"{kind}-stand-in", command, log_of(folder, kind), environment={**environment, **more})
    ready = {}
    for kind, child in started.items():
        what = wanted[kind][0]
        try:
            wait_until(child, lambda at=url(what, ports): answers(f"{at}/control/health"), 30, what)
        except Refusal as refusal:
            # Another release of Dovecot may not understand what is written for it: the other channels are shown still.
            if kind != "mail":
                raise
            children.stop_together([child])
            say(f"  no mailbox: {refusal}; see {log_of(folder, kind)}")
            continue
        ready[kind] = url(what, ports)
    return ready


def log_of(folder, kind):
    return folder / f"{kind}-stand-in.log"


def answers(url):
    try:
        with _open(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def put(what, url, content):
    """Sets something by a control API."""
    request = urllib.request.Request(
        url, data=json.dumps(content).encode(), headers={"content-type": "application/json"}, method="PUT"
    )
    try:
        with _open(request, timeout=20):
            pass
    except urllib.error.HTTPError as error:
        raise Refusal(f"{what} refused {url}", error.read().decode(errors="replace")) from None
    except (OSError, urllib.error.URLError) as error:
        raise Refusal(f"{what} does not answer at {url}", str(error)) from None


def _open(asked, timeout):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=timeout)
