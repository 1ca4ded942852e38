# SPDX-License-Identifier: Apache-2.0
"""update: other limits for a container that is there, by flags, file, stdin and library."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

MIB = 1 << 20
# A disk; loop devices and the like come after it in the alphabet.
DISK = next(iter(sorted(Path("/sys/block").glob("[shvn][dv]*/dev"))), None)
ABSENT_CPU = "9999"
LEGACY = not support.V2


def pair(v1, v2):
    """The file that a limit is in on this host."""
    return v2 if support.V2 else v1


QUOTA = pair("cpu/cpu.cfs_quota_us", "cpu.max")
MEMORY = pair("memory/memory.limit_in_bytes", "memory.max")
SWAP = pair("memory/memory.memsw.limit_in_bytes", "memory.swap.max")
PIDS = pair("pids/pids.max", "pids.max")
CPUS = pair("cpuset/cpuset.cpus", "cpuset.cpus")
# Options, the file, and what it reads then on v1 and on v2.
FLAGS = [
    (("--memory", "96m"), MEMORY, str(96 * MIB), str(96 * MIB)),
    (("--memory=100000k",), MEMORY, "102400000", "102400000"),
    (("--memory", "0.125g"), MEMORY, str(128 * MIB), str(128 * MIB)),
    (("--memory-swap", "200MiB"), SWAP, str(200 * MIB), str(136 * MIB)),
    (
        ("--memory-reservation", "16mb"),
        pair("memory/memory.soft_limit_in_bytes", "memory.low"),
        *[str(16 * MIB)] * 2,
    ),
    (("--cpu-quota", "20000"), QUOTA, "20000", "20000 50000"),
    (("--cpu-quota", "-1"), QUOTA, "-1", "max 50000"),
    (("--cpu-period", "80000"), pair("cpu/cpu.cfs_period_us", "cpu.max"), "80000", "30000 80000"),
    (("--cpu-share", "512"), pair("cpu/cpu.shares", "cpu.weight"), "512", "59"),
    (("--cpuset-cpus", "0"), CPUS, "0", "0"),
    (("--cpuset-mems", "0"), pair("cpuset/cpuset.mems", "cpuset.mems"), "0", "0"),
    (("--pids-limit", "55"), PIDS, "55", "55"),
    (("--pids-limit", "0"), PIDS, "1", "1"),
    (("--pids-limit", "-1"), PIDS, "max", "max"),
    (("--pids-limit=-7",), PIDS, "max", "max"),
]


def file_of(pid, where):
    """A file of a process's cgroup: "controller/file" on v1."""
    rows = [row.split(":", 2) for row in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    if support.V2:
        return Path("/sys/fs/cgroup") / rows[-1][2].lstrip("/") / where
    controller, _, name = where.partition("/")
    (own,) = (path for _, names, path in rows if controller in names.split(","))
    return Path("/sys/fs/cgroup") / controller / own.lstrip("/") / name


def reads(runtime, name, where):
    return file_of(runtime.state(name)["pid"], where).read_text().strip()


def saved(runtime, name):
    return json.loads((runtime.root / name / "state.json").read_text())["resources"]


@pytest.fixture
def limited(bundle):
    """A bundle with limits to start from."""
    bundle.args("/bin/sleep", "100")
    bundle.config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
        "cpu": {"quota": 30_000, "period": 50_000, "shares": 1024},
        "pids": {"limit": 33},
    }
    return bundle.write()


@pytest.fixture
def running(runtime, limited):
    name = runtime.create(limited)
    runtime("start", name)
    return name


@pytest.mark.parametrize(("options", "where", "v1", "v2"), FLAGS, ids=lambda v: str(v)[:40])
def test_each_flag(runtime, running, options, where, v1, v2):
    if options[0].startswith("--memory") and "swap" not in options[0]:
        runtime("update", "--memory-swap", "-1", running)
    elif options[0] == "--memory-swap":
        assert reads(runtime, running, MEMORY) == str(64 * MIB)
    done = runtime("update", *options, running)
    assert done.stdout == ""
    warning = "0 lets nothing fork, -1 is unlimited"
    assert warning in done.stderr if options == ("--pids-limit", "0") else done.stderr == ""
    assert reads(runtime, running, where) == pair(v1, v2)


# runc 1.1 cannot tell "--pids-limit 0" from its absence, and writes -7 as it is. On v2 it has an
# older curve of weights, and refuses a limit on swap whose limit on memory is the saved one.
OTHERWISE = {("--pids-limit", "0"), ("--pids-limit=-7",)}
if support.V2:
    OTHERWISE |= {("--cpu-share", "512"), ("--memory-swap", "200MiB")}


@pytest.mark.parametrize(
    ("options", "where"), [row[:2] for row in FLAGS if row[0] not in OTHERWISE], ids=str
)
def test_each_flag_as_runc(runtime, runc, limited, options, where):
    """The reference leaves the same value in the file."""
    found = []
    for either in (runc, runtime):
        name = either.create(limited)
        if options[0].startswith("--memory") and "swap" not in options[0]:
            either("update", "--memory-swap", "-1", name)
        either("update", *options, name)
        found.append(reads(either, name, where))
    assert found[0] == found[1]


def test_no_limit_on_memory_takes_the_swap_along(runtime, running):
    runtime("update", "--memory", "-1", running)
    unlimited = pair("9223372036854771712", "max")
    assert reads(runtime, running, MEMORY) == unlimited
    assert reads(runtime, running, SWAP) == unlimited
    assert saved(runtime, running)["memory"] == {"limit": -1}


def test_idle_ends_the_weight(runtime, running):
    where = pair("cpu/cpu.idle", "cpu.idle")
    if not file_of(runtime.state(running)["pid"], where).exists():
        pytest.skip("this kernel has no cpu.idle")
    runtime("update", "--cpu-idle", "1", running)
    assert reads(runtime, running, where) == "1"
    assert "shares" not in saved(runtime, running)["cpu"]
    runtime("update", "--cpu-idle", "0", "--cpu-share", "2048", running)
    assert reads(runtime, running, where) == "0"
    # What fails gives the weight back, which the kernel has forgotten meanwhile.
    shares = pair("cpu/cpu.shares", "cpu.weight")
    before = reads(runtime, running, shares)
    done = runtime("update", "--cpu-idle", "1", "--cpuset-cpus", ABSENT_CPU, running, check=False)
    assert (done.returncode, "cpuset.cpus" in done.stderr) == (1, True)
    assert (reads(runtime, running, where), reads(runtime, running, shares)) == ("0", before)


def test_file_and_stdin(runtime, running, tmp_path):
    document = {
        "pids": {"limit": 44},
        "memory": {},
        "blockIO": {},
        "cpu": {"shares": 0, "cpus": "", "period": 60_000},
        "devices": [{"allow": True, "access": "rwm"}],
        "somethingNew": {"x": 1},
    }
    path = tmp_path / "resources.json"
    path.write_text(json.dumps(document))
    devices = file_of(runtime.state(running)["pid"], pair("devices/devices.list", "cgroup.type"))
    before = devices.read_text()
    # All other flags are ignored then.
    runtime("update", "--resources", str(path), "--pids-limit", "9", "--memory", "x", running)
    assert reads(runtime, running, PIDS) == "44"
    assert reads(runtime, running, QUOTA) == pair("30000", "30000 60000")
    assert devices.read_text() == before
    after = saved(runtime, running)
    assert after["pids"] == {"limit": 44}
    assert after["cpu"] == {"quota": 30_000, "period": 60_000, "shares": 1024}
    assert set(after) == {"memory", "cpu", "pids"}
    for option in (("-r", "-"), ("--resources=-",)):
        document["pids"]["limit"] += 1
        done = subprocess.run(
            [runtime.program, "--root", str(runtime.root), "update", *option, running],
            input=json.dumps(document), text=True, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("", "")
        assert reads(runtime, running, PIDS) == str(document["pids"]["limit"])


def test_nothing_asked_is_nothing_done(runtime, running):
    before = saved(runtime, running)
    assert runtime("update", running).stderr == ""
    assert saved(runtime, running) == before


BAD = [
    (("--memory", "xx"), "invalid value for memory: invalid size: 'xx'"),
    (("--memory", "1.2.3m"), "invalid value for memory: invalid size: '1.2.3m'"),
    (("--memory-swap", "5q"), "invalid value for memory-swap: invalid size: '5q'"),
    (("--cpu-share", "1"), "the minimum allowed cpu-shares is 2"),
    (("--memory-swap", "1m"), "update: /memory/swap: memory+swap limit should be >= memory limit"),
    (("--cpu-quota", "1"), "invalid argument"),
    (("--cpuset-cpus", "abc"), "invalid argument"),
    (("--cpuset-cpus", ABSENT_CPU), "numerical result out of range"),
    (("--cpuset-mems", "77"), "[/cpu/mems]"),
    (("--cpu-period", "999999999"), "[/cpu/period]"),
    (("--l3-cache-schema", "L3:0=f"), "Intel RDT/CAT: l3 cache schema is not enabled"),
    (("--mem-bw-schema", "MB:0=70"), "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    (("--resources", "/nonexistent"), "open /nonexistent: no such file or directory"),
    (("--resources", "/"), "read /: is a directory"),
    (("-r", "-"), "not valid JSON"),
    (("--cpu-period", "x"), 'invalid value "x" for flag -cpu-period'),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=lambda v: str(v)[:40])
def test_what_is_refused_changes_nothing(runtime, running, options, words):
    if options == ("--cpu-share", "1") and support.V2:
        pytest.skip("v2 clamps shares to its own scale")
    if "schema" in options[0] and os.path.exists("/sys/fs/resctrl/info"):
        pytest.skip("this host has resctrl")
    before = saved(runtime, running)
    files = (QUOTA, MEMORY, SWAP, PIDS, CPUS)
    values = [reads(runtime, running, where) for where in files]
    more = () if options[0] in ("-r", "--resources") else ("--pids-limit", "7")
    done = runtime("update", *more, *options, running, check=False)
    assert done.returncode == 1
    assert words in done.stderr.replace('\\"', '"')
    assert done.stderr.count("\n") == 1
    assert "not put back" not in done.stderr
    assert saved(runtime, running) == before
    assert [reads(runtime, running, where) for where in files] == values


@pytest.mark.skipif(not LEGACY, reason="v2 reclaims and kills; only v1 refuses")
def test_memory_below_the_usage(runtime, running):
    before = saved(runtime, running)
    done = runtime("update", "--pids-limit", "7", "--memory", "4k", running, check=False)
    assert done.returncode == 1
    assert 'level=error msg="unable to set memory limit to 4096 (current usage: ' in done.stderr
    assert "[/memory/limit]" in done.stderr
    assert reads(runtime, running, MEMORY) == str(64 * MIB)
    assert reads(runtime, running, PIDS) == "33"
    assert saved(runtime, running) == before


def test_a_document_with_a_wrong_type(runtime, running, tmp_path):
    path = tmp_path / "r.json"
    for text, words in (
        ('{"memory": {"limit": "x"}}', f"{path}: /memory/limit: "),
        ('{"pids": {"limit": 5, "limit": 6}}', "stands twice"),
        ("[]", "must be an object"),
        ('{"cpu": 3}', "/cpu: "),
    ):
        path.write_text(text)
        done = runtime("update", "-r", str(path), running, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert reads(runtime, running, PIDS) == "33"


def test_a_state_that_cannot_be_saved(runtime, running):
    """The limits that nobody could remember are taken back."""
    (runtime.root / running / ".state.json.new").mkdir()
    done = runtime("update", "--pids-limit", "7", running, check=False)
    assert done.returncode == 1
    assert "is a directory" in done.stderr
    assert reads(runtime, running, PIDS) == "33"
    (runtime.root / running / ".state.json.new").rmdir()
    runtime("update", "--pids-limit", "7", running)
    assert reads(runtime, running, PIDS) == "7"


@pytest.mark.skipif(not DISK, reason="needs a disk")
def test_throttles_are_merged_by_device(runtime, running, tmp_path):
    number = DISK.read_text().strip()
    major, _, minor = number.partition(":")
    device = {"major": int(major), "minor": int(minor)}
    where = pair("blkio/blkio.throttle.read_bps_device", "io.max")
    if not file_of(runtime.state(running)["pid"], where).exists():
        pytest.skip("no throttling here")
    path = tmp_path / "r.json"

    def update(**more):
        path.write_text(json.dumps({"blockIO": {"throttleReadBpsDevice": [more | device]}}))
        runtime("update", "-r", str(path), running)

    update(rate=MIB)
    assert str(MIB) in reads(runtime, running, where)
    update(rate=2 * MIB)
    kept = saved(runtime, running)["blockIO"]["throttleReadBpsDevice"]
    assert kept == [device | {"rate": 2 * MIB}]
    before = reads(runtime, running, where)
    # An error in the same update gives the old rate back.
    document = {
        "blockIO": {"throttleReadBpsDevice": [device | {"rate": 3 * MIB}]},
        "cpu": {"cpus": ABSENT_CPU},
        "hugepageLimits": [],
    }
    path.write_text(json.dumps(document))
    done = runtime("update", "-r", str(path), running, check=False)
    assert (done.returncode, "cpuset.cpus" in done.stderr) == (1, True)
    assert reads(runtime, running, where) == before


@pytest.mark.parametrize("turn", range(8))
def test_updating_while_it_ends(runtime, bundle, turn):
    bundle.shell(f"sleep 0.0{turn}")
    name = runtime.create(bundle)
    runtime("start", name)
    done = runtime("update", "--pids-limit", "50", "--memory", "64m", name, check=False)
    if done.returncode:
        assert 'msg="container not running"' in done.stderr


def test_kernel_memory_is_ignored_with_a_warning(runtime, running):
    done = runtime("update", "--kernel-memory", "1g", running)
    assert 'level=warning msg="Kernel memory settings are ignored' in done.stderr


def test_from_the_library(runtime, running):
    container = pyrunc.Container.load(running, root=str(runtime.root))
    container.update(pyrunc.Limits(pids=21, memory_max=80 * MIB, swap_max=0))
    assert reads(runtime, running, PIDS) == "21"
    assert reads(runtime, running, MEMORY) == str(80 * MIB)
    container.update({"pids": {"limit": 22}})
    assert reads(runtime, running, PIDS) == "22"
    with pytest.raises(pyrunc.SpecError) as caught:
        container.update({"memory": {"swap": 1}})
    assert caught.value.pointer == "/memory/swap"
    with pytest.raises(pyrunc.KernelError) as refused:
        container.update(pyrunc.Limits(cpuset_cpus=ABSENT_CPU))
    assert refused.value.pointer == "/cpu/cpus"


@pytest.mark.skipif(not LEGACY, reason="needs a host with v1")
def test_what_v1_has_no_file_for(runtime, running):
    container = pyrunc.Container.load(running, root=str(runtime.root))
    with pytest.raises(pyrunc.SpecError, match="not supported on cgroup v1"):
        container.update(pyrunc.Limits(memory_high=MIB))
