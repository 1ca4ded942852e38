# SPDX-License-Identifier: Apache-2.0
"""Cases about the process: ids, capabilities, limits, environment, seccomp."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.differential.case import Case, listed_in
from tests.differential.differ import Box

RLIMITS = {
    "AS": 1 << 40, "CORE": 0, "CPU": 100, "DATA": 1 << 40, "FSIZE": 1 << 40, "LOCKS": 10,
    "MEMLOCK": 65536, "MSGQUEUE": 4096, "NICE": 0, "NOFILE": 512, "NPROC": 1000,
    "RSS": 1 << 40, "RTPRIO": 0, "RTTIME": 100000, "SIGPENDING": 50, "STACK": 4 << 20,
}  # fmt: skip
CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
SOME = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_KILL"]


CASES: dict[str, Case] = {}
case = listed_in(CASES)


@case()
def default(box: Box) -> None:
    box.probe("list=/dev", "path=/proc/sysrq-trigger", "path=/proc/sys", "path=/proc/kcore",
              "path=/sys", "path=/", "path=/proc/timer_list", "path=/sys/firmware")  # fmt: skip


@case()
def rlimits_all(box: Box) -> None:
    box.process["rlimits"] = [
        {"type": f"RLIMIT_{name}", "soft": value, "hard": value} for name, value in RLIMITS.items()
    ]


@case()
def rlimits_soft_below_hard(box: Box) -> None:
    box.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 1 << 20},
    ]


@case()
def rlimits_none(box: Box) -> None:
    del box.process["rlimits"]


@case()
def additional_gids(box: Box) -> None:
    box.process["user"] = {"uid": 5, "gid": 6, "additionalGids": [7, 6, 1000, 7]}


@case()
def uid_1000_with_a_home(box: Box) -> None:
    box.file("rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n")
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def uid_1000_without_a_home(box: Box) -> None:
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def uid_1000_with_home_in_the_environment(box: Box) -> None:
    box.file("rootfs/etc/passwd", "u:x:1000:1000::/home/u:/bin/sh\n")
    box.process["user"] = {"uid": 1000, "gid": 1000}
    box.process["env"].append("HOME=/elsewhere")


@case()
def empty_home_in_the_environment(box: Box) -> None:
    box.file("rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    box.process["env"].append("HOME=")


@case()
def odd_passwd(box: Box) -> None:
    text = "# a comment\n\nbroken\n+nis::::\nu:x:12:34\nu:x:5:5::/home/five:/bin/sh\n"
    box.file("rootfs/etc/passwd", text)
    box.process["user"] = {"uid": 5, "gid": 5}


@case()
def umask_0027(box: Box) -> None:
    box.process["user"]["umask"] = 0o027
    box.mount("/made/here", "tmpfs", "tmpfs")
    box.process["cwd"] = "/also/made"


@case(prefix=("sh", "-c", 'umask 0077; exec "$@"', "sh"))
def umask_of_the_caller(box: Box) -> None:
    box.mount("/made/here", "tmpfs", "tmpfs")
    box.process["cwd"] = "/also/made"
    box.linux["devices"] = [{"path": "/dev/node", "type": "c", "major": 1, "minor": 3}]
    box.probe("list=/made", "list=/also")


@case()
def capabilities_missing(box: Box) -> None:
    del box.process["capabilities"]


@case()
def capabilities_missing_uid_1000(box: Box) -> None:
    del box.process["capabilities"]
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def capabilities_empty(box: Box) -> None:
    box.process["capabilities"] = {}


@case()
def capabilities_empty_lists(box: Box) -> None:
    box.process["capabilities"] = {name: [] for name in CAPABILITY_SETS}


@case()
def capabilities_all_sets(box: Box) -> None:
    box.process["capabilities"] = dict.fromkeys(CAPABILITY_SETS, SOME)


@case()
def capabilities_differing_sets(box: Box) -> None:
    box.process["capabilities"] = {
        "bounding": [*SOME, "CAP_SYS_CHROOT"],
        "permitted": SOME,
        "effective": SOME[:1],
        "inheritable": SOME[1:],
        "ambient": SOME[1:2],
    }


@case()
def capabilities_ambient_uid_1000(box: Box) -> None:
    box.process["capabilities"] = dict.fromkeys(CAPABILITY_SETS, SOME)
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def capabilities_ambient_not_permitted(box: Box) -> None:
    box.process["capabilities"] = {"bounding": SOME, "ambient": SOME}
    box.process["user"] = {"uid": 1000, "gid": 1000}


def _has(capability: int) -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    return any(int(line[8:], 16) >> capability & 1 for line in lines if line[:7] == "CapBnd:")


@case(status=0 if _has(24) else 1)
def capabilities_unknown_to_the_host(box: Box) -> None:
    for name in ("bounding", "effective", "permitted"):
        box.process["capabilities"][name] = [*SOME, "CAP_SYS_RESOURCE"]


@case()
def no_new_privileges_false(box: Box) -> None:
    box.process["noNewPrivileges"] = False


def seccomp(box: Box, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW") -> None:
    box.linux["seccomp"] = {
        "defaultAction": default,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": list(rules),
    }


def rule(name: str, action: str = "SCMP_ACT_ERRNO", **details: Any) -> dict[str, Any]:
    return {"names": [name], "action": action} | details


@case()
def seccomp_with_no_new_privileges(box: Box) -> None:
    seccomp(box, rule("chmod"), rule("unshare", errnoRet=95), rule("nosuchcall"))
    box.probe("calls", "fork")


@case()
def seccomp_without_no_new_privileges(box: Box) -> None:
    box.process["noNewPrivileges"] = False
    seccomp(box, rule("chmod"), rule("unshare", errnoRet=95))
    box.process["user"] = {"uid": 1000, "gid": 1000}
    box.probe("calls")


@case()
def seccomp_arguments(box: Box) -> None:
    userns = {"index": 0, "value": 0x10000000, "valueTwo": 0x10000000, "op": "SCMP_CMP_MASKED_EQ"}
    vsock = {"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}
    query = {"index": 0, "value": 0xFFFFFFFF, "op": "SCMP_CMP_NE"}
    seccomp(
        box,
        rule("unshare", args=[userns], errnoRet=1),
        rule("socket", args=[vsock], errnoRet=97),
        rule("personality", args=[query], errnoRet=22),
    )
    box.probe("calls")


@case()
def seccomp_log(box: Box) -> None:
    seccomp(box, rule("chmod", "SCMP_ACT_LOG"))
    box.probe("calls")


@case(status=159)
def seccomp_kills(box: Box) -> None:
    seccomp(box, rule("chmod", "SCMP_ACT_KILL_PROCESS"))
    box.process["args"] = ["/bin/chmod", "700", "/bin"]


@case()
def seccomp_default_errno(box: Box) -> None:
    seccomp(box, rule("chmod"), default="SCMP_ACT_LOG")
    box.probe("calls")


@case()
def oom_score_raised(box: Box) -> None:
    box.process["oomScoreAdj"] = 500


@case()
def cwd_missing(box: Box) -> None:
    box.process["cwd"] = "/not/there/yet"


@case()
def cwd_missing_uid_1000(box: Box) -> None:
    box.process["cwd"] = "/not/there/yet"
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def cwd_only_for_the_user(box: Box) -> None:
    box.file("rootfs/home/u/file")
    (box.rootfs / "home/u").chmod(0o700)
    os.chown(box.rootfs / "home/u", 1000, 1000)
    box.process["cwd"] = "/home/u"
    box.process["user"] = {"uid": 1000, "gid": 1000}


@case()
def cwd_through_a_link(box: Box) -> None:
    (box.rootfs / "real").mkdir()
    (box.rootfs / "link").symlink_to("/real")
    box.process["cwd"] = "/link"


@case()
def environment_twice(box: Box) -> None:
    box.process["env"] += ["A=1", "B=2", "A=3", "EMPTY=", "B=2", "HOME=/a", "HOME=/b"]


@case(status=1)
def environment_without_a_name(box: Box) -> None:
    box.process["env"] += ["=odd"]


@case(status=1)
def environment_without_a_value(box: Box) -> None:
    box.process["env"] += ["noequals"]


@case()
def environment_missing(box: Box) -> None:
    del box.process["env"]


@case()
def path_lookup(box: Box) -> None:
    (box.rootfs / "opt").mkdir()
    (box.rootfs / "opt/look").write_text("not for running")
    (box.rootfs / "opt2").mkdir()
    (box.rootfs / "opt2/look").symlink_to("/bin/probe")
    box.process["env"] = ["PATH=/nosuch:/opt:/opt2:/bin"]
    box.process["args"] = ["look", "one", "", "two words"]


@case()
def relative_argument(box: Box) -> None:
    box.process["cwd"] = "/bin"
    box.process["args"] = ["./probe", "x"]


@case()
def relative_entry_in_path(box: Box) -> None:
    box.process["cwd"] = "/bin"
    box.process["env"] = ["PATH=:/nosuch"]
    box.process["args"] = ["./probe"]


@case(status=42)
def exit_code(box: Box) -> None:
    box.probe("exit=42")


@case(status=137)
def killed_by_itself(box: Box) -> None:
    box.process["args"] = ["/bin/sh", "-c", "kill -9 $$"]
    box.no_namespace("pid")


@case(options=("--no-new-keyring",))
def no_new_keyring(box: Box) -> None:
    box.probe()


@case(
    options=("--preserve-fds", "2"),
    prefix=("sh", "-c", 'exec "$@" 3</dev/null 4>/dev/null 5</dev/null', "sh"),
)
def preserve_fds(box: Box) -> None:
    box.probe()


@case()
def terminal_of_uid_1000(box: Box) -> None:
    box.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    box.probe("list=/dev/pts")
