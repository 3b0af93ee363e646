"""The demo account, made by switchboardctl's own verbs, and the story that `--demo` plays. Everything here may be done
again: what exists is kept."""

import json
import os
import shlex
import subprocess
from pathlib import Path

from . import services, stand_ins
from .ui import Refusal

ACCOUNT = "demo"
# Telegram's form: bot id and 35 characters. It opens nothing but the stand-in.
BOT_TOKEN = "7000000001:LOCAL-DEMO-TOKEN-OF-THE-STAND-IN-00"
AGENTS = {
    "Olena": "0195d3c0-0000-7000-8000-00000000a001",
    "Taras": "0195d3c0-0000-7000-8000-00000000a002",
    "Iryna": "0195d3c0-0000-7000-8000-00000000a003",
}
CHANNEL = "0195d3c0-0000-7000-8000-00000000c001"

# The other lines, of which the mailbox is made only where its servers run. These open nothing but the stand-ins either.
VIBER_TOKEN = "4453b6ac10caffee-e02c5f12174805f9-daf9cbb5448c51f3"
INSTAGRAM = {"id": "17841400008460056", "username": "demo.shop", "page": "108850000000001"}
INSTAGRAM_TOKEN = "EAADLOCALDEMOTOKENOFTHESTANDIN"
ADDRESS = "sales@shop.example"
# As mail_stand_in has them.
MAIL_USER, MAIL_PASSWORD = "shop", "secret"


def lines(system, ports):
    """The lines beside Telegram: for each the context's section, the channel's id and name, the stand-in's control
    address, by what the stand-in knows us, and the credentials in the words of the contract."""
    found = [
        (
            "viber", "0195d3c0-0000-7000-8000-00000000c002", "Demo Viber bot", system["stand_ins"]["viber"], VIBER_TOKEN,
            {"viber_bot": {"token": VIBER_TOKEN, "sender_name": "Demo shop"}},
        ),
        (
            "instagram", "0195d3c0-0000-7000-8000-00000000c003", "Demo Instagram", system["stand_ins"]["meta"], INSTAGRAM_TOKEN,
            # A page's token does not end, so that a stand-in started again knows it still.
            {"instagram": {"login": "LOGIN_FACEBOOK", "account_id": INSTAGRAM["id"], "page_id": INSTAGRAM["page"],
                           "access_token": INSTAGRAM_TOKEN}},
        ),
    ]  # fmt: skip
    if "mail" in system["stand_ins"]:
        def server(what):
            return {"host": "127.0.0.1", "port": ports[what], "security": "SECURITY_NONE"}

        mailbox = {
            "address": ADDRESS, "display_name": "Demo shop", "username": MAIL_USER, "password": MAIL_PASSWORD,
            "imap": server(stand_ins.IMAP), "smtp": server(stand_ins.SMTP),
        }  # fmt: skip
        channel = "0195d3c0-0000-7000-8000-00000000c004"
        found.append(("mail", channel, "Demo mailbox", system["stand_ins"]["mail"], ADDRESS, {"email": mailbox}))
    return found


def rules(channel, pipeline):
    """What a channel's rules are made by. It is not enabled before they stand: the last one tells that they do."""
    return [
        ["distribution", "set", channel, "round-robin", *(word for name in AGENTS for word in ("--agent", name))],
        ["connection", "set", channel, "--mode", "repeat", "--pipeline", pipeline],
    ]


def make_keys(binaries, keys):
    """The key that signs local tokens, its JWKS, the key that seals secrets, and the token services call each other with."""
    program = binaries / "switchboardctl"
    environment = services.plain_environment()
    call(program, environment, "keys", "init", "--dir", str(keys))
    # Made anew at every start: its life is limited, and services read it at start.
    claims = ["--issuer", services.ISSUER, "--audience", services.AUDIENCE, "--ttl", "90d"]
    token = call(program, environment, "token", "--key", str(keys / "signing.pem"), "--internal", "--service", "local", *claims)
    write_secret(keys / "internal.token", token)


def write_secret(file, text):
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text.strip() + "\n")


def write_context(system, others, local):
    """What switchboardctl must know of this system, and `.local/switchboardctl`, which hands it over."""
    quoted = json.dumps
    text = [
        "# Written by scripts/start.",
        f"account = {quoted(ACCOUNT)}",
        'key = "keys/signing.pem"',
        f"issuer = {quoted(services.ISSUER)}",
        f"audience = {quoted(services.AUDIENCE)}",
        f"agent = {quoted(next(iter(AGENTS)))}",
        "[services]",
        *(f"{services.key(name)} = {quoted(url)}" for name, url in system["grpc"].items()),
        "[nats]",
        f"url = {quoted(system['nats'])}",
        "[telegram]",
        f"control = {quoted(system['stand_ins']['telegram'])}",
        f"bot_token = {quoted(BOT_TOKEN)}",
        f"channel = {quoted(CHANNEL)}",
    ]
    for section, channel, _, control, token, _ in others:
        text += [f"[{section}]", f"control = {quoted(control)}", f"token = {quoted(token)}", f"channel = {quoted(channel)}"]
    write_secret(local / "ctl.toml", "\n".join(text))
    program = Path(system["binaries"]) / "switchboardctl"
    wrapper = local / "switchboardctl"
    wrapper.write_text(
        "#!/bin/sh\n# Written by scripts/start: switchboardctl, pointed at the local system.\n"
        # By its own name it is called in the commands it shows.
        "SWITCHBOARD_CTL_PROGRAM=$0 "
        f"SWITCHBOARD_CTL_WEBHOOKS={shlex.quote(system['webhooks'])} "
        f"SWITCHBOARD_CTL_CONTEXT={shlex.quote(str(local / 'ctl.toml'))} exec {shlex.quote(str(program))} \"$@\"\n"
    )
    wrapper.chmod(0o755)
    return wrapper


def introduce(controls):
    """Tells the stand-ins again what they forget when they stop, before any service asks them: the gateway takes a token
    that Meta does not know for one that was taken back, and disconnects the channel."""
    stand_ins.put(stand_ins.META, f"{controls['meta']}/control/accounts/{INSTAGRAM_TOKEN}", INSTAGRAM)


def set_up(system, ports, local):
    """Makes the demo account with its agents, pipeline and channels; returns {"account", "channel", "channels", "token"}."""
    others = lines(system, ports)
    program = write_context(system, others, local)
    environment = {**services.plain_environment(), "SWITCHBOARD_CTL_BOT_TOKEN": BOT_TOKEN}

    def ctl(*args):
        return call(program, environment, *args)

    def listed(noun):
        return json.loads(ctl(noun, "list", "--output", "json") or "[]")

    ctl("account", "create", ACCOUNT, "--name", "Demo shop")
    names = {agent.get("name") for agent in listed("agent")}
    for name, agent in AGENTS.items():
        if name not in names:
            ctl("agent", "create", name, "--id", agent)
        ctl("agent", "presence", name, "online")
    if not listed("pipeline"):
        ctl("pipeline", "create", "Sales")
    # The oldest, should somebody have made more.
    pipeline = listed("pipeline")[0]["pipelineId"]
    known = {channel["channelId"]: channel for channel in listed("channel")}
    if CHANNEL not in known:
        ctl("channel", "create-telegram", "Demo bot", "--id", CHANNEL)
    # Forgotten when it stops. The gateway is asked whether the address is its own.
    meta = system["stand_ins"]["meta"]
    stand_ins.put(stand_ins.META, f"{meta}/control/webhook", {"url": f"{system['webhooks']}/in/instagram"})
    for section, channel, name, _, _, credentials in others:
        file = local / "keys" / f"{section}.json"
        write_secret(file, json.dumps(credentials))
        if channel not in known:
            ctl("channel", "create", name, "--id", channel, "--credentials", str(file))
        elif section == "mail":
            # Its servers are elsewhere when the port base is another than before.
            ctl("channel", "credentials", channel, "--credentials", str(file))
    for channel in [CHANNEL, *(channel for _, channel, *_ in others)]:
        # Made once: what somebody has set since is theirs.
        stands = json.loads(ctl("connection", "show", channel, "--output", "json")).get("activateTime")
        for rule in [] if stands else rules(channel, pipeline):
            ctl(*rule)
        # Also where it is enabled already: the stand-in forgets its webhooks when it stops, and the channel registers its
        # own again. It is never disabled for that: what a customer writes meanwhile would be put aside. One that somebody
        # has switched off or disconnected stays so.
        if not stands or known.get(channel, {}).get("state") == "STATE_ENABLED":
            ctl("channel", "enable", channel)
    agent = next(iter(AGENTS.values()))
    token = ctl("token", "--agent", agent, "--ttl", "30d").strip()
    write_secret(local / "demo.token", token)
    channels = {"telegram": CHANNEL, **{section: channel for section, channel, *_ in others}}
    return {"account": ACCOUNT, "channel": CHANNEL, "channels": channels, "token": token}


def commands(local):
    """Three commands that work when pasted, from where the start was called."""
    return [f"{shlex.quote(shown(local))} {rest}" for rest in ("channel list", "chat list", "card list")]


def shown(local):
    """How the local switchboardctl is called from here."""
    path = os.path.relpath(local / "switchboardctl")
    return path if "/" in path else f"./{path}"


def story(local):
    """Plays the story; its transcript goes to the terminal, its exit code is ours."""
    command = [shown(local), "demo", "story"]
    return subprocess.run(command, env=services.plain_environment(), stdin=subprocess.DEVNULL, check=False).returncode


def call(program, environment, *args):
    """Calls switchboardctl and returns what it prints."""
    command = [str(program), *args]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = shlex.join(["switchboardctl", *args])
        raise Refusal(f"`{shown}` failed", f"It said:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout
