# SPDX-License-Identifier: Apache-2.0
"""`pyrunc wait`: how a program ended, for who did not start it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lib import support


def test_it_returns_when_the_program_ends(runtime, bundle):
    bundle.args("sh", "-c", "while ! test -e /dev/end; do sleep 0.05; done; exit 7")
    name = runtime.create(bundle.write())
    runtime("start", name)
    waits = subprocess.Popen(
        [support.PYRUNC, "--root", str(runtime.root), "wait", "--json", name],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(0.3)
    runtime("exec", name, "touch", "/dev/end")
    said = json.loads(waits.communicate(timeout=30 * support.SLOW)[0])
    assert waits.returncode == 0
    # Its parent is this process, which has not asked: known where the kernel says it to others.
    assert said in ({"code": 7, "signal": 0, "reason": "exited"},
                    {"code": None, "signal": 0, "reason": "unknown"})  # fmt: skip


def test_what_a_parent_has_learnt_is_kept(runtime, bundle):
    bundle.args("sh", "-c", "exit 5").write()
    name = runtime.new_id()
    done = runtime("run", "--keep", "-b", str(bundle.path), name, check=False)
    assert done.returncode == 5
    assert runtime("wait", name).stdout == "5\n"
    said = json.loads(runtime("wait", "--json", name).stdout)
    assert said == {"code": 5, "signal": 0, "reason": "exited"}


def test_what_nobody_has_kept_is_unknown(runtime, bundle):
    bundle.args("sleep", "1000").write()
    name = runtime.create(bundle)
    runtime("kill", name, "KILL")
    while runtime("state", name).stdout.find('"stopped"') < 0:
        pass
    assert runtime("wait", name).stdout == "unknown\n"


def test_of_none(runtime):
    done = runtime("wait", "nosuch", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "container does not exist" in done.stderr
