# SPDX-License-Identifier: Apache-2.0
"""config-linux.md, Seccomp: what becomes of a system call."""

from __future__ import annotations

from typing import Any

from clauses import holds
from harness import Box, equal

SECCOMP = "config-linux.md, Seccomp"


def filtered(box: Box, call: str, **members: Any) -> str:
    """What a call comes to under one rule."""
    # Not of a call that a runtime itself may need on its way to the program.
    names = [call.rstrip("0123456789")]
    rule = {"names": names, **members}
    box.put({"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}})
    return box.ask(f"call:{call}")[f"call:{call}"]


ACTIONS = [
    ("ERRNO", "EPERM"), ("KILL", "signal 31"), ("KILL_THREAD", "signal 31"),
    ("KILL_PROCESS", "signal 31"), ("TRAP", "signal 31"), ("LOG", "ok"), ("ALLOW", "ok"),
]  # fmt: skip


@holds("linux.seccomp.action", SECCOMP, "an action does what seccomp(2) says",
       [(name, (name, result)) for name, result in ACTIONS])  # fmt: skip
def case_action(box: Box, it: tuple[str, str]) -> None:
    equal("getpriority", it[1], filtered(box, "getpriority0", action=f"SCMP_ACT_{it[0]}"))


@holds(
    "linux.seccomp.errnoRet",
    SECCOMP,
    "errnoRet is the error",
    [("EINVAL", 22), ("ENOSYS", 38), ("EACCES", 13)],
)
def case_errno(box: Box, it: int) -> None:
    wanted = {22: "EINVAL", 38: "ENOSYS", 13: "EACCES"}[it]
    equal(
        "getpriority", wanted, filtered(box, "getpriority0", action="SCMP_ACT_ERRNO", errnoRet=it)
    )


@holds("linux.seccomp.others", SECCOMP, "no other call is concerned")
def case_others(box: Box) -> None:
    rule = {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}
    box.put({"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}})
    equal("uname, mkdir", {"ok"}, set(box.ask("call:uname", "call:mkdir").values()))


@holds("linux.seccomp.unknown-name", SECCOMP, "a call that this kernel has not does not matter")
def case_unknown_name(box: Box) -> None:
    rule = {"names": ["getpriority", "call_of_the_future"], "action": "SCMP_ACT_ERRNO"}
    box.put({"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}})
    equal("getpriority", "EPERM", box.ask("call:getpriority0")["call:getpriority0"])


OPERATORS = [
    ("EQ", 1, [False, True, False]), ("NE", 1, [True, False, True]),
    ("LT", 1, [True, False, False]),
    ("LE", 1, [True, True, False]), ("GT", 1, [False, False, True]), ("GE", 1, [False, True, True]),
]  # fmt: skip


@holds("linux.seccomp.op", SECCOMP, "an argument is compared",
       [(name, (name, value, hits)) for name, value, hits in OPERATORS])  # fmt: skip
def case_operator(box: Box, it: tuple[str, int, list[bool]]) -> None:
    name, value, hits = it
    rule = {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
            "args": [{"index": 0, "value": value, "op": f"SCMP_CMP_{name}"}]}  # fmt: skip
    box.put({"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}})
    seen = box.ask(*(f"call:getpriority{number}" for number in range(3)))
    caught = [seen[f"call:getpriority{number}"] == "EACCES" for number in range(3)]
    equal("0, 1 and 2 are caught", hits, caught)


@holds("linux.seccomp.op.masked", SECCOMP, "MASKED_EQ compares what a mask leaves: valueTwo")
def case_masked(box: Box) -> None:
    rule = {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
            "args": [{"index": 0, "value": 2, "valueTwo": 2,
                      "op": "SCMP_CMP_MASKED_EQ"}]}  # fmt: skip
    box.put({"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}})
    seen = box.ask("call:getpriority0", "call:getpriority2")
    equal("0 and 2", ["ok", "EACCES"], list(seen.values()))


@holds("linux.seccomp.default", SECCOMP, "defaultAction is for what no rule names")
def case_default(box: Box) -> None:
    # Of what a start needs, much differs between runtimes: one rule allows all but what is asked.
    allowed = [name for name in ALL_CALLS if name != "getpriority"]
    box.put({"linux/seccomp": {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
        "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
    }, "process/noNewPrivileges": True})  # fmt: skip
    seen = box.ask("call:getpriority0", "call:uname")
    equal("getpriority, uname", ["EACCES", "ok"], list(seen.values()))


@holds("linux.seccomp.no-new-privileges", SECCOMP, "filtered, whatever noNewPrivileges is",
       [("true", True), ("false", False)])  # fmt: skip
def case_no_new_privileges(box: Box, it: bool) -> None:
    box.put({"process/noNewPrivileges": it})
    equal("getpriority", "EPERM", filtered(box, "getpriority0", action="SCMP_ACT_ERRNO"))


@holds("linux.seccomp.none", SECCOMP, "without seccomp there is no filter")
def case_none(box: Box) -> None:
    with open("/proc/self/status") as file:
        own = next(line.split()[1] for line in file if line.startswith("Seccomp:"))
    equal("Seccomp", own, box.ask("status:Seccomp")["status:Seccomp"])


ALL_CALLS = [
    "access", "arch_prctl", "accept", "accept4", "bind", "brk", "capget", "capset", "chdir",
    "chmod", "chown", "clock_gettime", "clone", "clone3", "close", "close_range", "connect", "dup",
    "dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fork", "vfork", "fchdir",
    "fchmod", "fchmodat", "fchown", "fchownat", "fcntl", "fstat", "fstatfs", "fsync", "futex",
    "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getpgrp",
    "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit",
    "getsockopt", "gettid", "getuid", "ioctl", "kill", "keyctl", "lseek", "lstat", "madvise",
    "mkdir", "mkdirat", "mmap", "mount", "mprotect", "mremap", "munmap", "nanosleep", "newfstatat",
    "open", "openat", "openat2", "pipe", "pipe2", "poll", "ppoll", "prctl", "pread64", "prlimit64",
    "pselect6", "pwrite64", "read", "readlink", "readlinkat", "readv", "recvfrom", "recvmsg",
    "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "sched_getaffinity", "sched_setaffinity", "sched_yield", "select", "sendmsg", "sendto",
    "set_robust_list", "set_tid_address", "setgid", "setgroups", "setgroups32", "setpgid",
    "setresgid", "setresuid", "setrlimit", "setsid", "setuid", "sigaltstack", "socket",
    "socketpair", "stat", "statfs", "statx", "tgkill", "tkill", "umask", "uname", "unlink",
    "unlinkat", "wait4", "waitid", "write", "writev", "seccomp", "sethostname", "unshare",
]  # fmt: skip
