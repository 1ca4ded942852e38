# SPDX-License-Identifier: Apache-2.0
"""ps and list: whose processes, and which containers."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

NEEDS_PS = pytest.mark.skipif(not shutil.which("ps"), reason="needs ps")


@pytest.fixture
def family(runtime, bundle):
    """A container of three processes."""
    name = runtime.create(bundle.shell("sleep 100 & sleep 200 & wait"))
    runtime("start", name)
    deadline = time.monotonic() + 10 * support.SLOW
    while len(json.loads(runtime("ps", "-f", "json", name).stdout)) < 3:
        assert time.monotonic() < deadline
    return name


def test_pids(runtime, family):
    found = json.loads(runtime("ps", "--format", "json", family).stdout)
    init = runtime.state(family)["pid"]
    assert found[0] == init
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in found[1:]]
    assert {int(text.rpartition(")")[2].split()[1]) for text in stats} == {init}
    assert pyrunc.Container.load(family, root=str(runtime.root)).processes() == found


def test_also_those_in_cgroups_below(runtime, bundle):
    """Of a container that manages cgroups of its own."""
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    below = [f"{path}/inner" for path in support.cgroups_named(name)]
    pid = runtime.state(name)["pid"]
    try:
        for path in below:
            os.mkdir(path)
            for file in ("cpuset.mems", "cpuset.cpus"):
                if not support.V2 and os.path.exists(f"{path}/{file}"):
                    with open(f"{path}/../{file}") as above, open(f"{path}/{file}", "w") as own:
                        own.write(above.read())
            with open(f"{path}/cgroup.procs", "w") as file:
                file.write(str(pid))
        assert runtime("ps", "-f", "json", name).stdout == f"[{pid}]\n"
    finally:
        runtime("delete", "--force", name)


@NEEDS_PS
def test_the_table(runtime, family):
    pids = json.loads(runtime("ps", "-f", "json", family).stdout)
    header, *rows = runtime("ps", family).stdout.splitlines()
    assert header.split()[:3] == ["UID", "PID", "PPID"]
    assert sorted(int(row.split()[1]) for row in rows) == sorted(pids)
    # What follows the id is for ps, dashes and all.
    header, *rows = runtime("ps", family, "-o", "pid,args", "-e").stdout.splitlines()
    assert header.split() == ["PID", "COMMAND"]
    assert {row.split(maxsplit=1)[1] for row in rows} >= {"sleep 100", "sleep 200"}
    assert len(rows) == 3


@NEEDS_PS
@pytest.mark.parametrize(
    "options", [(), ("-ef",), ("aux",), ("-e", "-o", "comm"), ("--bogus",), ("-p", "999999999")]
)
def test_as_runc(runtime, runc, bundle, options):
    found = []
    for either in (runc, runtime):
        name = either.create(bundle.args("/bin/sleep", "100"))
        either("kill", name, "KILL")
        either.until(name, "stopped")
        done = either("ps", name, *options, check=False)
        found.append((done.returncode, done.stdout, done.stderr.partition(" level")[2]))
    assert found[0] == found[1]


@NEEDS_PS
def test_a_name_with_a_pid_in_it_is_no_process(runtime, bundle):
    """Only the column counts: another process may be called like one of ours."""
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    pid = runtime.state(name)["pid"]
    shell = str(shutil.which("sh"))
    with subprocess.Popen([shell, "-c", "read x; :", str(pid)], stdin=subprocess.PIPE) as other:
        rows = runtime("ps", name).stdout.splitlines()[1:]
        other.communicate(b"\n")
    assert [int(row.split()[1]) for row in rows] == [pid]


def test_errors(runtime, bundle, tmp_path):
    name = runtime.create(bundle)
    done = runtime("ps", "-f", "xml", name, check=False)
    assert (done.returncode, "invalid format option" in done.stderr) == (1, True)
    done = runtime("ps", name, check=False, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert r'msg="exec: \"ps\": executable file not found in $PATH' in done.stderr


def test_list(runtime, bundle, tmp_path):
    runtime.root.mkdir()
    assert runtime("list").stdout.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert runtime("list", "-f", "json").stdout == "null\n"
    assert runtime("list", "-q").stdout == ""
    first, second = runtime.create(bundle), runtime.create(bundle)
    runtime("pause", second)
    (runtime.root / "not-a-container").write_text("")
    (runtime.root / ":seccomp").mkdir(exist_ok=True)
    (runtime.root / "half-made").mkdir()
    (runtime.root / "damaged").mkdir()
    (runtime.root / "damaged" / "state.json").write_text("{")
    done = runtime("list")
    assert done.stderr.startswith("load container damaged: ")
    assert done.stderr.count("\n") == 1
    header, *rows = done.stdout.splitlines()
    assert [row.split()[:3:2] for row in rows] == [[first, "created"], [second, "paused"]]
    # As Go's tabwriter: at least 12 wide, and 3 between.
    assert header.index("PID") == max(len(first) + 3, 12)
    owner = pwd.getpwuid(os.geteuid()).pw_name
    assert rows[0].endswith(f" {owner}")
    found = json.loads(runtime("list", "--format=json").stdout)
    assert [row["id"] for row in found] == [first, second]
    assert {row["owner"] for row in found} == {owner}
    assert runtime("list", "-q").stdout == f"{first}\n{second}\n"
    shutil.rmtree(runtime.root / "damaged")
    done = runtime("list", "-f", "xml", check=False)
    assert (done.returncode, "invalid format option" in done.stderr) == (1, True)
    nowhere = support.Runtime(runtime.program, tmp_path / "nowhere")
    missing = f"open {tmp_path}/nowhere: no such file or directory"
    assert missing in nowhere("list", check=False).stderr


def test_list_as_runc(runtime, runc, bundle):
    found = []
    for either in (runc, runtime):
        name = either.create(bundle.args("/bin/sleep", "100"))
        state = either.state(name)
        header, row = either("list").stdout.splitlines()
        values = [name, str(state["pid"]), "created", str(bundle.path), state["created"], "root"]
        assert row.split() == values
        # Columns are as wide as what is in them: at least 12, and 3 between.
        titles = [header.index(title) for title in header.split()]
        widths = [b - a for a, b in itertools.pairwise(titles)]
        assert widths == [max(12, len(value) + 3) for value in values[:-1]]
        assert [row.index(value) for value in values[:-1]] == titles[:-1]
        listed = either("list", "--format", "json").stdout
        found.append([*json.loads(listed)[0]])
        assert listed.endswith("]\n")
        assert either("list", "--quiet").stdout == f"{name}\n"
    assert found[0] == found[1]
