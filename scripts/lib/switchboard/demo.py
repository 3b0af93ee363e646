"""The demo account, made by switchboardctl's own verbs, and the story that `--demo` plays. Everything here may be done
again: what exists is kept."""

import json
import os
import shlex
import subprocess
from pathlib import Path

from . import services
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
# What the channel's rules are made by. The channel is not enabled before they stand.
RULES = [
    ["connection", "set", CHANNEL, "--mode", "repeat"],
    ["distribution", "set", CHANNEL, "round-robin", *(word for name in AGENTS for word in ("--agent", name))],
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


def write_context(system, local):
    """What switchboardctl must know of this system, and `.local/switchboardctl`, which hands it over."""
    quoted = json.dumps
    lines = [
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
        f"control = {quoted(system['telegram'])}",
        f"bot_token = {quoted(BOT_TOKEN)}",
        f"channel = {quoted(CHANNEL)}",
    ]
    write_secret(local / "ctl.toml", "\n".join(lines))
    program = Path(system["binaries"]) / "switchboardctl"
    wrapper = local / "switchboardctl"
    wrapper.write_text(
        "#!/bin/sh\n# Written by scripts/start: switchboardctl, pointed at the local system.\n"
        f"SWITCHBOARD_CTL_CONTEXT={shlex.quote(str(local / 'ctl.toml'))} exec {shlex.quote(str(program))} \"$@\"\n"
    )
    wrapper.chmod(0o755)
    return wrapper


def set_up(system, local):
    """Makes the demo account with its agents, pipeline and channel; returns {"account", "channel", "token"}."""
    program = write_context(system, local)
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
    if not listed("channel"):
        ctl("channel", "create-telegram", "Demo bot", "--id", CHANNEL)
    for rule in RULES:
        ctl(*rule)
    # Also where it is enabled already: the stand-in forgets its webhooks when it stops, and the channel registers its
    # own again. It is never disabled for that: what a customer writes meanwhile would be put aside.
    ctl("channel", "enable", CHANNEL)
    agent = next(iter(AGENTS.values()))
    token = ctl("token", "--agent", agent, "--ttl", "30d").strip()
    write_secret(local / "demo.token", token)
    return {"account": ACCOUNT, "channel": CHANNEL, "token": token}


def commands(local):
    """Three commands that work when pasted, from where the start was called."""
    program = shlex.quote(os.path.relpath(local / "switchboardctl"))
    return [f"{program} {rest}" for rest in ("channel list", "chat list", "card list")]


def story(local):
    """Plays the story; its transcript goes to the terminal, its exit code is ours."""
    command = [str(local / "switchboardctl"), "demo", "story"]
    return subprocess.run(command, env=services.plain_environment(), stdin=subprocess.DEVNULL, check=False).returncode


def call(program, environment, *args):
    """Calls switchboardctl and returns what it prints."""
    command = [str(program), *args]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = shlex.join(["switchboardctl", *args])
        raise Refusal(f"`{shown}` failed", f"It said:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout
