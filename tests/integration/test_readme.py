# SPDX-License-Identifier: Apache-2.0
"""Every block of README.md, run in its order by somebody who follows it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

TOP = Path(pyrunc.__file__).parent.parent
BLOCKS = re.findall(
    r"^```(\w*)\n(.*?)^```", (TOP / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
NAMES = ("first", "web", "job-1", "job-2", "job-3")


def at_a_terminal(script: Path, directory: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run it as somebody at a terminal who leaves each shell that he gets."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execvpe("bash", ["bash", "-eux", str(script)], environment)
    shown = b""
    deadline = time.monotonic() + 100 * support.SLOW
    while True:
        assert time.monotonic() < deadline, shown.decode()
        if not select.select([master], [], [], 0.5)[0]:
            os.write(master, b"exit\r")
            continue
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        shown += data
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def test_every_block_in_order(tmp_path):
    """With its own state root, and where the command is found as README says."""
    assert [kind for kind, _ in BLOCKS].count("sh") >= 3
    assert [kind for kind, _ in BLOCKS].count("python") >= 3
    if why := support.needs_root():
        pytest.skip(why)
    command = tmp_path / "bin"
    command.mkdir()
    # The ids are README's: apart from those of others by a state root of its own.
    root = tmp_path / "root"
    (command / "pyrunc").write_text(f'#!/bin/sh\nexec {support.PYRUNC} --root {root} "$@"\n')
    (command / "pyrunc").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{command}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(TOP),
    }  # fmt: skip
    default_root = f"import pyrunc.lifecycle.store as s; s.default_root = lambda _: {str(root)!r}\n"
    try:
        for number, (kind, text) in enumerate(BLOCKS):
            path = tmp_path / f"block{number}"
            if kind == "sh":
                path.write_text(text)
                code, shown = at_a_terminal(path, tmp_path, environment)
                assert code == 0, shown
            elif kind == "python":
                path.write_text(default_root + text)
                done = subprocess.run(
                    [sys.executable, path], cwd=tmp_path, env=environment, check=False,
                    capture_output=True, text=True, timeout=60 * support.SLOW,
                    stdin=subprocess.DEVNULL,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
                assert done.stdout
            else:
                targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
                assert targets, text
                subprocess.run(["make", "-n", *targets], cwd=TOP, check=True, capture_output=True)
        assert [name for name in os.listdir(root) if ":" not in name] == []
    finally:
        for name in NAMES:
            subprocess.run([support.PYRUNC, "--root", str(root), "delete", "-f", name], check=False)
