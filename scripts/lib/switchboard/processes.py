"""Child processes, known by their ids: nothing that this program did not start is ever touched."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from .ui import Refusal

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Child:
    """A running child with its output in a log file."""

    def __init__(self, name, command, log, environment=None, user=None, polite=signal.SIGTERM, folder=None):
        self.name, self.log, self.polite = name, Path(log), polite
        account = {"user": user, "group": user, "extra_groups": []} if user else {}
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                cwd=folder,
                # Ctrl-C goes to the whole group in front: children have their own and are stopped in order.
                start_new_session=True,
                # If this program is killed itself, its children still end.
                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, polite),
                **account,
            )

    def ended(self):
        return self.process.poll() is not None

    def tail(self, lines=12):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, grace=25.0):
        """Asks it to end, and kills it after `grace` seconds."""
        if self.ended():
            return
        self.process.send_signal(self.polite)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Children:
    """All children of this program: stopped in the reverse order of their start when left."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        # A closed terminal or a plain kill ends everything as Ctrl-C does (which a background job would ignore).
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave half of them running.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.stop()

    def start(self, *args, **kwargs):
        child = Child(*args, **kwargs)
        self.running.append(child)
        return child

    def stop(self):
        """Services first and together, so that one slow drain does not add to the next; then what they stand on."""
        self.stop_together([child for child in self.running if child.name not in ("nats", "postgres")])
        while self.running:
            self.running.pop().stop()

    def stop_together(self, children):
        for child in children:
            if not child.ended():
                child.process.send_signal(child.polite)
        for child in children:
            child.stop()
            if child in self.running:
                self.running.remove(child)


def _interrupt(*_):
    raise KeyboardInterrupt


def wait_until(child, ready, limit, what):
    """Waits for `ready()`; a refusal with the end of the log if the child ends or takes too long."""
    deadline = time.monotonic() + limit
    while not ready():
        if child.ended():
            raise Refusal(f"{what} ended while starting", f"Its last words ({child.log}):\n{child.tail()}")
        if time.monotonic() > deadline:
            raise Refusal(f"{what} was not ready within {limit} s", f"Its last words ({child.log}):\n{child.tail()}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def port_taken(port):
    with socket.socket() as trial:
        # As servers do: a connection of an earlier run that has not faded away does not count.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def owner_of(port):
    """Who listens on a port, in words, as far as this user may know."""
    wanted = f"0100007F:{port:04X}", f"00000000:{port:04X}"
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{row[9]}]" for row in rows if row[1] in wanted and row[3] == "0A"}
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                    return f"process {process.name} ({(process / 'comm').read_text().strip()})"
            except OSError:
                continue
    except OSError:
        pass
    return "another process"


def need_ports(ports):
    """Refuses if any of {what: port} is taken."""
    taken = [f"port {port} for {what} is taken by {owner_of(port)}" for what, port in ports.items() if port_taken(port)]
    if taken:
        raise Refusal("; ".join(taken), "Stop it, or choose another range: scripts/start --port-base 19000")
