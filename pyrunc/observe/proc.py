# SPDX-License-Identifier: Apache-2.0
"""What is in force for a container: asked of the kernel, not of its configuration.

Sources: proc_pid_status(5), proc_pid_mountinfo(5), namespaces(7). What is read of a process is read
below one open directory of /proc, whose files fail once the process has ended: no other process
that gets its pid is taken for it.
"""

from __future__ import annotations

import os
import re
from typing import Any

from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.spec.names import CAPABILITIES

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_OCI_NAMES = {"mnt": "mount", "net": "network"}
_SETS = {
    "CapBnd": "bounding", "CapEff": "effective", "CapInh": "inheritable", "CapPrm": "permitted",
    "CapAmb": "ambient",
}  # fmt: skip
_SECCOMP = ("none", "strict", "filter")
_OCTAL = re.compile(r"\\([0-7]{3})")


def process_directory(pid: int) -> Descriptor:
    """/proc/PID.

    Raises:
        OSError: there is no such process.
    """
    return opened(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)


def process(proc: int) -> dict[str, Any]:
    """Ids, rights and confinement of a process.

    Args:
        proc: its directory, from `process_directory`; lent, as below.
    """
    rows = (line.partition(":") for line in _read(proc, "status").splitlines())
    status = {name: value.split() for name, _, value in rows}
    mode = int((status.get("Seccomp") or ["0"])[0])
    return {
        "uids": dict(zip(("real", "effective", "saved"), map(int, status["Uid"]), strict=False)),
        "gids": dict(zip(("real", "effective", "saved"), map(int, status["Gid"]), strict=False)),
        "groups": [int(group) for group in status.get("Groups", ())],
        "capabilities": {
            name: _capabilities(int(status[key][0], 16)) for key, name in _SETS.items()
        },
        "noNewPrivileges": status.get("NoNewPrivs") == ["1"],
        "seccomp": {
            "mode": _SECCOMP[mode] if mode < len(_SECCOMP) else str(mode),
            "filters": int((status.get("Seccomp_filters") or ["0"])[0]),
        },
        "label": _label(proc),
        "cpus": (status.get("Cpus_allowed_list") or [""])[0],
        "oomScoreAdj": int(_read(proc, "oom_score_adj") or 0),
    }


def namespaces(proc: int, others: dict[str, int]) -> list[dict[str, Any]]:
    """A process's namespaces, and with whom it shares each.

    Args:
        proc: from `process_directory`.
        others: name to the directory of /proc of those that it may share with.
    """
    found = []
    for kind in _NAMESPACES:
        own = _namespace(proc, kind)
        if own is not None:
            shared = [name for name, other in others.items() if _namespace(other, kind) == own]
            found.append({"type": _OCI_NAMES.get(kind, kind), "inode": own, "sharedWith": shared})
    return found


def mounts(proc: int) -> list[dict[str, Any]]:
    """What is mounted for a process, in the order of mounting."""
    found = []
    for line in _read(proc, "mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        words, (fstype, source, super_options) = left.split(" "), right.split(" ", 2)
        found.append({
            "destination": _decoded(words[4]),
            "type": fstype,
            "source": _decoded(source),
            "root": _decoded(words[3]),
            "options": words[5].split(","),
            "filesystemOptions": _decoded(super_options).split(","),
            "propagation": [word for word in words[6:] if word],
        })  # fmt: skip
    return found


def _read(proc: int, name: str) -> str:
    data = b""
    with opened(name, dir_fd=proc) as file:
        while chunk := os.read(file.fileno(), 1 << 16):
            data += chunk
    return data.decode("utf-8", "backslashreplace")


def _label(proc: int) -> str:
    """AppArmor's profile or SELinux' context; "" where no such module is."""
    try:
        return _read(proc, "attr/current").strip("\0\n")
    except OSError:
        return ""


def _namespace(proc: int, kind: str) -> int | None:
    try:
        return os.stat(f"ns/{kind}", dir_fd=proc).st_ino
    except (FileNotFoundError, PermissionError):
        return None  # an older kernel; a process that has more rights than the caller


def _capabilities(bits: int) -> list[str]:
    # In the kernel's order.
    return [name for number, name in enumerate(CAPABILITIES) if bits >> number & 1]


def _decoded(text: str) -> str:
    """Blanks, tabs, newlines and backslashes are octal numbers there."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
