# SPDX-License-Identifier: Apache-2.0
"""Containers of an older pyrunc, in the hands of this one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.lib import support

# 0.1.0 as it was first used: with a launcher in C and its files of answers.
OLDER = "1d10766"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """Its command, built from the project's history."""
    if reason := support.needs_root():
        pytest.skip(reason)
    if not (support.TOP / ".git").exists():
        pytest.skip("needs the project's history, which the guest has not")
    archive = subprocess.run(
        ["git", "archive", OLDER], cwd=support.TOP, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(f"needs commit {OLDER}: {archive.stderr.decode().strip()}")
    top = tmp_path_factory.mktemp("older")
    subprocess.run(["tar", "-x", "-C", top], input=archive.stdout, check=True)
    for step in (("build_ext", "--inplace"), ("build_native",)):
        subprocess.run(
            [sys.executable, "setup.py", "-q", *step], cwd=top, check=True, capture_output=True
        )
    # Where that launcher looks for what it needs.
    version = f"python{sysconfig.get_python_version()}"
    (top / "bin").mkdir()
    shutil.copy(top / "build/launcher/pyrunc", top / "bin")
    packages = top / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (top / "pyrunc").rename(packages / "pyrunc")
    yield str(top / "bin/pyrunc")
    shutil.rmtree(top)


@pytest.mark.parametrize("state", ["created", "running", "paused", "stopped"])
def test_a_container_of_an_older_one(older, runtime, bundle, state):
    new, runtime.program = runtime.program, older
    name = support.put(runtime, bundle.args("/bin/sleep", "1000"), state)
    before = runtime("state", name).stdout
    if state in ("running", "paused"):
        runtime("events", "--stats", name)
        assert (runtime.root / ":stats").exists()
    assert (runtime.root / name / "quick").exists()
    runtime.program = new
    assert runtime("state", name).stdout == before
    assert [row.split()[:3:2] for row in runtime("list").stdout.splitlines()[1:]] == [[name, state]]
    if state == "paused":
        runtime("resume", name)
    if state == "created":
        runtime("start", name)
    if state != "stopped":
        assert runtime("exec", name, "/bin/echo", "inside").stdout == "inside\n"
        assert "sleep" in runtime("ps", name).stdout
        runtime("events", "--stats", name)
        runtime("update", "--pids-limit", "99", name)
        runtime("pause", name)
        runtime("resume", name)
        runtime("kill", name, "KILL")
        runtime.until(name, "stopped")
    runtime("delete", name)
    assert not (runtime.root / name).exists()


def test_parked_by_an_older_one_and_never_started(older, runtime, bundle):
    new, runtime.program = runtime.program, older
    name = support.put(runtime, bundle.args("/bin/sleep", "1000"), "created")
    runtime.program = new
    runtime("delete", "--force", name)
    assert not (runtime.root / name).exists()
