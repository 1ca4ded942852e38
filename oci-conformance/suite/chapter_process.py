# SPDX-License-Identifier: Apache-2.0
"""config.md, Process and POSIX process: what the program finds about itself."""

from __future__ import annotations

import array
import os
import resource
import select
import socket
from typing import Any

from clauses import holds
from harness import Box, Broken, equal, needs_capability, true

PROCESS = "config.md, Process"
POSIX = "config.md, POSIX process"
LINUX = "config.md, Linux Process"
USER = "config.md, POSIX-platform User"
CAPABILITY_SETS = {
    "bounding": "CapBnd", "permitted": "CapPrm", "effective": "CapEff", "inheritable": "CapInh",
    "ambient": "CapAmb",
}  # fmt: skip
NUMBERS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETUID": 7, "CAP_NET_BIND_SERVICE": 10}


@holds("process.cwd", PROCESS, "the program starts in cwd", ["/", "/tmp", "/dev", "/proc/1"])
def case_cwd(box: Box, it: str) -> None:
    equal("cwd", it, box.put({"process/cwd": it}).ask("cwd")["cwd"])


@holds("process.args", PROCESS, "args are the program's argument vector, as they are",
       [("spaces", "a b"), ("empty", ""), ("quotes", "\"'$x"), ("utf-8", "\u00e9"),
        ("newline", "a\nb")])  # fmt: skip
def case_args(box: Box, it: str) -> None:
    seen = box.ask("args", "label:program", it, "pid")
    equal("args", f"/probe\nargs\nlabel:program\n{it}\npid\n", seen["args"])


@holds("process.args.path", PROCESS, "args[0] is looked up in PATH of the container, as execvp(3)")
def case_args_path(box: Box) -> None:
    box.put({"process/env": ["PATH=/nowhere:/"]}).put({"process/args": ["probe", "args"]})
    box.create().start().wait()
    equal("args", {"args": "probe\nargs\n"}, box.answers())


@holds("process.env", PROCESS, "env is the program's environment",
       [("plain", "A=1"), ("equals", "A=b=c"), ("empty", "A="), ("spaces", "A= x y ")])  # fmt: skip
def case_env(box: Box, it: str) -> None:
    seen = box.put({"process/env": ["PATH=/", it]}).ask("env")["env"].splitlines()
    true(it in seen, f"{it!r} in the environment", seen)


@holds("process.env.nothing-else", PROCESS, "the runtime's own environment is not the program's")
def case_env_of_the_runtime(box: Box) -> None:
    os.environ["OCI_CONFORMANCE_LEAK"] = "1"
    try:
        seen = box.ask("env")["env"]
    finally:
        del os.environ["OCI_CONFORMANCE_LEAK"]
    true("OCI_CONFORMANCE_LEAK" not in seen, "no variable of the runtime", seen)


@holds("process.exit-status", "runtime.md, Lifecycle", "the program's end is its own",
       [("0", 0), ("7", 7), ("255", 255)])  # fmt: skip
def case_exit_status(box: Box, it: int) -> None:
    status = box.create(f"exit:{it}").start().wait()
    equal("exit status", it, os.waitstatus_to_exitcode(status))


@holds("process.descriptors", PROCESS, "only stdin, stdout and stderr are open, by default")
def case_descriptors(box: Box) -> None:
    fd = os.open("/etc", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        box.create("list:/proc/self/fd").start().wait()
    finally:
        os.close(fd)
    equal("descriptors", {"list:/proc/self/fd": "0 1 2"}, box.answers())


@holds("process.user.uid", USER, "uid is the user's in the container", [0, 1, 1000, 65534])
def case_uid(box: Box, it: int) -> None:
    seen = box.put({"process/user/uid": it}).ask("ids")["ids"].split()[:3]
    equal("real, effective and saved uid", [str(it)] * 3, seen)


@holds("process.user.gid", USER, "gid is the group's in the container", [0, 1, 1000, 65534])
def case_gid(box: Box, it: int) -> None:
    seen = box.put({"process/user/gid": it}).ask("ids")["ids"].split()[3:]
    equal("real, effective and saved gid", [str(it)] * 3, seen)


@holds("process.user.additionalGids", USER, "additionalGids are added",
       [("one", [5]), ("three", [7, 1000, 65000])])  # fmt: skip
def case_additional_gids(box: Box, it: list[int]) -> None:
    seen = box.put({"process/user/additionalGids": it}).ask("status:Groups")["status:Groups"]
    equal("groups", set(it), set(map(int, seen.split())) - {0})


@holds("process.user.no-groups", USER, "no group of the runtime's comes along")
def case_no_groups(box: Box) -> None:
    old = os.getgroups()
    os.setgroups([4321])
    try:
        seen = box.put({"process/user/uid": 1}).ask("status:Groups")["status:Groups"]
    finally:
        os.setgroups(old)
    true("4321" not in seen.split(), "none of the caller's groups", seen)


@holds(
    "process.user.umask", USER, "umask is the program's", [("0", 0), ("0077", 0o77), ("0027", 0o27)]
)
def case_umask(box: Box, it: int) -> None:
    equal("umask", f"{it:04o}", box.put({"process/user/umask": it}).ask("umask")["umask"])


@holds("process.noNewPrivileges", LINUX, "true sets PR_SET_NO_NEW_PRIVS, false does not",
       [("true", True), ("false", False)])  # fmt: skip
def case_no_new_privileges(box: Box, it: bool) -> None:
    seen = box.put({"process/noNewPrivileges": it}).ask("status:NoNewPrivs")
    equal("NoNewPrivs", str(int(it)), seen["status:NoNewPrivs"])


def _bits(names: list[str]) -> str:
    return f"{sum(1 << NUMBERS[name] for name in names):016x}"


@holds("process.capabilities", LINUX, "each set has what it lists", list(CAPABILITY_SETS))
def case_capabilities(box: Box, it: str) -> None:
    wanted = {kind: ["CAP_CHOWN", "CAP_KILL"] for kind in CAPABILITY_SETS}
    seen = box.put({"process/capabilities": wanted}).ask(f"status:{CAPABILITY_SETS[it]}")
    equal(it, _bits(wanted[it]), seen[f"status:{CAPABILITY_SETS[it]}"])


@holds("process.capabilities.empty", LINUX, "nothing listed: no capability", list(CAPABILITY_SETS))
def case_no_capabilities(box: Box, it: str) -> None:
    box.put({"process/capabilities": {kind: [] for kind in CAPABILITY_SETS}})
    key = f"status:{CAPABILITY_SETS[it]}"
    equal(it, "0" * 16, box.ask(key)[key])


@holds("process.capabilities.user", LINUX, "ambient capabilities stay with a user that is not root")
def case_ambient(box: Box) -> None:
    sets = {kind: ["CAP_NET_BIND_SERVICE"] for kind in CAPABILITY_SETS}
    box.put({"process/capabilities": sets, "process/user/uid": 1000})
    equal("CapEff", _bits(["CAP_NET_BIND_SERVICE"]), box.ask("status:CapEff")["status:CapEff"])


@holds("process.capabilities.denied", LINUX, "what no set has is refused by the kernel",
       [("CAP_CHOWN", "chown"), ("CAP_SETUID", "setuid"), ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_ADMIN", "mount")])  # fmt: skip
def case_denied(box: Box, it: str) -> None:
    box.put({"process/capabilities": {kind: ["CAP_KILL"] for kind in CAPABILITY_SETS}})
    equal(it, "EPERM", box.ask(f"call:{it}")[f"call:{it}"])


@holds("process.capabilities.unknown", LINUX,
       "a capability that cannot be granted: a warning, not an error")  # fmt: skip
def case_unknown_capability(box: Box) -> None:
    box.config["process"]["capabilities"]["bounding"].append("CAP_OF_THE_FUTURE")
    box.ask("pid")


RLIMITS = {
    "AS": 1 << 30, "CORE": 4096, "CPU": 1000, "DATA": 1 << 30, "FSIZE": 1 << 30, "LOCKS": 100,
    "MEMLOCK": 1 << 16, "MSGQUEUE": 1 << 16, "NICE": 20, "NOFILE": 100, "NPROC": 5000,
    "RSS": 1 << 30, "RTPRIO": 5, "RTTIME": 1000000, "SIGPENDING": 200, "STACK": 1 << 20,
}  # fmt: skip
RLIMIT_NUMBERS = {
    "AS": 9, "CORE": 4, "CPU": 0, "DATA": 2, "FSIZE": 1, "LOCKS": 10, "MEMLOCK": 8, "MSGQUEUE": 12,
    "NICE": 13, "NOFILE": 7, "NPROC": 6, "RSS": 5, "RTPRIO": 14, "RTTIME": 15, "SIGPENDING": 11,
    "STACK": 3,
}  # fmt: skip


@holds("process.rlimits", POSIX, "getrlimit(2) has the soft and the hard limit", list(RLIMITS))
def case_rlimits(box: Box, it: str) -> None:
    value = RLIMITS[it]
    hard = resource.prlimit(0, RLIMIT_NUMBERS[it])[1]
    if hard != resource.RLIM_INFINITY and value >= hard:
        needs_capability("CAP_SYS_RESOURCE", f"to raise RLIMIT_{it} above {hard}")
    box.put({"process/rlimits": [{"type": f"RLIMIT_{it}", "soft": value, "hard": value + 1}]})
    equal("soft and hard", f"{value} {value + 1}", box.ask(f"rlimit:{it}")[f"rlimit:{it}"])


@holds("process.rlimits.infinity", POSIX, "2^64-1 is no limit")
def case_rlimit_infinity(box: Box) -> None:
    no_limit = 2**64 - 1
    box.put({"process/rlimits": [{"type": "RLIMIT_CORE", "soft": no_limit, "hard": no_limit}]})
    equal("core", f"{no_limit} {no_limit}", box.ask("rlimit:CORE")["rlimit:CORE"])


@holds(
    "process.oomScoreAdj", LINUX, "oomScoreAdj is in /proc/self/oom_score_adj", [0, 100, 1000, -500]
)
def case_oom_score(box: Box, it: int) -> None:
    with open("/proc/self/oom_score_adj") as file:
        if it < int(file.read()):
            needs_capability("CAP_SYS_RESOURCE", "to lower oom_score_adj")
    key = "file:/proc/self/oom_score_adj"
    equal("oom_score_adj", f"{it}\n", box.put({"process/oomScoreAdj": it}).ask(key)[key])


@holds("process.oomScoreAdj.unset", LINUX, "if oomScoreAdj is not set, it must not be changed")
def case_oom_score_unset(box: Box) -> None:
    key = "file:/proc/self/oom_score_adj"
    with open("/proc/self/oom_score_adj", "r+") as file:
        old = file.read()
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("123")
    try:
        seen = box.ask(key)[key]
    finally:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(old)
    equal("oom_score_adj", "123\n", seen)


@holds("process.scheduler", LINUX, "policy, nice and priority",
       [("SCHED_BATCH", ({"policy": "SCHED_BATCH", "nice": 5}, "3 0", "5")),
        ("SCHED_IDLE", ({"policy": "SCHED_IDLE"}, "5 0", None)),
        ("SCHED_OTHER", ({"policy": "SCHED_OTHER", "nice": -3}, "0 0", "-3"))])  # fmt: skip
def case_scheduler(box: Box, it: tuple[dict[str, Any], str, str | None]) -> None:
    wanted, policy, nice = it
    seen = box.put({"process/scheduler": wanted}).ask("policy", "nice")
    equal("policy and priority", policy, seen["policy"])
    if nice is not None:
        equal("nice", nice, seen["nice"])


@holds("process.ioPriority", LINUX, "class and priority, as ioprio_get(2) tells",
       [("IOPRIO_CLASS_BE", "2 3"), ("IOPRIO_CLASS_IDLE", "3 0"),
        ("IOPRIO_CLASS_RT", "1 3")])  # fmt: skip
def case_io_priority(box: Box, it: str) -> None:
    kinds = {"2": "IOPRIO_CLASS_BE", "3": "IOPRIO_CLASS_IDLE", "1": "IOPRIO_CLASS_RT"}
    priority = int(it.split()[1])
    box.put({"process/ioPriority": {"class": kinds[it[0]], "priority": priority}})
    equal("class and priority", it, box.ask("ioprio")["ioprio"])


@holds("process.terminal.false", PROCESS, "no terminal unless it is asked for")
def case_no_terminal(box: Box) -> None:
    seen = box.ask("tty", "stat:/dev/console")
    equal("isatty(3) of the three", "0 0 0", seen["tty"])


def _terminal(box: Box, *questions: str) -> str:
    """The whole output of a program at a terminal: `--console-socket`, as engines give it."""
    path = box.directory / "console"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(10)
        box.config["process"]["args"] = ["/probe", *questions]
        if box.try_create("--console-socket", str(path)) != 0:
            raise Broken("create succeeds", box.errors[-600:])
        connection, _ = listener.accept()
    with connection:
        _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    fd = array.array("i", control[0][2])[0]
    box.start()
    text = b""
    try:
        while select.select([fd], [], [], 5)[0]:
            text += os.read(fd, 4096)
    except OSError:  # EIO: the other side is closed
        pass
    finally:
        os.close(fd)
    return text.decode().replace("\r\n", "\n")


@holds("process.terminal.true", PROCESS, "terminal: stdin, stdout and stderr are one")
def case_terminal(box: Box) -> None:
    box.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666").put(
        {"process/terminal": True}
    )
    text = _terminal(box, "tty", "stat:/dev/console")
    true("tty\t1 1 1" in text, "isatty(3) of the three: 1 1 1", text)
    true("/dev/console\tchar" in text, "/dev/console is a terminal", text)


@holds("process.consoleSize", PROCESS, "consoleSize is the terminal's, in characters")
def case_console_size(box: Box) -> None:
    box.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666")
    box.put({"process/terminal": True, "process/consoleSize": {"height": 17, "width": 91}})
    text = _terminal(box, "winsize")
    true("winsize\t17 91" in text, "17 rows, 91 columns", text)


@holds("process.consoleSize.ignored", PROCESS, "consoleSize without a terminal is ignored")
def case_console_size_ignored(box: Box) -> None:
    box.put({"process/consoleSize": {"height": 17, "width": 91}}).ask("pid")


@holds("linux.personality", "config-linux.md, Personality", "domain is the execution domain",
       [("LINUX", "0"), ("LINUX32", "8")])  # fmt: skip
def case_personality(box: Box, it: str) -> None:
    domain = "LINUX32" if it == "8" else "LINUX"
    seen = box.put({"linux/personality": {"domain": domain}}).ask("personality")
    equal("personality", it, seen["personality"])
