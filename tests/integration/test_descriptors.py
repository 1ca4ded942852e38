# SPDX-License-Identifier: Apache-2.0
"""Descriptors that the caller hands over: those to preserve, and files for the program's output."""

from __future__ import annotations

import subprocess

import pytest

from tests.lib.support import put


@pytest.mark.parametrize("open_log", [False, True])
@pytest.mark.parametrize("command", ["exec", "run", "create"])
def test_a_preserved_descriptor_that_is_not_open(runtime, bundle, tmp_path, command, open_log):
    """Nothing of the runtime's own takes its number and is passed on."""
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    words = {
        "exec": f"exec --preserve-fds=1 {name} ls /proc/self/fd",
        "run": f"run --preserve-fds=1 -b {bundle.path} {runtime.new_id()}",
        "create": f"create --preserve-fds=1 -b {bundle.path} {runtime.new_id()}",
    }[command]
    log = f"--log {tmp_path}/log" if open_log else ""
    done = subprocess.run(
        ["sh", "-c", f"exec 3>&-; exec {runtime.program} --root {runtime.root} {log} {words}"],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == (255 if command == "exec" else 1)
    assert "unable to stat preserved-fd 1 (of 1)" in done.stderr


@pytest.mark.parametrize("command", ["exec", "run"])
def test_a_file_for_its_output_can_be_opened_again(runtime, bundle, tmp_path, command):
    """As /dev/stdout, by a program of another uid. What it reads keeps its owner."""
    for fd in (0, 1, 2):
        (tmp_path / str(fd)).write_text("host\n")
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    script = "echo again >> /dev/stdout; echo error >> /dev/stderr"
    bundle.shell(script)
    words = ["run", "-b", str(bundle.path), runtime.new_id()]
    if command == "exec":
        name = put(runtime, bundle.args("sleep", "1000"), "running")
        words = ["exec", "-u", "1000", name, "sh", "-c", script]
    with (
        open(tmp_path / "0") as stdin,
        open(tmp_path / "1", "a") as out,
        open(tmp_path / "2", "a") as errors,
    ):
        done = subprocess.run(
            [runtime.program, "--root", str(runtime.root), *words],
            check=False, stdin=stdin, stdout=out, stderr=errors,
        )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "1").read_text() == "host\nagain\n"
    assert (tmp_path / "2").read_text() == "host\nerror\n"
    owners = [(tmp_path / str(fd)).stat().st_uid for fd in (0, 1, 2)]
    assert owners == [0, 1000, 1000]
