# SPDX-License-Identifier: Apache-2.0
"""Where the cgroup hierarchies of this host are mounted, and where this process stands in them.

Detected once per container and kept in its state: later commands never look again, so that a
host whose mounts change does not make them act on other directories. This module reads
/proc/self/mountinfo and /proc/self/cgroup and must not touch a cgroup.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pyrunc.errors import PyruncError

ROOT = "/sys/fs/cgroup"
# The v1 controllers that a container joins, in runc's order. A hierarchy that carries none of these
# is a private one.
CONTROLLERS = (
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
    "name=systemd",
    "misc",
)
UNIFIED = ""
_CHUNK = 1 << 14


@dataclass(slots=True)
class Hierarchy:
    """One mounted hierarchy.

    Args:
        names: its controllers; ("",) is cgroup v2.
        mount: where it is mounted.
        own: the cgroup of this process in it, below the mount: "/" or "/a/b".
    """

    names: tuple[str, ...]
    mount: str
    own: str


@dataclass(slots=True)
class Layout:
    """The cgroup hierarchies of a host.

    Args:
        kind: "v2", "hybrid" (v1 controllers, and v2 without the main ones) or "v1".
        hierarchies: the v1 ones in runc's order, then the unified one.
    """

    kind: str
    hierarchies: tuple[Hierarchy, ...]

    @property
    def unified(self) -> Hierarchy | None:
        """The cgroup v2 hierarchy, if there is one."""
        last = self.hierarchies[-1] if self.hierarchies else None
        return last if last and last.names == (UNIFIED,) else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for the state and the journal."""
        return {
            "kind": self.kind,
            "hierarchies": [[list(h.names), h.mount, h.own] for h in self.hierarchies],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        """What `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: the document is not one of ours.
        """
        rows = data["hierarchies"]
        return cls(str(data["kind"]), tuple(Hierarchy(tuple(n), m, o) for n, m, o in rows))


def detect() -> Layout:
    """Find the cgroup hierarchies of this host.

    Returns:
        The layout.

    Raises:
        PyruncError: no hierarchy is mounted, or /proc cannot be read.
    """
    layout = parse(_slurp("/proc/self/mountinfo"), _slurp("/proc/self/cgroup"), _device)
    if layout is None:
        raise PyruncError("no cgroup hierarchy is mounted", hint=f"mount -t cgroup2 none {ROOT}")
    return layout


def parse(mountinfo: str, own: str, device: Any = None) -> Layout | None:
    """The layout that two files of /proc describe.

    Args:
        mountinfo: text of /proc/self/mountinfo.
        own: text of /proc/self/cgroup.
        device: returns the "major:minor" that a path is on now, so that a mount that is covered by
            another is passed over. None believes every line.

    Returns:
        The layout, or None where no cgroup hierarchy is mounted.
    """
    paths = _own_paths(own)
    unified: Hierarchy | None = None
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        kind, _, options = right.split(" ", 2)
        mount = _unescape(fields[4])
        if device is not None and device(mount) != fields[2]:
            continue
        if kind == "cgroup2":
            # The usual place wins over a second mount of the same filesystem.
            if unified is None or mount in (ROOT, f"{ROOT}/unified"):
                unified = Hierarchy((UNIFIED,), mount, _below(paths.get("", "/"), fields[3]))
        elif kind == "cgroup":
            words = options.split(" ")[-1].split(",")
            names = tuple(n for n in CONTROLLERS if n in words and n in paths)
            if names and (names[0] not in found or mount.startswith(f"{ROOT}/")):
                found[names[0]] = Hierarchy(names, mount, _below(paths[names[0]], fields[3]))
    if unified is not None and (unified.mount == ROOT or not found):
        return Layout("v2", (unified,))
    ordered = tuple(found[name] for name in CONTROLLERS if name in found)
    if unified is not None:
        return Layout("hybrid", (*ordered, unified))
    return Layout("v1", ordered) if ordered else None


def _slurp(path: str) -> str:
    data = b""
    try:
        # Not open(): a text file asks the kernel four things before it reads.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while more := os.read(fd, _CHUNK):
                data += more
        finally:
            os.close(fd)
    except OSError as error:
        raise PyruncError(f"read {path}: {error.strerror}", hint="is /proc mounted?") from error
    return data.decode("utf-8", "surrogateescape")


def _device(path: str) -> str:
    try:
        number = os.stat(path).st_dev
    except OSError:
        return ""
    return f"{os.major(number)}:{os.minor(number)}"


def _own_paths(text: str) -> dict[str, str]:
    paths = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    return paths


def _below(path: str, root: str) -> str:
    """A path of /proc/self/cgroup as seen below a mount whose root is `root`.

    In a nested container the hierarchy is a bind mount of a part of it.
    """
    if root != "/":
        if path == root:
            return "/"
        if path.startswith(root + "/"):
            path = path[len(root) :]
    # "/../x" is how the kernel names what lies outside the cgroup namespace.
    return "/" + "/".join(part for part in path.split("/") if part not in ("", ".."))


def _unescape(path: str) -> str:
    if "\\" not in path:
        return path
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, char)
    return path
