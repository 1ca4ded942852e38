# SPDX-License-Identifier: Apache-2.0
"""`checkpoint`: store a running container as an image, by CRIU."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyrunc import cgroups, jsontext, keywords
from pyrunc.errors import CriuError, KernelError, StateError, UsageError, reported
from pyrunc.kernel import criu as rpc
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.keywords import CheckpointKeywords
from pyrunc.lifecycle import criu, exec_process, launch
from pyrunc.lifecycle.handshake import Answers
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import CREATED, STOPPED, status_of
from pyrunc.lifecycle.store import Entry
from pyrunc.plan import criu as plan_criu
from pyrunc.spec.model import Spec

LOG = "dump.log"


@dataclass
class CheckpointOptions:
    """What only a checkpoint may ask for.

    Args:
        leave_running: do not end the container.
        pre_dump: store the memory only; the container runs on.
        parent_path: an earlier image, relative to this one.
        tcp_skip_in_flight: leave out TCP connections that are being made.
        link_remap: also files that are open but deleted.
        page_server: (address, port) that memory pages are sent to.
        status_fd: descriptor to write a byte to when lazy pages are ready, or -1.
    """

    leave_running: bool = False
    pre_dump: bool = False
    parent_path: str = ""
    tcp_skip_in_flight: bool = False
    link_remap: bool = False
    page_server: tuple[str, int] | None = None
    status_fd: int = -1

    def __post_init__(self) -> None:
        if os.path.isabs(self.parent_path):
            raise UsageError("--parent-path must be relative")

    @property
    def ends(self) -> bool:
        """Whether the container has ended afterwards."""
        return not (self.leave_running or self.pre_dump)

    def fields(self) -> list[rpc.Field]:
        server: list[rpc.Field] | None = None
        if self.page_server:
            server = [(1, self.page_server[0]), (2, self.page_server[1])]
        return rpc.options(
            leave_running=int(self.leave_running or self.pre_dump),
            parent_img=self.parent_path,
            track_mem=int(bool(self.parent_path) or self.pre_dump),
            tcp_skip_in_flight=int(self.tcp_skip_in_flight),
            link_remap=int(self.link_remap),
            page_server=server,
        )


def checkpointed(entry: Entry, image_path: str, given: CheckpointKeywords) -> bool:
    """As `checkpoint`, with a caller's keywords."""
    own = keywords.members(given, CheckpointOptions)
    options = criu.CriuOptions(image_path, **given.get("criu", {}))
    return checkpoint(entry, options, CheckpointOptions(**own))


def checkpoint(entry: Entry, options: criu.CriuOptions, dump: CheckpointOptions) -> bool:
    """Store a container.

    Args:
        entry: of the container.
        options: where and what.
        dump: what else.

    Returns:
        Whether that has ended it, so that it is to be deleted.

    Raises:
        StateError: it neither runs nor is paused.
        CriuError: CRIU refuses; the container continues.
        PyruncError: anything else.
    """
    entry.lock()
    state = entry.state()
    status = status_of(entry, state)
    if status in (CREATED, STOPPED):
        raise StateError(f"Container cannot be checkpointed in {status} state")
    _check(options, dump)
    spec = exec_process.of_container(entry)
    fields = options.fields(spec, LOG) + dump.fields() + _of_container(state, spec)
    directories = options.directories(make=True)
    if not dump.pre_dump:
        fields += _outside(state, spec)
        _describe(options, state)
    _ask(fields, options, dump, directories)
    return dump.ends


def _check(options: criu.CriuOptions, dump: CheckpointOptions) -> None:
    if dump.parent_path:
        # The image's own directory need not be there yet.
        parent = os.path.normpath(f"{options.image_path}/{dump.parent_path}")
        if not os.path.isdir(parent):
            raise KernelError("use as parent image", "stat", 2, parent)
    if dump.status_fd >= 0:
        with reported(f"invalid --status-fd argument {dump.status_fd}", ""):
            os.fstat(dump.status_fd)


def _ask(
    fields: list[rpc.Field],
    options: criu.CriuOptions,
    dump: CheckpointOptions,
    directories: tuple[str, ...],
) -> None:
    started = launch.Descriptors()
    program = ("criu", "swrk", str(criu.first_number()))
    plan = plan_criu.compile_criu(program, criu.search_path(), directories)
    null = started.keep(opened(os.devnull, os.O_RDWR))
    child, connection = criu.start(plan, started, None, [], (null, null, null))

    def notified(name: str, _pid: int, _sent: list[Descriptor]) -> None:
        if name == "status-ready" and dump.status_fd >= 0:
            os.write(dump.status_fd, b"\0")

    try:
        child.run_until_ready(Answers({}, criu.died))
        fields += criu.directory_fields(child.directories)
        child.go()
        rpc.request(connection, rpc.PRE_DUMP if dump.pre_dump else rpc.DUMP, fields, notified)
    except CriuError as error:
        options.explain(error, LOG)
        raise
    finally:
        connection.close()
        # After a pre-dump it waits for the next one, which another process makes.
        child.finish(kill=dump.pre_dump)


def _of_container(state: State, spec: Spec) -> list[rpc.Field]:
    fields = rpc.options(pid=int(state.pid), root=str(state.rootfs))
    freezer = cgroups.open_cgroup(state.cgroup).freezer()
    if freezer:
        fields += rpc.options(freeze_cgroup=freezer)
    for namespace in spec.linux.namespaces if spec.linux else ():
        if namespace.path and namespace.type in criu.EXTERNAL:
            name, key = criu.EXTERNAL[namespace.type]
            path = f"/proc/{state.pid}/ns/{name}"
            with reported("find", "stat", path):
                inode = os.stat(path).st_ino
            fields += rpc.options(external=f"{name}[{inode}]:{key}")
    return fields


def _outside(state: State, spec: Spec) -> list[rpc.Field]:
    """Mounts from outside the container: they are not stored."""
    fields = [criu.pairs("ext_mnt", path, path) for path in criu.external_mounts(spec)]
    directories = _own_tmpfs(state.pid)
    for path in spec.linux.maskedPaths if spec.linux else ():
        # Files are covered by the container's /dev/null, directories by a tmpfs of their own.
        if path not in directories:
            fields.append(criu.pairs("ext_mnt", path, "/dev/null"))
    return fields


def _own_tmpfs(pid: int) -> set[str]:
    """Where a process has a tmpfs; from mountinfo, as links in the container may lead anywhere."""
    path = f"/proc/{pid}/mountinfo"
    with (
        reported("read", "", path),
        open(path, encoding="utf-8", errors="surrogateescape") as file,
    ):
        rows = [line.partition(" - ") for line in file]
    return {first.split()[4] for first, _, last in rows if last.startswith("tmpfs ")}


def _describe(options: criu.CriuOptions, state: State) -> None:
    """What 0, 1 and 2 were when it was created: a restore replaces the pipes among them."""
    text = jsontext.dumps(state.stdio)
    path = f"{options.image_path}/{criu.DESCRIPTORS}"
    with reported("write", "", path), open(path, "w", encoding="utf-8") as file:
        file.write(text)
