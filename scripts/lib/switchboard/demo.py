"""What the local system asks of switchboardctl. The work itself (account, agents, pipeline, channel, and the story) is
switchboardctl's; here are only its calls:

    keys create --folder F      makes F/signing.pem, F/jwks.json and F/internal.token unless they are there
    demo setup --output json    makes what is missing; prints {"account", "token", "channel", "agents", …}
    demo story                  plays and checks the story; its exit code is ours
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

from . import services
from .ui import Refusal

# Telegram's form: bot id and 35 characters. It opens nothing but the stand-in.
BOT_TOKEN = "7000000001:LOCAL-DEMO-TOKEN-OF-THE-STAND-IN-00"


def make_keys(binaries, keys):
    """The key that signs local tokens, its JWKS, and the token that services call each other with."""
    wanted = [keys / name for name in ("signing.pem", "jwks.json", "internal.token")]
    environment = {**services.plain_environment(), **token_settings(keys)}
    run([binaries / "switchboardctl", "keys", "create", "--folder", keys], environment, "the keys were not made")
    if absent := [file.name for file in wanted if not file.exists()]:
        raise Refusal(f"switchboardctl keys create did not make {', '.join(absent)} in {keys}")


def token_settings(keys):
    return {
        "SWITCHBOARD_SIGNING_KEY": str(keys / "signing.pem"),
        "SWITCHBOARD_ISSUER": services.ISSUER,
        "SWITCHBOARD_AUDIENCE": services.AUDIENCE,
    }


def settings(system):
    """Where switchboardctl finds the services, and by which key it makes tokens."""
    urls = {f"SWITCHBOARD_{services.key(name).upper()}_URL": url for name, url in system["grpc"].items()}
    return {
        **urls,
        **token_settings(Path(system["keys"])),
        "SWITCHBOARD_NATS_URL": system["nats"],
        "SWITCHBOARD_TELEGRAM_STAND_IN_URL": system["telegram"],
        "SWITCHBOARD_TELEGRAM_TOKEN": BOT_TOKEN,
    }


def set_up(system, local):
    """Makes the demo account, and `.local/switchboardctl`, which knows this system's addresses and the agent's token."""
    program = Path(system["binaries"]) / "switchboardctl"
    environment = {**services.plain_environment(), **settings(system)}
    answer = run([program, "demo", "setup", "--output", "json"], environment, "the demo account was not made")
    try:
        made = json.loads(answer)
        made["account"], made["token"]
    except (ValueError, KeyError, TypeError):
        raise Refusal("switchboardctl demo setup did not print an account and a token", answer[-500:]) from None
    token = local / "demo.token"
    token.touch(mode=0o600)
    token.write_text(made["token"] + "\n")
    lines = ["#!/bin/sh", "# Written by scripts/start: switchboardctl with the local system's addresses and demo token."]
    lines += [f"export {name}=${{{name}:-{shlex.quote(value)}}}" for name, value in settings(system).items()]
    lines.append(f"export SWITCHBOARD_TOKEN=${{SWITCHBOARD_TOKEN:-$(cat {shlex.quote(str(token))})}}")
    lines.append(f'exec {shlex.quote(str(program))} "$@"')
    wrapper = local / "switchboardctl"
    wrapper.write_text("\n".join(lines) + "\n")
    wrapper.chmod(0o755)
    return made


def commands(system, local):
    """Three commands that work when pasted, from wherever the start was called."""
    program = shlex.quote(os.path.relpath(local / "switchboardctl"))
    if not program.startswith((".", "/")):
        program = f"./{program}"
    return [f"{program} chat list", f"{program} card list", f"{program} dead-letter list"]


def story(system):
    """Plays the story; its transcript goes to the terminal."""
    program = Path(system["binaries"]) / "switchboardctl"
    environment = {**services.plain_environment(), **settings(system), "SWITCHBOARD_TOKEN": system["demo"]["token"]}
    return subprocess.run([str(program), "demo", "story"], env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def run(command, environment, failed):
    done = subprocess.run(
        [str(part) for part in command],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        called = " ".join(["switchboardctl", *map(str, command[1:])])
        raise Refusal(failed, f"`{called}` said:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout
