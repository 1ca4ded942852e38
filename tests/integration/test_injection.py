# SPDX-License-Identifier: Apache-2.0
"""An error, or SIGKILL, at each system call of pyrunc-init (tests/c/inject.c).

Whatever call fails: it ends in time, and either there is one line, the right exit code and nothing
left, or the program runs and finds what it finds undisturbed. PYRUNC_TEST_ALL_FAULTS=1 (`make
test-injection`) tries all calls with all faults; else it is every 101st.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lib import support

SOURCE = support.TOP / "tests" / "c" / "inject.c"
ALL = os.environ.get("PYRUNC_TEST_ALL_FAULTS") == "1"
STEP = 1 if ALL else 101 * support.EVERY
KILL = 0
FAULTS = {KILL: "SIGKILL", errno.ENOMEM: "ENOMEM", errno.EPERM: "EPERM", errno.EIO: "EIO"}
SECONDS = 10
# What the program has, and what it has not: all that a step left out in silence would change.
PROBE = """
grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj
umask; pwd; hostname; env | sort
ls /proc/self/fd | wc -l
for p in /proc/kcore /proc/keys /proc/timer_list /masked/file; do wc -c < $p; done 2>&1
for p in /proc/acpi /proc/scsi /sys/firmware /masked; do ls $p | wc -l; done 2>&1
for p in /proc/sys /proc/bus /kept /; do touch $p/new 2>&1; done
for p in /proc/sys/kernel/sysrq /kept/file; do [ -w $p ] && echo writable $p; done
mkdir /dev/filtered.$$ 2>/dev/null && rmdir /dev/filtered.$$ || echo filtered
awk '{ $1 = $2 = $3 = ""; gsub(/:[0-9]+/, ":N"); sub(/pyrunc-test-[^ ]*/, "ID"); print }' \
    /proc/self/mountinfo
ls -ln /dev | grep -v filtered | awk '{ print $1, $3, $4, $5, $6, $NF }'
ls -l /proc/self/ns | awk '{ print $9 }'
"""
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str
    seconds: float


@pytest.fixture(scope="module")
def injector(tmp_path_factory):
    if reason := support.needs_root():
        pytest.skip(reason)
    if not shutil.which("cc"):
        pytest.skip("needs cc")
    program = tmp_path_factory.mktemp("inject") / "inject"
    subprocess.run(["cc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


# --- shapes -------------------------------------------------------------------------------
def plain(bundle):
    pass


def user_namespace(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"] |= {"uidMappings": IDS, "gidMappings": IDS}
    for path in (bundle.rootfs, *bundle.rootfs.parents[:4]):
        path.chmod(0o755)
    os.chown(bundle.rootfs, 100000, 100000)


def early_filter(bundle):
    """Without no_new_privs the filter is in force before the capabilities go."""
    bundle.config["process"]["noNewPrivileges"] = False
    denied = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]}
    bundle.config["linux"]["maskedPaths"].append("/masked")
    bundle.config["linux"]["readonlyPaths"].append("/kept")


def confined(bundle):
    early_filter(bundle)
    process = bundle.config["process"]
    process["noNewPrivileges"] = True
    process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o27}
    process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]
    process["oomScoreAdj"] = 77
    kinds = ("bounding", "permitted", "effective", "inheritable", "ambient")
    process["capabilities"] = {kind: ["CAP_NET_BIND_SERVICE"] for kind in kinds}


def joined(bundle):
    """The caller's own: another's would have to be kept alive."""
    for namespace in bundle.config["linux"]["namespaces"]:
        if namespace["type"] in ("network", "ipc"):
            name = {"network": "net"}.get(namespace["type"], namespace["type"])
            namespace["path"] = f"/proc/{os.getpid()}/ns/{name}"
    bundle.config["linux"]["namespaces"].append({"type": "time"})


def many_mounts(bundle):
    (bundle.path / "source").mkdir()
    for number in range(20):
        bundle.config["mounts"] += [
            {"destination": f"/m/{number}", "type": "tmpfs", "options": ["ro", "mode=700"]},
            {"destination": f"/m{number}/deep", "source": str(bundle.path / "source"),
             "options": ["rbind", "ro", "nosuid", "rslave"]},
        ]  # fmt: skip


SHAPES = (plain, user_namespace, confined, early_filter, joined, many_mounts)


# --- one run ------------------------------------------------------------------------------
def run(injector, log: Path, number: int, fault: int, command: list[str]) -> Outcome:
    start = time.monotonic()
    done = subprocess.run(
        [str(injector), str(log), str(number), str(fault), *command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=6 * SECONDS * support.SLOW,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def calls(log: Path) -> list[int]:
    return [int(line.split()[1]) for line in log.read_text().splitlines()]


def started_at(seen: list[int]) -> int:
    """The number of the call that says that all is ready: what comes after it, the caller of
    create hears no more."""
    writes = {"x86_64": 1, "aarch64": 64}[os.uname().machine]
    return max(number for number, call in enumerate(seen, 1) if call == writes)


def wrong(case: Outcome, undisturbed: Outcome, fault: int, code: int, after: bool) -> str:
    """What is not as it has to be, or ""."""
    if case.seconds > SECONDS * support.SLOW:
        return f"took {case.seconds:.1f} s"
    if case.code == 0:
        different = set(undisturbed.out.splitlines()) ^ set(case.out.splitlines())
        same = (case.out, case.err) == (undisturbed.out, "")
        return "" if same else f"succeeds otherwise: {case.err}{sorted(different)}"
    killed = after and fault == KILL and (case.code, case.err) == (137, "")
    codes = (code, 255) if after else (code,)
    one_line = case.err.count("\n") == 1 and "internal error" not in case.err
    good = killed or (case.code in codes and one_line)
    return "" if good and not case.out else f"exit {case.code}: {case.err}{case.out}"


def points(count: int, offset: int) -> list[tuple[int, int]]:
    every = [(number, fault) for number in range(1, count + 1) for fault in FAULTS]
    return every[offset % STEP :: STEP]


def told(point: tuple[int, int], call: int, text: str) -> str:
    return f"call {point[0]} ({call}) {FAULTS[point[1]]}: {text}"


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_create_and_start(runtime, bundle, injector, tmp_path, shape):
    (bundle.rootfs / "masked").mkdir()
    (bundle.rootfs / "masked" / "file").write_text("secret")
    (bundle.rootfs / "kept").mkdir()
    (bundle.rootfs / "kept" / "file").write_text("x")
    shape(bundle)
    # Mount points that are there from the first run on.
    bundle.shell(PROBE)
    runtime.run(bundle)

    def one(number: int, fault: int) -> tuple[Outcome, str]:
        name = f"pyrunc-test-{os.getpid()}-{shape.__name__}-{number:04}-{fault:02}"
        runtime.ids.append(name)
        log = tmp_path / f"{name}.log"
        command = [runtime.program, "--root", str(runtime.root)]
        case = run(injector, log, number, fault, [*command, "run", "-b", str(bundle.path), name])
        left = [*support.cgroups_named(name)] if case.code else []
        left += [name] if (runtime.root / name).exists() else []
        return case, f"left: {left}" if left else ""

    undisturbed, _ = one(0, 0)
    assert (undisturbed.code, undisturbed.err) == (0, ""), undisturbed
    [first] = tmp_path.glob("*-0000-00.log")
    seen = calls(first)
    last = started_at(seen)
    assert 100 < last < len(seen)

    def look(point: tuple[int, int]) -> str:
        case, left = one(*point)
        text = left or wrong(case, undisturbed, point[1], 1, point[0] > last)
        return told(point, seen[point[0] - 1], text) if text else ""

    with ThreadPoolExecutor(2) as pool:
        found = list(filter(None, pool.map(look, points(len(seen), SHAPES.index(shape) * 17))))
    assert not found, "\n".join([f"{len(found)} of {len(seen) * len(FAULTS) // STEP}", *found[:40]])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [plain, user_namespace, confined], ids=lambda one: one.__name__)
def test_exec(runtime, bundle, injector, tmp_path, shape):
    (bundle.rootfs / "masked").mkdir()
    (bundle.rootfs / "masked" / "file").write_text("secret")
    (bundle.rootfs / "kept").mkdir()
    shape(bundle)
    name = runtime.create(bundle.args("/bin/sleep", "10000"))
    runtime("start", name)
    before = runtime("ps", "-f", "json", name).stdout
    command = [runtime.program, "--root", str(runtime.root), "exec", name, "/bin/sh", "-c", PROBE]

    def one(number: int, fault: int) -> Outcome:
        return run(injector, tmp_path / f"{number}-{fault}.log", number, fault, command)

    undisturbed = one(0, 0)
    assert (undisturbed.code, undisturbed.err) == (0, ""), undisturbed
    seen = calls(tmp_path / "0-0.log")

    def look(point: tuple[int, int]) -> str:
        case = one(*point)
        text = wrong(case, undisturbed, point[1], 255, point[0] > started_at(seen))
        return told(point, seen[point[0] - 1], text) if text else ""

    with ThreadPoolExecutor(2) as pool:
        found = list(filter(None, pool.map(look, points(len(seen), len(shape.__name__)))))
    assert not found, "\n".join(found[:40])
    assert runtime("ps", "-f", "json", name).stdout == before
