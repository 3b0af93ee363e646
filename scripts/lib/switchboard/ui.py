"""Progress and refusals, in words for the person at the terminal."""

import os
import sys
import time
from contextlib import contextmanager


class Refusal(Exception):
    """Something that the reader must change: what is wrong, and what to do. Printed without a stack trace."""

    def __init__(self, what, do=""):
        super().__init__(what)
        self.what, self.do = what, do


def _colour():
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if _colour() else text


def bold(text):
    return paint(text, "1")


def say(text=""):
    print(text, flush=True)


def complain(refusal):
    print(f"{paint('cannot go on:', '31')} {refusal.what}", file=sys.stderr, flush=True)
    for line in refusal.do.splitlines():
        print(f"  {line}", file=sys.stderr, flush=True)


def seconds(duration):
    return f"{duration:.1f} s" if duration < 60 else f"{int(duration // 60)} min {int(duration % 60)} s"


@contextmanager
def step(name):
    """Shows a step before it begins and how long it took."""
    say(f"{paint('>', '36')} {name} …")
    begun = time.monotonic()
    yield
    say(f"  {paint('done', '32')} in {seconds(time.monotonic() - begun)}")


def run_main(main):
    """Runs a program: refusals and interruptions end it in words, not in a stack trace."""
    try:
        code = main()
    except Refusal as refusal:
        complain(refusal)
        code = 1
    except KeyboardInterrupt:
        say("\ninterrupted")
        code = 130
    sys.exit(code)
