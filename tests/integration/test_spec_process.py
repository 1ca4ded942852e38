# SPDX-License-Identifier: Apache-2.0
"""Every property of `process` and `root`, as the program inside sees it."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from pyrunc.spec.names import CAPABILITIES, RLIMITS
from tests.lib.support import refused, said

SOME = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_KILL"]
SETS = {
    "bounding": "CapBnd", "effective": "CapEff", "permitted": "CapPrm",
    "inheritable": "CapInh", "ambient": "CapAmb",
}  # fmt: skip
STATUS = "cat /proc/self/status"


def status(text: str) -> dict[str, str]:
    return {
        name: value.strip()
        for name, _, value in (line.partition(":") for line in text.splitlines())
    }


def bits(names: list[str]) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in names)


@pytest.mark.parametrize("name", ["bounding", "inheritable", "ambient"])
def test_a_capability_set_holds_what_is_listed(runtime, bundle, name):
    """With other names in this set than in the others, as far as the kernel allows it."""
    wanted = {"bounding": SOME, "permitted": SOME, "effective": SOME, "inheritable": SOME}
    if name == "bounding":
        wanted["bounding"] = [*SOME, "CAP_SYS_CHROOT"]
    else:
        wanted[name] = SOME[:2]
    bundle.config["process"]["capabilities"] = wanted
    # As root the program would get all that is bounded: as 1000 it keeps what is ambient.
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 0}
    found = status(said(runtime, bundle, STATUS))
    assert int(found[SETS[name]], 16) == bits(wanted[name])


@pytest.mark.parametrize(("name", "line"), [("permitted", "CapPrm"), ("effective", "CapEff")])
def test_sets_before_execve(runtime, bundle, name, line):
    """A user's program starts with what is ambient alone, which permitted has to hold."""
    wanted = dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), SOME)
    bundle.config["process"]["capabilities"] = wanted
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    assert int(status(said(runtime, bundle, STATUS))[line], 16) == bits(SOME)
    wanted |= {name: []}
    # Effective has to lie within permitted.
    wanted |= {"effective": []}
    found = status(said(runtime, bundle, STATUS))
    expected = 0 if name == "permitted" else bits(SOME)
    assert int(found["CapAmb"], 16) == expected
    assert int(found[line], 16) == expected


def test_all_five_sets_of_the_process_that_waits(runtime, bundle):
    """execve(2) computes the effective set again: only before it the listed one can be seen."""
    wanted = {
        "bounding": [*SOME, "CAP_SYS_CHROOT"], "permitted": SOME, "effective": SOME[:1],
        "inheritable": SOME[1:], "ambient": SOME[1:2],
    }  # fmt: skip
    bundle.config["process"]["capabilities"] = wanted
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    pid = runtime.state(runtime.create(bundle.write()))["pid"]
    found = status(Path(f"/proc/{pid}/status").read_text())
    assert {name: int(found[line], 16) for name, line in SETS.items()} == {
        name: bits(names) for name, names in wanted.items()
    }


def test_an_unknown_capability_is_a_warning(runtime, bundle):
    sets = bundle.config["process"]["capabilities"]
    sets["bounding"] = ["CAP_KILL", "CAP_FLY"]
    sets |= {"effective": [], "permitted": [], "ambient": [], "inheritable": []}
    bundle.shell(STATUS)
    done = runtime.run(bundle)
    assert int(status(done.stdout)["CapBnd"], 16) == bits(["CAP_KILL"])
    assert done.returncode == 0


def test_without_capabilities_there_are_none(runtime, bundle):
    del bundle.config["process"]["capabilities"]
    found = status(said(runtime, bundle, STATUS))
    assert {found[line] for line in SETS.values()} == {"0" * 16}


# What prlimit(2) counts in; the file of limits shows some as text.
@pytest.mark.parametrize("name", RLIMITS)
def test_a_limit_of_resources(runtime, bundle, name):
    number = RLIMITS.index(name)
    soft, hard = 30, 31
    if resource.getrlimit(number)[1] == 0:
        soft = hard = 0  # not everybody may raise it
    if name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_FSIZE", "RLIMIT_RSS"):
        soft, hard = 1 << 30, 1 << 31
    limit = {"type": name, "soft": soft, "hard": hard}
    bundle.config["process"]["rlimits"] = [limit]
    bundle.args("/bin/sleep", "1000")
    container = runtime.create(bundle)
    runtime("start", container)
    pid = runtime.state(container)["pid"]
    assert resource.prlimit(pid, number) == (soft, hard)
    runtime("delete", "--force", container)


def test_no_limit_is_a_number_too(runtime, bundle):
    bundle.config["process"]["rlimits"] = [
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1}
    ]
    assert said(runtime, bundle, "ulimit -c").strip() == "unlimited"


@pytest.mark.parametrize(("value", "shown"), [(True, "1"), (False, "0")])
def test_no_new_privileges(runtime, bundle, value, shown):
    bundle.config["process"]["noNewPrivileges"] = value
    assert status(said(runtime, bundle, STATUS))["NoNewPrivs"] == shown


@pytest.mark.parametrize("score", [0, 321, 1000])
def test_oom_score(runtime, bundle, score):
    bundle.config["process"]["oomScoreAdj"] = score
    runtime.prefix = ("sh", "-c", 'echo 77 > /proc/self/oom_score_adj; exec "$@"', "sh")
    assert said(runtime, bundle, "cat /proc/self/oom_score_adj") == f"{score}\n"


def test_an_oom_score_that_is_not_set_stays(runtime, bundle):
    bundle.config["process"].pop("oomScoreAdj", None)
    runtime.prefix = ("sh", "-c", 'echo 77 > /proc/self/oom_score_adj; exec "$@"', "sh")
    assert said(runtime, bundle, "cat /proc/self/oom_score_adj") == "77\n"


def test_user(runtime, bundle):
    bundle.config["process"]["user"] = {"uid": 1234, "gid": 77, "additionalGids": [5, 6]}
    found = status(said(runtime, bundle, STATUS))
    assert found["Uid"].split() == ["1234"] * 4
    assert found["Gid"].split() == ["77"] * 4
    assert found["Groups"].split() == ["5", "6"]


def test_groups_of_the_caller_are_dropped(runtime, bundle):
    many = ",".join(str(number) for number in range(100, 120))
    runtime.prefix = ("setpriv", "--groups", many)
    assert status(said(runtime, bundle, STATUS))["Groups"] == ""


@pytest.mark.parametrize(("mask", "shown"), [(0, "0000"), (0o27, "0027"), (None, "0022")])
def test_umask(runtime, bundle, mask, shown):
    """The text wants the caller's left alone; runc, crun and we have 022, which images expect."""
    bundle.config["process"]["user"]["umask"] = mask
    runtime.prefix = ("sh", "-c", 'umask 0077; exec "$@"', "sh")
    assert said(runtime, bundle, "umask") == f"{shown}\n"


def test_arguments_are_passed_as_they_are(runtime, bundle):
    words = ["one", "", "two words", "-x", "\u00e9\n"]
    bundle.args("/bin/sh", "-c", 'printf "[%s]" "$0" "$@"', *words)
    (bundle.rootfs / "bin/printf").symlink_to("busybox")
    assert runtime.run(bundle).stdout == "".join(f"[{word}]" for word in words)


def test_the_program_is_looked_up_in_the_containers_path(runtime, bundle):
    (bundle.rootfs / "opt").mkdir()
    (bundle.rootfs / "opt/look").write_text("#!/bin/sh\necho found\n")
    (bundle.rootfs / "opt/look").chmod(0o755)
    bundle.config["process"]["env"] = ["PATH=/nosuch:/opt:/bin"]
    assert runtime.run(bundle.args("look")).stdout == "found\n"


def test_environment(runtime, bundle):
    bundle.config["process"]["env"] = ["A=1", "B==x", "A=2", "EMPTY=", "PATH=/bin"]
    done = runtime.run(bundle.args("env"), env={"SECRET": "1", "PATH": os.environ["PATH"]})
    assert sorted(done.stdout.splitlines()) == ["A=2", "B==x", "EMPTY=", "HOME=/", "PATH=/bin"]


@pytest.mark.parametrize(("env", "shown"), [([], "/home/me"), (["HOME=/x"], "/x")])
def test_home_comes_from_the_containers_passwd(runtime, bundle, env, shown):
    (bundle.rootfs / "etc").mkdir()
    (bundle.rootfs / "etc/passwd").write_text("me:x:1000:1000::/home/me:/bin/sh\n")
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle.config["process"]["env"] += env
    assert said(runtime, bundle, "echo $HOME") == f"{shown}\n"


def test_a_working_directory_is_made(runtime, bundle):
    bundle.config["process"]["cwd"] = "/made/for/it"
    assert said(runtime, bundle, "pwd; stat -c '%a %u' /made /made/for") == (
        "/made/for/it\n755 0\n755 0\n"
    )


def test_a_working_directory_of_the_user_alone(runtime, bundle):
    home = bundle.rootfs / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 1000, 1000)
    process = bundle.config["process"]
    process |= {"cwd": "/home", "user": {"uid": 1000, "gid": 1000}}
    process["capabilities"] = {}
    assert said(runtime, bundle, "pwd") == "/home\n"


def test_a_terminal_is_asked_for_or_not(runtime, bundle):
    assert said(runtime, bundle, "tty || true; cut -d' ' -f 7 /proc/self/stat") == "not a tty\n0\n"


def test_a_size_without_a_terminal_is_ignored(runtime, bundle):
    bundle.config["process"]["consoleSize"] = {"height": 2**40, "width": 2**40}
    assert said(runtime, bundle, "echo ran") == "ran\n"


@pytest.mark.parametrize(
    ("flags", "policy"), [([], "1"), (["SCHED_FLAG_RESET_ON_FORK"], "0")], ids=["none", "reset"]
)
def test_a_flag_of_the_scheduler(runtime, bundle, flags, policy):
    """With it a child of the program is scheduled as any other."""
    bundle.config["process"]["scheduler"] = {
        "policy": "SCHED_FIFO", "priority": 10, "flags": flags,
    }  # fmt: skip
    if os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        bundle.config["linux"]["resources"]["cpu"] = {"realtimeRuntime": 1000}
    assert said(runtime, bundle, "cut -d' ' -f 41 /proc/self/stat; true").strip() == policy


def test_a_deadline(runtime, bundle):
    """Runtime, deadline and period reach the kernel: it refuses these three in no other order."""
    bundle.config["process"]["scheduler"] = {
        "policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 20_000_000,
        "period": 30_000_000,
    }  # fmt: skip
    if os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        bundle.config["linux"]["resources"]["cpu"] = {"realtimeRuntime": 1000}
    # The shell alone: the kernel lets no process with a deadline fork.
    assert said(runtime, bundle, "read line < /proc/$$/stat; echo $line").split()[40] == "6"


@pytest.mark.parametrize("name", ["runtime", "deadline", "period"])
def test_a_deadline_out_of_order(runtime, bundle, name):
    """Each of the three alone out of place is the kernel's to refuse."""
    scheduler = {"policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 20_000_000,
                 "period": 30_000_000}  # fmt: skip
    scheduler[name] = {"runtime": 25_000_000, "deadline": 35_000_000, "period": 15_000_000}[name]
    bundle.config["process"]["scheduler"] = scheduler
    assert "sched_setattr: invalid argument" in refused(runtime, bundle)


@pytest.mark.parametrize("readonly", [True, False])
def test_the_root_is_read_only_or_not(runtime, bundle, readonly):
    bundle.config["root"]["readonly"] = readonly
    text = said(runtime, bundle, "touch /new 2>&1 || true; ls -d /new 2>/dev/null || true")
    assert ("Read-only" in text) == readonly
    assert (bundle.rootfs / "new").exists() == (not readonly)


def test_the_root_is_relative_to_the_bundle_or_absolute(runtime, bundle, tmp_path):
    assert "bin" in said(runtime, bundle, "ls /").split()
    moved = tmp_path / "elsewhere"
    bundle.rootfs.rename(moved)
    bundle.config["root"]["path"] = str(moved)
    (moved / "here").touch()
    bundle.shell("ls /")
    assert "here" in runtime.run(bundle).stdout.split()


def test_a_root_that_is_a_file(runtime, bundle):
    (bundle.path / "file").touch()
    bundle.config["root"]["path"] = "file"
    assert "not a directory" in refused(runtime, bundle)


def test_only_stdio_is_open(runtime, bundle):
    assert said(runtime, bundle, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_stdio_belongs_to_the_user(runtime, bundle):
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    reader, writer = os.pipe()
    bundle.shell("stat -Lc %u /proc/self/fd/0")
    done = runtime.run(bundle, stdin=reader)
    os.close(reader)
    os.close(writer)
    assert done.stdout == "1000\n"


@pytest.mark.parametrize("ambient", [True, False])
def test_who_may_execute_is_asked_with_the_effective_capabilities(runtime, bundle, ambient):
    """access(2) ignores the capabilities of an unprivileged user; execve(2) does not."""
    program = bundle.rootfs / "mine" / "busybox"
    program.parent.mkdir()
    shutil.copy(bundle.rootfs / "bin" / "busybox", program)
    program.chmod(0o744)
    process = bundle.config["process"]
    process["user"] = {"uid": 1000, "gid": 1000}
    names = ["CAP_DAC_OVERRIDE"] if ambient else []
    kinds = ("bounding", "permitted", "effective", "inheritable", "ambient")
    process["capabilities"] = dict.fromkeys(kinds, names)
    done = runtime.run(bundle.args("/mine/busybox", "echo", "hello"))
    if ambient:
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    else:
        assert done.returncode == 1
        assert "permission denied" in done.stderr


def test_an_ambient_capability_that_cannot_be_raised_is_a_warning(runtime, bundle):
    process = bundle.config["process"]
    process["capabilities"] |= {"ambient": ["CAP_KILL"], "inheritable": []}
    done = runtime.run(bundle.shell("grep CapAmb /proc/self/status"))
    assert done.stdout.split()[1] == "0" * 16
    [line] = done.stderr.splitlines()
    assert "level=warning" in line
    assert "/process/capabilities/ambient: cannot be raised" in line
    assert "CAP_KILL" in line
