# SPDX-License-Identifier: Apache-2.0
"""The commands beside this file: run, up, exec and down."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import image
import project
from machine import Guest, Lost, Wish

# Several may be up at once, under names of their own.
NAME = os.environ.get("PYRUNC_GUEST_NAME", "up")
KEPT = project.WORK / NAME
CANNOT = 125  # as with docker and podman: it was not the command that failed


def parser(verb: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"tests/guest/{verb}")
    if verb in ("run", "up"):
        made.add_argument("--smp", type=int, default=1, help="processors; more are slower")
        made.add_argument("--memory", type=int, default=4096, metavar="MIB")
    if verb in ("run", "exec"):
        made.add_argument("--user", default="root", help="root, or tester in a login session")
        made.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
        made.add_argument("--out", type=Path, default=project.WORK / "out", metavar="DIRECTORY",
                          help="where what CMD leaves in /out goes")  # fmt: skip
        made.add_argument("--timeout", type=float, default=3600, metavar="SECONDS")
        made.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    return made


def wish(options: argparse.Namespace, place: Path) -> Wish:
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        raise SystemExit("guest: no command given")
    made = Wish(words, project.packed(place), options.out.absolute())
    made.user = options.user
    made.env = dict(pair.split("=", 1) for pair in options.env)
    shutil.rmtree(made.out, ignore_errors=True)
    made.out.mkdir(parents=True)
    return made


def run(options: argparse.Namespace) -> int:
    """A clean guest for one command."""
    place = image.ready()
    asked = wish(options, place)
    with tempfile.TemporaryDirectory(prefix="pyrunc-guest-") as directory:
        guest = Guest(Path(directory))
        try:
            guest.start(place, options.smp, options.memory, stays=False)
            return guest.run(asked, boots=True, timeout=options.timeout)
        finally:
            guest.stop()


def up(options: argparse.Namespace) -> int:
    """A guest that stays, for `exec`."""
    start = time.monotonic()
    place = image.ready()
    guest = Guest(KEPT)
    if guest.pid():
        raise SystemExit("guest: it is up; tests/guest/down ends it")
    options.command, options.user, options.env = ["true"], "root", []
    options.out = project.WORK / "out"
    asked = wish(options, place)
    guest.start(place, options.smp, options.memory, stays=True)
    try:
        guest.run(asked, boots=True, timeout=60)
    except BaseException:
        guest.stop()
        raise
    print(f"guest: up after {time.monotonic() - start:.0f} s; its console is {KEPT}/console.log")
    return 0


def execute(options: argparse.Namespace) -> int:
    """A command in the guest that is up, with the sources as they are now."""
    guest = Guest(KEPT)
    if not guest.pid():
        raise SystemExit("guest: it is not up; tests/guest/up starts it")
    with image.alone(project.WORK / f"{NAME}.lock"):
        return guest.run(wish(options, image.ready()), boots=False, timeout=options.timeout)


def down(_: argparse.Namespace) -> int:
    Guest(KEPT).stop()
    return 0


def main(verb: str) -> int:
    # Whatever ends us, `finally` ends QEMU.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    verbs = {"run": run, "up": up, "exec": execute, "down": down}
    try:
        return verbs[verb](parser(verb).parse_args())
    except (image.Impossible, Lost) as error:
        print(f"guest: {error}", file=sys.stderr)
        return CANNOT
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv.pop(1)))
