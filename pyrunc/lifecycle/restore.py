# SPDX-License-Identifier: Apache-2.0
"""`restore`: make a container from an image that `checkpoint` stored, by CRIU."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from socket import AF_UNIX, SOCK_STREAM, socket

from pyrunc import jsontext, keywords
from pyrunc.errors import CriuError, PyruncError, reported
from pyrunc.kernel import criu as rpc
from pyrunc.kernel import rights
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.keywords import RestoreKeywords
from pyrunc.lifecycle import criu, launch, store
from pyrunc.lifecycle.handshake import Answers
from pyrunc.lifecycle.request import Request
from pyrunc.lifecycle.setup import Setup
from pyrunc.lifecycle.store import Entry
from pyrunc.plan import criu as plan_criu
from pyrunc.spec.model import Mount, Spec

LOG = "restore.log"


@dataclass
class RestoreOptions:
    """What only a restore may ask for.

    Args:
        tcp_close: restore TCP connections as closed ones.
        lsm_profile: "TYPE:NAME", instead of the stored profile.
        lsm_mount_context: SELinux context of mounts, instead of the stored one.
    """

    tcp_close: bool = False
    lsm_profile: str = ""
    lsm_mount_context: str = ""

    def fields(self) -> list[rpc.Field]:
        return rpc.options(
            tcp_close=int(self.tcp_close),
            lsm_profile=self.lsm_profile,
            lsm_mount_context=self.lsm_mount_context,
            evasive_devices=1,
            # The restored process becomes our child, as a container's init is.
            rst_sibling=1,
        )


def restoring(
    image_path: str, given: RestoreKeywords
) -> Callable[[Request, Spec], tuple[int, PidFd]]:
    """`restore` with its options, from a caller's keywords.

    Raises:
        UsageError: CRIU has no such option.
    """
    options = criu.CriuOptions(image_path, **given.get("criu", {}))
    wanted = RestoreOptions(**keywords.members(given, RestoreOptions))
    return partial(restore, options=options, wanted=wanted)


def restore(
    request: Request, spec: Spec, options: criu.CriuOptions, wanted: RestoreOptions
) -> tuple[int, PidFd]:
    """Restore a container; it runs when this returns.

    Args:
        request: as for `create`.
        spec: from `bundle.read_spec`.
        options: where and what.
        wanted: what else.

    Returns:
        The pid of its init, and a pidfd.

    Raises:
        CriuError: CRIU refuses.
        PyruncError: anything else. Nothing is left of it.
    """
    return _Restoration(Setup(request, spec), options, wanted).run()


class _Restoration:
    """One restoration in progress."""

    def __init__(self, setup: Setup, options: criu.CriuOptions, wanted: RestoreOptions) -> None:
        self.setup = setup
        self.request = setup.request
        self.spec = setup.spec
        self.options = options
        self.wanted = wanted
        self.started = launch.Descriptors()
        self.directories: tuple[str, ...] = ()
        self.pid, self.pidfd = 0, PidFd()

    def run(self) -> tuple[int, PidFd]:
        try:
            # First, as in runc, which looks at the image last.
            store.refuse_existing(self.request.root, self.request.container_id)
            fields = self.options.fields(self.spec, LOG) + self.wanted.fields()
            self.directories = self.options.directories(make=False)
            self.setup.state.stdio = self._stored_stdio()
            fields += self._inherited_stdio()
            self.setup.check()
            namespaces, inherited = self._namespaces()
            with store.create_entry(self.request.root, self.request.container_id) as entry:
                self._with(entry, fields + namespaces, inherited)
            return self.pid, self.pidfd
        finally:
            self.setup.fds.close()
            self.started.close()

    def _stored_stdio(self) -> list[str]:
        path = f"{self.options.image_path}/{criu.DESCRIPTORS}"
        with reported("open", "", path), open(path, "rb") as file:
            found = jsontext.loads(file.read(), path)
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise PyruncError(f"{path} is damaged: not a list of names")
        return found

    def _inherited_stdio(self) -> list[rpc.Field]:
        """Pipes from outside: the caller's stdio replaces them."""
        names = enumerate(self.setup.state.stdio[:3])
        return [criu.pairs("inherit_fd", name, fd) for fd, name in names if "pipe:" in name]

    def _namespaces(self) -> tuple[list[rpc.Field], list[int]]:
        """Namespaces that the container joins: some by descriptor, the others by path."""
        fields: list[rpc.Field] = []
        inherited: list[int] = []
        namespaces = self.spec.linux.namespaces if self.spec.linux else ()
        for index, namespace in enumerate(namespaces):
            if not namespace.path:
                continue
            if namespace.type not in criu.EXTERNAL:
                fields.append(criu.pairs("join_ns", namespace.type, namespace.path))
                continue
            pointer = f"/linux/namespaces/{index}/path"
            with reported("open namespace", "open", namespace.path, pointer=pointer):
                inherited.append(self.started.keep(opened(namespace.path)))
            number = criu.first_number() + len(inherited)
            fields.append(criu.pairs("inherit_fd", criu.EXTERNAL[namespace.type][1], number))
        return fields, inherited

    def _with(self, entry: Entry, fields: list[rpc.Field], inherited: list[int]) -> None:
        try:
            self.setup.begin(entry)
            fields += rpc.options(root=self.setup.rootfs)
            fields += [criu.pairs("ext_mnt", m.destination, m.source or "") for m in self._binds()]
            if self.spec.linux and self.spec.linux.maskedPaths:
                fields.append(criu.pairs("ext_mnt", "/dev/null", "/dev/null"))
            self._ask(entry, fields, inherited)
            if not self.pid:
                raise PyruncError("criu restored no process")
        except BaseException as error:
            self._end_restored()
            self.setup.undo(entry, None, error)
            raise

    def _end_restored(self) -> None:
        """Kill and reap it: it is our child, and maybe in no cgroup of its own."""
        if not self.pidfd.is_open:
            return
        with self.pidfd:
            self.pidfd.kill()
            self.pidfd.reap()

    def _binds(self) -> list[Mount]:
        return [m for m in self.spec.mounts if criu.is_bind(m)]

    def _ask(self, entry: Entry, fields: list[rpc.Field], inherited: list[int]) -> None:
        path = criu.search_path()
        plan = plan_criu.compile_criu(
            ("criu", "swrk", str(criu.first_number())),
            path,
            self.directories,
            plan_criu.Restored(
                rootfs=self.setup.rootfs,
                inherited=len(inherited),
                joins=self.setup.joins,
                waits=self.setup.waits,
                mount_points=tuple(mount_points(self.spec.mounts)),
            ),
        )
        child, connection = criu.start(
            plan, self.started, self.setup.joining(), inherited, self.request.stdio
        )
        try:
            child.run_until_ready(
                Answers({"cgroup": lambda: self.setup.join(entry, child.pid)}, criu.died)
            )
            fields += criu.directory_fields(child.directories) + _own_cgroups(child.pid)
            child.go()
            rpc.request(
                connection,
                rpc.RESTORE,
                fields,
                lambda name, pid, sent: self._notified(entry, name, pid, sent),
            )
        except CriuError as error:
            self.options.explain(error, LOG)
            raise
        finally:
            connection.close()
            child.finish(kill=False)

    def _notified(self, entry: Entry, name: str, pid: int, sent: list[Descriptor]) -> None:
        if name == "setup-namespaces" and self.spec.hooks:
            self.setup.runtime_hooks(pid)
        elif name == "orphan-pts-master" and sent:
            _hand_over(self.request.console_socket, sent[0].fileno())
        elif name == "post-restore":
            # Before it runs: a caller that sees it run finds it in the state.
            self.pid, self.pidfd = pid, PidFd.of(pid)
            if not self.setup.save(entry, pid):
                raise PyruncError("the restored process died")


def _hand_over(console_socket: int, master: int) -> None:
    if console_socket < 0:
        return
    with socket(AF_UNIX, SOCK_STREAM, 0, os.dup(console_socket)) as connection:
        rights.send(connection, b"/dev/ptmx", master)


def _own_cgroups(pid: int) -> list[rpc.Field]:
    """CRIU's cgroups: the processes are restored there, wherever they were before."""
    fields = []
    path = f"/proc/{pid}/cgroup"
    with (
        reported("read", "", path),
        open(path, encoding="utf-8", errors="surrogateescape") as file,
    ):
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            for name in names.split(","):
                fields.append(criu.pairs("cg_root", name.removeprefix("name="), path))
    return fields


def mount_points(mounts: Sequence[Mount]) -> list[tuple[str, bool]]:
    """Mount points that CRIU needs in the root filesystem: (path, whether a directory).

    Those on a tmpfs of the container are restored with its content.
    """
    tmpfs = [m.destination.rstrip("/") + "/" for m in mounts if m.type == "tmpfs"]
    found = []
    for mount in mounts:
        if mount.type == "cgroup" or any(mount.destination.startswith(t) for t in tmpfs):
            continue
        bound = criu.is_bind(mount)
        found.append((mount.destination, not bound or os.path.isdir(mount.source or "")))
    return found
