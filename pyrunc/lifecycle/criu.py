# SPDX-License-Identifier: Apache-2.0
"""Shared by checkpoint and restore: the caller's options, CRIU's start, what is external."""

from __future__ import annotations

import os
from dataclasses import dataclass
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from typing import Any

from pyrunc.cgroups.join import Joining
from pyrunc.errors import CriuError, KernelError, UsageError, reported
from pyrunc.kernel import criu
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.lifecycle.handshake import Child
from pyrunc.lifecycle.launch import Descriptors, Launch
from pyrunc.plan import criu as plan_criu
from pyrunc.plan.plan import Plan
from pyrunc.spec.model import Mount, Spec

# enum criu_cg_mode.
_MODES = {"": 6, "soft": 3, "full": 4, "strict": 5, "ignore": 0}
_CLONE_NEWNET = 0x40000000
_CONFIG_ANNOTATION, _CONFIG = "org.criu.config", "/etc/criu/runc.conf"
# What init's first three descriptors were, for a restore elsewhere; runc's name and form.
DESCRIPTORS = "descriptors.json"
# The key of a namespace that is neither dumped nor made; runc's, so that images work with both.
EXTERNAL = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/urandom", "/dev/random")


@dataclass
class CriuOptions:
    """What a caller may ask of CRIU, for a checkpoint and a restore alike.

    Args:
        image_path: directory of the image.
        work_path: directory of logs and statistics; "" for the image's.
        tcp_established: also established TCP connections.
        ext_unix_sk: also UNIX sockets whose other end is outside.
        shell_job: also a terminal or session from outside.
        file_locks: also file locks.
        manage_cgroups_mode: "soft", "full", "strict", "ignore", or "" for CRIU's default.
        empty_ns: namespaces whose content is left out: "network".
        auto_dedup: do not store a memory page twice.
        lazy_pages: transfer memory pages on demand.
    """

    image_path: str
    work_path: str = ""
    tcp_established: bool = False
    ext_unix_sk: bool = False
    shell_job: bool = False
    file_locks: bool = False
    manage_cgroups_mode: str = ""
    empty_ns: tuple[str, ...] = ()
    auto_dedup: bool = False
    lazy_pages: bool = False

    def __post_init__(self) -> None:
        if self.manage_cgroups_mode not in _MODES:
            raise UsageError("invalid manage-cgroups-mode value")
        for name in self.empty_ns:
            if name != "network":
                raise UsageError(f'namespace "{name}" is not supported in empty-ns')
        self.image_path = os.path.abspath(self.image_path)
        self.work_path = os.path.abspath(self.work_path) if self.work_path else ""

    def fields(self, spec: Spec, log: str) -> list[criu.Field]:
        """As fields of criu_opts, with those that are always set."""
        fields = criu.options(
            log_level=4, log_file=log, notify_scripts=1, manage_cgroups=1,
            orphan_pts_master=1, tcp_established=int(self.tcp_established),
            ext_unix_sk=int(self.ext_unix_sk), shell_job=int(self.shell_job),
            file_locks=int(self.file_locks), auto_dedup=int(self.auto_dedup),
            lazy_pages=int(self.lazy_pages),
            empty_ns=_CLONE_NEWNET if "network" in self.empty_ns else 0,
            config_file=_config_file(spec),
        )  # fmt: skip
        # Set even where it is 0.
        mode = _MODES[self.manage_cgroups_mode]
        return [*fields, (criu.OPTIONS["manage_cgroups_mode"], mode)]

    def directories(self, make: bool) -> tuple[str, ...]:
        """The directories of the image and, if it has its own, of the log.

        Args:
            make: create that of the image too.

        Raises:
            KernelError: one does not exist, or cannot be created.
        """
        try:
            for path, made in ((self.image_path, make), (self.work_path, True)):
                if path and made:
                    os.makedirs(path, 0o700, exist_ok=True)
            os.listdir(self.image_path)
        except OSError as error:
            raise KernelError("open", "", error.errno or 0, str(error.filename)) from None
        return (self.image_path, self.work_path) if self.work_path else (self.image_path,)

    def explain(self, error: CriuError, log: str) -> None:
        """Add to an error where CRIU's log is, and the first error in it."""
        path = f"{self.work_path or self.image_path}/{log}"
        error.hint = f"log file: {path}"
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.partition("Error ")[2].strip() for line in file if "Error (" in line]
        except OSError:
            return
        if lines:
            error.hint += f"; {lines[0][:200]}"


def _config_file(spec: Spec) -> str:
    wanted = spec.annotations.get(_CONFIG_ANNOTATION, "")
    return wanted or (_CONFIG if os.path.exists(_CONFIG) else "")


def start(
    plan: Plan,
    descriptors: Descriptors,
    joining: Joining | None,
    inherited: list[int],
    stdio: tuple[int, int, int],
) -> tuple[Child, socket]:
    """Start the process that becomes CRIU, up to where it waits for `go`.

    Args:
        plan: from `plan.criu.compile_criu`.
        descriptors: closed when it is started.
        joining: of the cgroup it is to start in, or None.
        inherited: descriptors that it gets besides the socket.
        stdio: its 0, 1 and 2, which a restored process may inherit.

    Returns:
        The process, and our end of the socket.
    """
    with reported("talk to criu", "socketpair"):
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    free = [descriptors.keep(Descriptor(theirs.detach())), *inherited]
    try:
        cgroup, joins = descriptors.join(joining)
        child = Launch(plan, descriptors, stdio, [*free, *joins], cgroup=cgroup).start()
    except BaseException:
        ours.close()
        raise
    return child, ours


def directory_fields(opened: list[Descriptor]) -> list[criu.Field]:
    """Those of `CriuOptions.directories`; CRIU finds them by our numbers."""
    names = ("images_dir_fd", "work_dir_fd")
    return [(criu.OPTIONS[name], one.fileno()) for name, one in zip(names, opened, strict=False)]


def first_number() -> int:
    """The number of the socket in CRIU; the inherited descriptors follow."""
    return 3 + plan_criu.SOCKET


def search_path() -> str:
    """Where `criu` is looked for."""
    return os.environ.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def died() -> str:
    """The message for a process that died before it became CRIU."""
    return "the process that was to be criu died before it was (out of memory, or killed?)"


def external_mounts(spec: Spec) -> list[str]:
    """Where the container has mounts from the host, which are not dumped but mounted again."""
    found = [m.destination for m in spec.mounts if is_bind(m)]
    if spec.linux and any(ns.type == "user" for ns in spec.linux.namespaces):
        # Device nodes are bind mounts there: none can be made.
        found += [*_DEVICES, *(device.path for device in spec.linux.devices)]
    return found


def is_bind(mount: Mount) -> bool:
    return mount.type == "bind" or mount.is_bind


def pairs(name: str, key: str, value: Any) -> criu.Field:
    """A message of two members, as ext_mnt, inherit_fd, join_ns and cg_root are."""
    return criu.OPTIONS[name], [(1, key), (2, value)]
