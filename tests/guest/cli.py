# SPDX-License-Identifier: Apache-2.0
"""The commands beside this file: run, up, exec, down and check."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.guest import image, project
from tests.guest.machine import Guest, Lost, NotBooted, Wish

# Several may be up at once, under names of their own.
NAME = os.environ.get("PYRUNC_GUEST_NAME", "up")
KEPT = project.WORK / NAME
OUT = project.WORK / "out" / NAME
BOOTS = 3
# Two guests at once, as each takes one processor, and shares that take about as long. The guest's
# own tests come last: docker and systemd hand controllers down that the tests of v1 hierarchies
# need for themselves.
_DRIVEN = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("events", "exec_library", "exec_limits", "pause", "ps", "update")
)
# What needs neither systemd nor controllers has run on the host, ten times as fast.
_NATIVE = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "conformance", "dbus", "descriptors", "handshake", "injection", "install", "interrupted",
        "loader", "long_options", "readme", "sealed_program", "terminal_bytes",
        "trust", "words", "words_inside",
    )
)  # fmt: skip
SHARES = (
    ("tests/differential", "tests/contract", *_DRIVEN),
    ("tests/integration", "tests/guest", *(f"--ignore={p}" for p in (*_DRIVEN, *_NATIVE))),
)
PYTEST = ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=10")
CANNOT = 125  # as with docker and podman: it was not the command that failed


def parser(verb: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=f"tests/guest/{verb}",
        epilog="PYRUNC_GUEST_NAME in the environment names the guest of up, exec and down.",
    )
    if verb in ("run", "up"):
        made.add_argument("--smp", type=int, default=1, help="processors; more are slower")
        made.add_argument("--memory", type=int, default=4096, metavar="MIB")
    if verb == "run":
        made.add_argument("--shell", action="store_true", help="the guest's console instead of CMD")
    if verb in ("run", "exec"):
        made.add_argument("--user", default="root", help="root, or tester in a login session")
        made.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
        made.add_argument("--out", type=Path, metavar="DIRECTORY",
                          help="where what CMD leaves in /out goes (build/guest/out)")  # fmt: skip
        made.add_argument("--timeout", type=float, default=3600, metavar="SECONDS")
        made.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    return made


def arguments(verb: str) -> argparse.Namespace:
    made = parser(verb)
    options = made.parse_args()
    needs = verb == "exec" or (verb == "run" and not options.shell)
    if needs and not options.command:
        made.error("no command given")
    return options


def wish(options: argparse.Namespace, place: Path) -> Wish:
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    out = options.out or OUT
    if not options.out:  # a directory that somebody names is not ours to empty
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    made = Wish(words, project.packed(place), out.absolute())
    made.user = options.user
    made.env = dict(pair.split("=", 1) for pair in options.env)
    return made


def run(options: argparse.Namespace) -> int:
    """A clean guest for one command."""
    place = image.ready()
    if options.shell:
        return shell(options, place)
    asked = wish(options, place)
    with tempfile.TemporaryDirectory(prefix="pyrunc-guest-") as directory:
        guest = Guest(Path(directory))
        return booted(guest, options, place, asked, options.timeout, stays=False)


def shell(options: argparse.Namespace, place: Path) -> int:
    """A clean guest for a person."""
    options.command = ["true"]
    asked = wish(options, place)
    with tempfile.TemporaryDirectory(prefix="pyrunc-guest-") as directory:
        guest = Guest(Path(directory))
        try:
            guest.start(place, options.smp, options.memory, stays=False, console=True)
            guest.run(asked, boots=True, timeout=60)
            guest.wait()
        finally:
            guest.stop()
    return 0


def booted(
    guest: Guest, options: argparse.Namespace, place: Path, asked: Wish, timeout: float, stays: bool
) -> int:
    """Boot and run a command. Emulation is not perfect: one kernel in fifty dies while booting."""
    keep = False
    for again in reversed(range(BOOTS)):
        try:
            guest.start(place, options.smp, options.memory, stays=stays)
            code = guest.run(asked, boots=True, timeout=timeout)
            keep = stays
            return code
        except NotBooted as error:
            if not again:
                raise
            print(f"guest: once more, it did not boot: {error}", file=sys.stderr)
        finally:
            if not keep:
                guest.stop()
    raise AssertionError


def up(options: argparse.Namespace) -> int:
    """A guest that stays, for `exec`."""
    start = time.monotonic()
    place = image.ready()
    guest = Guest(KEPT)
    if guest.pid():
        raise SystemExit("guest: it is up; tests/guest/down ends it")
    options.command, options.user, options.env = ["true"], "root", []
    options.out = None
    booted(guest, options, place, wish(options, place), timeout=60, stays=True)
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


def check(_: argparse.Namespace) -> int:
    """The tests that the guest is for; where there can be no guest, that is said and no failure."""
    if reason := image.obstacle():
        print(f"guest: SKIPPED, its tests have not run: {reason}")
        return 0
    start = time.monotonic()
    image.ready()
    log = project.WORK / "check.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    first, second = ([*PYTEST, *share] for share in SHARES)
    with log.open("wb") as file:
        # It ends with us, and its guest with it.
        other = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", image.HERE / "run", "--out", OUT / "2", *second],
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        codes = [subprocess.run([image.HERE / "run", *first], check=False).returncode]
        codes.append(other.wait())
    finally:
        other.terminate()
        other.wait()
    print(f"guest: {' '.join(SHARES[1])}")
    sys.stdout.flush()
    sys.stdout.buffer.write(log.read_bytes())
    verdict = "FAILED" if any(codes) else "passed"
    print(f"guest: {verdict} after {time.monotonic() - start:.0f} s, exit codes {codes}")
    return max(codes)


def main(verb: str) -> int:
    # Whatever ends us, `finally` ends QEMU.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    verbs = {"run": run, "up": up, "exec": execute, "down": down, "check": check}
    try:
        return verbs[verb](arguments(verb))
    except (image.Impossible, Lost) as error:
        print(f"guest: {error}", file=sys.stderr)
        return CANNOT
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv.pop(1)))
