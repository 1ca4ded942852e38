# SPDX-License-Identifier: Apache-2.0
"""Terminals: detached with a console socket, and in the foreground under a pty."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import socket
import subprocess
import termios

import pytest

from tests.lib.support import read_until, receive


@pytest.fixture
def terminal(bundle):
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["consoleSize"] = {"height": 33, "width": 99}
    bundle.shell("tty; stty size; ls -l /dev/console; read x; echo got $x; exit 7")
    return bundle


def test_console_socket(runtime, terminal, tmp_path):
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    # containerd's shim accepts only after the runtime has exited.
    name = runtime.create(terminal, None, "--console-socket", path)
    master = receive(listener)
    tiocgptn = 0x80045430  # only the master of a pty answers it
    assert len(fcntl.ioctl(master, tiocgptn, b"\0" * 4)) == 4
    runtime("start", name)
    shown = read_until(master, b"/dev/console")
    assert b"/dev/pts/0" in shown
    assert b"33 99" in shown
    os.write(master, b"hello\n")
    read_until(master, b"got hello")
    runtime.until(name, "stopped")
    os.close(master)
    listener.close()


def test_foreground_under_a_pty(runtime, terminal):
    del terminal.config["process"]["consoleSize"]
    terminal.write()
    outer, inner = pty.openpty()
    size = array.array("H", [24, 80, 0, 0])
    fcntl.ioctl(inner, termios.TIOCSWINSZ, size)
    before = termios.tcgetattr(inner)
    command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(terminal.path)]
    with subprocess.Popen(
        [*command, runtime.new_id()], stdin=inner, stdout=inner, stderr=inner,
        start_new_session=True,
    ) as run:  # fmt: skip
        shown = read_until(outer, b"/dev/console")
        assert b"24 80" in shown
        os.write(outer, b"hello\r")
        read_until(outer, b"got hello")
        assert run.wait(10) == 7
    assert termios.tcgetattr(inner) == before
    os.close(outer)
    os.close(inner)


@pytest.mark.parametrize("target", ["/canary", "../../canary", "/nosuch/x"])
def test_console_that_is_a_link(runtime, terminal, tmp_path, target):
    """CVE-2025-52565, CVE-2026-88264: nothing appears where the link points."""
    terminal.config["mounts"] = [m for m in terminal.config["mounts"] if m["destination"] != "/dev"]
    terminal.write()
    (terminal.rootfs / "dev").mkdir()
    (terminal.rootfs / "dev" / "console").symlink_to(target)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    options = ["--console-socket", str(tmp_path / "s"), "-b", str(terminal.path)]
    done = runtime("create", *options, runtime.new_id(), check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (terminal.rootfs / "canary").exists()
    assert not os.path.exists("/canary")
    listener.close()
