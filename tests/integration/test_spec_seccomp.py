# SPDX-License-Identifier: Apache-2.0
"""Every action, operator, architecture and number of `linux.seccomp`, by what the kernel does."""

from __future__ import annotations

import errno
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lib.support import refused, said

ERRNO = "SCMP_ACT_ERRNO"


def profile(bundle, *rules: dict, **members) -> None:
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules),
    } | members  # fmt: skip


def rule(*names: str, action: str = ERRNO, **members) -> dict:
    return {"names": list(names), "action": action} | members


# All that busybox and pyrunc-init call, without mkdir.
NEEDED = (
    "read", "write", "open", "openat", "close", "stat", "fstat", "lstat", "newfstatat", "lseek",
    "mmap", "mprotect", "munmap", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "ioctl", "access", "pipe", "pipe2", "dup", "dup2", "dup3", "getpid", "socket", "fork",
    "vfork", "clone", "clone3", "execve", "exit", "exit_group", "wait4", "waitid", "fcntl",
    "getcwd", "chdir", "readlink", "readlinkat", "geteuid", "getuid", "getgid", "getegid",
    "getppid", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
    "getrandom", "uname", "umask", "sched_getaffinity", "faccessat", "faccessat2", "statx",
    "futex", "madvise", "sysinfo", "getpgrp", "getpgid", "setpgid", "close_range", "capset",
    "prctl", "setuid", "setgid", "setgroups", "getdents64", "fchown", "openat2", "poll",
    "tgkill", "gettid",
)  # fmt: skip
MKDIR = ("mkdir", "mkdirat")
SCRIPT = "mkdir /dev/new 2>&1; echo code $?; test -d /dev/new && echo made; true"


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"])
def test_actions_that_let_pass(runtime, bundle, action):
    """Against a default that does not: the rule is what lets it pass."""
    needed = rule(*NEEDED, action="SCMP_ACT_ALLOW")
    profile(bundle, needed, rule(*MKDIR, action=action), defaultAction=ERRNO)
    assert "made" in said(runtime, bundle, SCRIPT)


@pytest.mark.parametrize(
    "action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"]
)
def test_actions_that_kill(runtime, bundle, action):
    """128 + SIGSYS; the signal of a trap has no handler here."""
    profile(bundle, rule(*MKDIR, action=action))
    text = said(runtime, bundle, SCRIPT)
    assert "code 159" in text
    assert "made" not in text


@pytest.mark.parametrize(
    ("action", "number", "text"),
    [
        (ERRNO, None, "Operation not permitted"),
        (ERRNO, errno.EXDEV, "Invalid cross-device link"),
        # Nobody traces us: the kernel says ENOSYS.
        ("SCMP_ACT_TRACE", 5, "Function not implemented"),
    ],
)
def test_an_error_in_the_place_of_a_call(runtime, bundle, action, number, text):
    profile(bundle, rule(*MKDIR, action=action, **({"errnoRet": number} if number else {})))
    assert text in said(runtime, bundle, SCRIPT)


@pytest.mark.parametrize(
    ("number", "text"), [(None, "Operation not permitted"), (errno.EXDEV, "cross-device")]
)
def test_the_default_action(runtime, bundle, number, text):
    """For what no rule names."""
    members = {"defaultAction": ERRNO} | ({"defaultErrnoRet": number} if number else {})
    profile(bundle, rule(*NEEDED, action="SCMP_ACT_ALLOW"), **members)
    assert text in said(runtime, bundle, SCRIPT)


# Signals that do nothing by default: 0, CHLD, CONT, URG, WINCH.
SIGNALS = (0, 17, 18, 23, 28)
OPERATORS = {
    "SCMP_CMP_NE": (18, 0, {18}),
    "SCMP_CMP_LT": (18, 0, {18, 23, 28}),
    "SCMP_CMP_LE": (18, 0, {23, 28}),
    "SCMP_CMP_EQ": (18, 0, {0, 17, 23, 28}),
    "SCMP_CMP_GE": (18, 0, {0, 17}),
    "SCMP_CMP_GT": (18, 0, {0, 17, 18}),
    "SCMP_CMP_MASKED_EQ": (1, 1, {0, 18, 28}),
}
KILLS = "for s in 0 17 18 23 28; do kill -$s $$ 2>/dev/null && echo $s; done; true"


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator(runtime, bundle, operator):
    value, second, passed = OPERATORS[operator]
    profile(
        bundle,
        rule("kill", args=[{"index": 1, "value": value, "valueTwo": second, "op": operator}]),
    )
    assert {int(line) for line in said(runtime, bundle, KILLS).split()} == passed


def test_arguments_of_one_rule_hold_together(runtime, bundle):
    two = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
           {"index": 1, "value": 18, "op": "SCMP_CMP_GE"}]  # fmt: skip
    profile(bundle, rule("kill", args=two))
    assert said(runtime, bundle, KILLS).split() == ["0", "17"]
    two[0]["value"] = 2  # not our pid
    assert said(runtime, bundle, KILLS).split() == [str(signal) for signal in SIGNALS]


def test_one_argument_twice_is_two_rules(runtime, bundle):
    """As runc always had it: libseccomp refuses two comparisons of one argument in one rule."""
    twice = [{"index": 1, "value": 17, "op": "SCMP_CMP_EQ"},
             {"index": 1, "value": 28, "op": "SCMP_CMP_EQ"}]  # fmt: skip
    profile(bundle, rule("kill", args=twice))
    assert said(runtime, bundle, KILLS).split() == ["0", "18", "23"]


def test_numbers_have_64_bits(runtime, bundle):
    """A value whose lower half alone would match."""
    profile(
        bundle,
        rule("kill", args=[{"index": 1, "value": (1 << 40) + 18, "op": "SCMP_CMP_EQ"}]),
    )
    assert "18" in said(runtime, bundle, KILLS).split()


def test_names_that_no_kernel_has_are_skipped(runtime, bundle):
    profile(bundle, rule("nosuchcall", *MKDIR))
    assert "Operation not permitted" in said(runtime, bundle, SCRIPT)


def test_an_empty_object_is_no_filter(runtime, bundle):
    bundle.config["linux"]["seccomp"] = {}
    assert "Seccomp:\t0" in said(runtime, bundle, "grep Seccomp: /proc/self/status")


def test_an_errno_that_the_action_does_not_use(runtime, bundle):
    """A MUST that runc passes over."""
    profile(bundle, rule(*MKDIR, action="SCMP_ACT_LOG", errnoRet=5))
    assert "/linux/seccomp/syscalls/0/errnoRet" in refused(runtime, bundle)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize(
    ("flags", "given"),
    [
        (None, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
        ([], "0"),
        (["SECCOMP_FILTER_FLAG_LOG"], "SECCOMP_FILTER_FLAG_LOG"),
        # One thread has nothing to synchronise.
        (["SECCOMP_FILTER_FLAG_TSYNC"], "0"),
    ],
)
def test_flags_that_the_kernel_is_given(runtime, bundle, tmp_path, flags, given):
    profile(bundle, rule(*MKDIR), **({} if flags is None else {"flags": flags}))
    trace = tmp_path / "trace"
    runtime.prefix = ("strace", "-f", "-o", str(trace), "-e", "trace=seccomp")
    said(runtime, bundle, "true")
    # libseccomp queries, with no filter, which flags there are.
    calls = [line for line in trace.read_text().splitlines() if "_MODE_FILTER" in line]
    calls = [line for line in calls if "{len=" in line]
    assert [line.split(", ")[1] for line in calls] == [given]


OTHER = r"""
#include <stdio.h>
int main(void)
{
    static char name[] __attribute__((aligned(16))) = "/dev/new";
    long result;
    /* mkdir by its number on i386: the kernel takes it for a call of that architecture. The
     * string lies below 4 GiB: the program is linked statically, and not position-independent. */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(39L), "b"(name), "c"(0700L) : "memory");
    printf("%ld\n", result);
    return 0;
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a second architecture of x86-64")
@pytest.mark.parametrize("listed", [True, False])
def test_an_architecture(runtime, bundle, tmp_path, listed):
    """A rule holds for the architectures that are listed; calls of others are killed."""
    (tmp_path / "other.c").write_text(OTHER)
    target = str(bundle.rootfs / "other")
    subprocess.run(
        ["cc", "-static", "-no-pie", "-o", target, str(tmp_path / "other.c")], check=True
    )
    host = Path("/dev/new")
    assert not host.exists()
    works = subprocess.run([target], check=False, capture_output=True)
    if works.returncode:
        pytest.skip("this kernel runs nothing of i386")
    host.rmdir()
    architectures = ["SCMP_ARCH_X86_64", *(["SCMP_ARCH_X86"] if listed else [])]
    profile(bundle, rule(*MKDIR, errnoRet=77), architectures=architectures)
    done = runtime.run(bundle.args("/other"))
    if listed:
        assert (done.returncode, done.stdout) == (0, "-77\n")
    else:
        assert done.returncode == 159


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_a_filter_cannot_keep_the_bounding_set_whole(runtime, bundle, number):
    """Its answer to PR_CAPBSET_DROP is not the kernel's: what is not requested is dropped."""
    bundle.config["process"]["noNewPrivileges"] = False
    dropping = {"index": 0, "value": 24, "op": "SCMP_CMP_EQ"}
    profile(bundle, rule("prctl", args=[dropping], errnoRet=number))
    wanted = bundle.config["process"]["capabilities"]["bounding"]
    found = said(runtime, bundle, "grep CapBnd /proc/self/status").split()[1]
    assert int(found, 16).bit_count() == len(wanted)
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    runtime("start", name)
    found = runtime("exec", name, "grep", "CapBnd", "/proc/self/status").stdout.split()[1]
    assert int(found, 16).bit_count() == len(wanted)


@pytest.mark.parametrize("name", ["setresuid", "setresgid", "setgroups", "capset"])
def test_a_filter_that_feigns_success(runtime, bundle, name):
    """As profiles do that feign root; the program would have had what it was to give up."""
    bundle.config["process"] |= {"noNewPrivileges": False, "user": {"uid": 1000, "gid": 1000}}
    bundle.config["process"]["user"]["additionalGids"] = [7]
    profile(bundle, rule(name, errnoRet=0))
    done = runtime.run(bundle.args("/bin/id"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    call = {"setresgid": "setresuid"}.get(name, name)
    assert f"{call}: operation not permitted" in done.stderr


@pytest.mark.parametrize("name", ["getcwd", "chdir", "faccessat2"])
def test_calls_of_ours_that_the_filter_denies(runtime, bundle, name):
    """In force before the capabilities go, so before much of what pyrunc-init does."""
    bundle.config["process"]["noNewPrivileges"] = False
    profile(bundle, rule(name))
    assert said(runtime, bundle, "echo hello") == "hello\n"
