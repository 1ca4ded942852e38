# SPDX-License-Identifier: Apache-2.0
"""What a person at a terminal sees: the bytes at the master of a pty in which a shell starts
containers, with pyrunc and with runc."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib.support import SLOW, Bundle, Runtime, in_time

# Runtimes give the size a moment after the start.
SCRIPT = "sleep 0.5; stty size; echo one; echo two; read x; echo got $x; exit 7"


class Shell:
    """A shell with job control in a terminal of its own.

    Args:
        directory: where it starts.
    """

    def __init__(self, directory: Path) -> None:
        self.seen = b""
        self._at = 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve(
                "/bin/sh", ["sh", "-i"], {"PATH": os.environ["PATH"], "PS1": "$ ", "LANG": "C"}
            )
        self.size(24, 80)
        self.until("$ ")

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, array.array("H", [rows, columns, 0, 0]))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, text: str, seconds: float = 15) -> None:
        """Read until that has been shown, behind what was waited for before."""
        end = time.monotonic() + seconds * SLOW
        while (found := self.seen.find(text.encode(), self._at)) < 0:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"{text!r} was not shown: {self.seen[self._at :]!r}")
            self.seen += os.read(self.master, 4096)
        self._at = found + len(text)

    def close(self) -> None:
        os.close(self.master)  # its session gets SIGHUP
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell(tmp_path):
    opened: list[Shell] = []

    def start() -> Shell:
        opened.append(Shell(tmp_path))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def command(runtime: Runtime, bundle: Bundle, name: str) -> str:
    return f"{runtime.program} --root {runtime.root} run -b {bundle.path} {name}"


def plain(runtime: Runtime, seen: bytes) -> str:
    """Without what differs by its nature: the program's name, the pids of jobs, ids."""
    text = seen.decode().replace(str(runtime.root), "ROOT")
    text = re.sub(r"pyrunc-test-[\w-]+", "ID", text)
    return text.replace(runtime.program, "RT")


def both(
    runtime: Runtime,
    runc: Runtime,
    shell: Callable[[], Shell],
    play: Callable[[Runtime, Shell], None],
) -> str:
    """Play a scene with both; what was shown has to be the same."""
    texts = []
    for one in (runc, runtime):
        opened = shell()
        play(one, opened)
        texts.append(plain(one, opened.seen))
    assert texts[1] == texts[0]
    return texts[1]


@pytest.fixture
def terminal(bundle):
    bundle.config["process"]["terminal"] = True
    return bundle


def test_run(runtime, runc, terminal, shell):
    terminal.shell(SCRIPT)

    def play(one: Runtime, at: Shell) -> None:
        at.type(command(one, terminal, one.new_id()) + "\n")
        at.until("two")
        at.type("ab\x7fc\r")
        at.until("got ac")
        at.until("$ ")
        at.type("echo $?; stty -a | grep -o -e '-*opost' -e '-*onlcr' -e '-*icanon'\n")
        at.until("icanon\r\n$ ")

    shown = both(runtime, runc, shell, play)
    assert "24 80\r\none\r\ntwo\r\n" in shown, "each line begins at the left"


def test_exec(runtime, runc, bundle, shell):
    bundle.args("sleep", "1000")
    names = {one: one.create(bundle) for one in (runtime, runc)}
    for one, name in names.items():
        one("start", name)

    def play(one: Runtime, at: Shell) -> None:
        line = f"{one.program} --root {one.root} exec -t {names[one]} sh -c '{SCRIPT}'\n"
        at.type(line)
        at.until("two\r\n")
        at.type("hello\r")
        at.until("got hello")
        at.until("$ ")
        at.type("echo $?\n")
        at.until("7\r\n$ ")

    both(runtime, runc, shell, play)


def test_resize(runtime, runc, terminal, shell):
    terminal.shell("trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")

    def play(one: Runtime, at: Shell) -> None:
        at.type(command(one, terminal, one.new_id()) + "\n")
        at.until("ready")
        at.size(33, 99)
        at.until("33 99")
        at.type("\x03")
        at.until("$ ")

    both(runtime, runc, shell, play)


@pytest.mark.parametrize("tty", [True, False])
def test_stop_and_interrupt_keys(runtime, runc, bundle, shell, tty):
    """With a terminal they are the program's; without one the caller's signals go to it."""
    bundle.config["process"]["terminal"] = tty
    bundle.shell("trap 'echo INT; exit 5' INT; echo ready; while read x; do echo got $x; done")

    def play(one: Runtime, at: Shell) -> None:
        at.type(command(one, bundle, one.new_id()) + "\n")
        at.until("ready")
        at.type("\x1a")
        at.until("^Z")
        at.type("abc\r")
        at.until("got abc")
        at.type("\x03")
        at.until("$ ")
        at.type("echo $?\n")
        at.until("$ ")

    both(runtime, runc, shell, play)


def test_killed_runtime(runtime, runc, terminal, shell, tmp_path):
    """TERM to it goes to the program, and the terminal is as before."""
    terminal.shell("trap 'echo TERM; exit 3' TERM; echo ready; while :; do sleep 0.1; done")

    def play(one: Runtime, at: Shell) -> None:
        at.type(f"sh -c 'echo $$ > pid; exec {command(one, terminal, one.new_id())}'\n")
        at.until("ready")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        at.until("$ ")
        at.type("echo $?; stty -a | grep -o -e '-*icanon'\n")
        at.until("icanon\r\n$ ")

    both(runtime, runc, shell, play)


def test_background_job(runtime, terminal, shell):
    """Not compared: runc 1.1 hangs, or spins at 100 %, where the kernel sends SIGTTOU."""
    terminal.shell("echo one; echo two; exit 7")
    at = shell()
    at.type(command(runtime, terminal, runtime.new_id()) + " & wait $!; echo code $?\n")
    at.until("code 7")
    assert "one\r\ntwo\r\n" in at.seen.decode()
    at.type("stty -a | grep -o -e '-*icanon'\n")
    at.until("icanon\r\n$ ")


def test_background_job_without_a_terminal(runtime, bundle, shell):
    """It does not read what is typed for the shell, until it is brought to the foreground."""
    bundle.shell("echo ready; while read x; do echo got $x; done; echo end")
    at = shell()
    at.type(command(runtime, bundle, runtime.new_id()) + " &\n")
    at.until("ready")
    at.type("echo for the sh'el'l\n")
    at.until("for the shell")
    at.type("fg\n")
    at.until("run -b")
    at.type("hello\n")
    at.until("got hello")
    at.type("\x04")
    at.until("end")


def test_time_limit_of_a_script(runtime, terminal, shell):
    """timeout(1) puts what it runs into a process group of its own: the terminal is another's."""
    terminal.shell("trap exit TERM; echo one; while :; do sleep 0.1; done")
    at = shell()
    at.type(f"timeout 3 {command(runtime, terminal, runtime.new_id())}; echo code $?\n")
    at.until("one")
    at.until("code 124", 30)
    assert b"internal error" not in at.seen


@pytest.mark.parametrize("streams", ["terminal", "pipes"])
def test_the_callers_terminal_stays_outside(runtime, bundle, tmp_path, streams):
    """Without a terminal of its own the program gets pipes, so that it cannot read what is typed
    later, or type itself (TIOCSTI). What is no terminal is handed over."""
    bundle.shell("readlink /proc/self/fd/0; readlink /proc/self/fd/1 >&2; cat")
    line = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path)]
    if streams == "pipes":
        done = subprocess.run(
            [*line, runtime.new_id()], input="in\n", capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith("in\n")
        assert "pipe:" in done.stdout + done.stderr
        return
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [*line, runtime.new_id()], stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as run:
        os.write(outer, b"typed\n\x04")
        assert run.wait(15 * SLOW) == 0
        shown = os.read(outer, 4096).decode()
    assert shown.count("pipe:") == 2
    assert "pts" not in shown
    assert shown.count("typed") == 2, "the echo, and what cat has read"
    os.close(outer)
    os.close(inner)


def test_a_child_left_behind_reads_nothing(runtime, bundle, shell):
    """What an exec'd program leaves in the background has a pipe whose other end is gone."""
    bundle.args("sleep", "1000")
    name = runtime.create(bundle)
    runtime("start", name)
    at = shell()
    line = f"{runtime.program} --root {runtime.root} exec {name}"
    at.type(f"{line} sh -c '(cat > /dev/shm/read; echo > /dev/shm/ended) & echo here'\n")
    at.until("here\r\n")
    at.until("$ ")
    at.type("echo secre't'\n")
    at.until("secret\r\n")
    in_time(lambda: runtime("exec", name, "ls", "/dev/shm/ended", check=False).returncode == 0)
    assert runtime("exec", name, "cat", "/dev/shm/read").stdout == ""
