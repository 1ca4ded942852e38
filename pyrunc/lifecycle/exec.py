# SPDX-License-Identifier: Apache-2.0
"""`exec`: a further process of a container.

What differs from `create`: no mounts, cgroup, entry, journal or hooks are made; the plan
(`plan/joining.py`) enters the namespaces of the container's init through one pidfd, untraceable,
with the filter, umask and limits of the stored config.json; it may get a cgroup below the
container's; and it has to be ready within a time, as a paused container's would wait for ever.

No lock is taken: many may be in progress at once. That they join this container is ensured by the
pidfd of its init, opened and then checked: joining the namespaces of a process that has ended
fails.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from signal import SIGKILL, SIGSYS
from time import monotonic, sleep

from pyrunc import cgroups
from pyrunc.cgroups.join import Joining, cgroup_of
from pyrunc.cgroups.sub_cgroup import SubCgroup, existing
from pyrunc.errors import (
    CgroupError,
    ContainerNotRunning,
    KernelError,
    StartError,
    StateError,
    UsageError,
    reported,
)
from pyrunc.host.probe import probe
from pyrunc.kernel.descriptor import opened
from pyrunc.lifecycle import hooks, launch, parent_setup, seccomp
from pyrunc.lifecycle.handshake import Answers, Child
from pyrunc.lifecycle.host_fds import check_labels
from pyrunc.lifecycle.resctrl import Group
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import PAUSED, STOPPED, is_alive, open_pidfd, status_of
from pyrunc.lifecycle.store import Entry
from pyrunc.plan import joining, wire
from pyrunc.plan.context import Options
from pyrunc.plan.plan import Plan
from pyrunc.spec import load
from pyrunc.spec.model import Process, Spec
from pyrunc.spec.model_linux import Namespace
from pyrunc.spec.model_resources import Resources

_LOOKS, _PAUSE = 50, 0.01
# Engines give up after 30 to 240.
_READY_SECONDS = 120.0
STOPPED_TEXT = "cannot exec in a stopped container"


@dataclass
class ExecRequest:
    """What the caller of `exec` wants besides the process object.

    Args:
        stdio: descriptors for 0, 1, 2.
        console_socket: connected socket that gets the terminal's master, or -1.
        preserve_fds: how many descriptors from 3 on the process keeps.
        cgroup: controller -> path below the container's cgroup; "" for all of them.
        own_cgroup: put it into a new cgroup below the container's, `Child.sub_cgroup`.
        limits: of that cgroup.
        ignore_paused: join a paused container too; the process runs when it is resumed.
        deadline: of time.monotonic(), for getting ready; None for a generous one.
        signals: those that end the start, if they are caught.
    """

    stdio: tuple[int, int, int] = (0, 1, 2)
    console_socket: int = -1
    preserve_fds: int = 0
    cgroup: dict[str, str] | None = None
    own_cgroup: bool = False
    limits: Resources | None = None
    ignore_paused: bool = False
    deadline: float | None = None
    signals: Signals | None = None

    def __post_init__(self) -> None:
        self.own_cgroup = self.own_cgroup or self.limits is not None


def check_status(entry: Entry, state: State, ignore_paused: bool) -> str:
    """Check that the container can take a process.

    Returns:
        Its status.

    Raises:
        ContainerNotRunning: it has stopped.
        StateError: it is paused.
    """
    status = status_of(entry, state)
    if status == STOPPED:
        raise ContainerNotRunning(STOPPED_TEXT)
    if status == PAUSED and not ignore_paused:
        raise StateError("cannot exec in a paused container (use --ignore-paused to override)")
    return status


def join(entry: Entry, state: State, spec: Spec, request: ExecRequest) -> Child:
    """Start a process in a container, up to where only execve is left.

    Args:
        entry: of the container.
        state: its state.
        spec: from `joining.for_exec`: the container's, with the process to run.
        request: what else the caller wants.

    Returns:
        The process, parked: `go` lets it run, `kill` undoes it.

    Raises:
        ContainerNotRunning: the container has stopped.
        StateError: it is paused.
        PyruncError: anything else; nothing is left of the process.
    """
    status = check_status(entry, state, request.ignore_paused)
    return _Joining(entry, state, spec, request, status == PAUSED).run()


class _Joining:
    """The start of one process in a container: what it holds, and how to undo it."""

    def __init__(
        self,
        entry: Entry,
        state: State,
        spec: Spec,
        request: ExecRequest,
        paused: bool,
    ) -> None:
        self.entry = entry
        self.state = state
        self.spec = spec
        self.request = request
        self.paused = paused
        affinity = self.process.execCPUAffinity
        # It is moved into the cgroup later where it must not begin there.
        self.waits = paused or bool(affinity and affinity.initial)
        self.fds = launch.Descriptors()
        self.deadline = self._deadline()
        self.cgroup = cgroups.open_cgroup(state.cgroup)
        if request.cgroup:
            self.cgroup = existing(self.cgroup, request.cgroup)
        self.killed = False
        # Only its second stage is put into the cgroup, which has no room for two processes.
        self.late = False
        self.sub_cgroup: SubCgroup | None = None
        if request.limits is not None and not self.cgroup.exists:
            raise UsageError("limits: the container has no cgroup")
        # Without a cgroup there is none below it either.
        if request.own_cgroup and self.cgroup.exists:
            try:
                self.sub_cgroup = load.with_document(
                    "limits", SubCgroup, self.cgroup, request.limits
                )
            except CgroupError:
                if not is_alive(state):  # and its cgroup is gone too
                    raise ContainerNotRunning(STOPPED_TEXT) from None
                raise
            self.cgroup = self.sub_cgroup.cgroup
        self.joining = Joining(self.cgroup)

    @property
    def process(self) -> Process:
        assert self.spec.process is not None
        return self.spec.process

    def run(self) -> Child:
        try:
            child = self._run()
        except BaseException:
            if self.sub_cgroup:
                self.sub_cgroup.end()
            raise
        child.sub_cgroup = self.sub_cgroup
        return child

    def _run(self) -> Child:
        try:
            return self._served(self._own_cgroup)
        except KernelError as error:
            another = self._another_cgroup(error)
            if another is None:
                raise
        return self._served(another)

    def _served(self, cgroup: Callable[[], tuple[int, list[int]]]) -> Child:
        try:
            child = self._start(cgroup)
        finally:
            self.fds.close()
        try:
            self._serve(child)
        except BaseException as error:
            child.kill()
            child.close()
            # ESRCH: its init is gone; ENOMEM: its pid namespace takes no more processes.
            gone = isinstance(error, StartError) and error.errno in (errno.ESRCH, errno.ENOMEM)
            if gone or self.killed or is_unanswered(error):
                refuse_if_ending(self.state)
            raise
        return child

    def _start(self, cgroup: Callable[[], tuple[int, list[int]]]) -> Child:
        # Certainly of the init that the state names.
        init = open_pidfd(self.state)
        if init is None:
            raise ContainerNotRunning(STOPPED_TEXT)
        target = self.fds.keep(init)
        # A frozen cgroup stops what is started in it at once, and this process until that executes.
        spawned, joins = (-1, []) if self.waits or self.late else cgroup()
        plan = self._compile(len(joins))
        named = {wire.CONSOLE: self.request.console_socket}
        if self.process.apparmorProfile or self.process.selinuxLabel:
            check_labels(self.spec)
            with reported("open", "open", "/proc"):
                named[wire.PROCFS] = self.fds.keep(opened("/proc", os.O_PATH))
        return launch.Launch(
            plan,
            self.fds,
            stdio=self.request.stdio,
            preserve_fds=self.request.preserve_fds,
            cgroup=spawned,
            named=named,
            # Init comes last, twice, as each join closes its copy.
            free=[*joins, target, target],
            signals=self.request.signals,
            deadline=self.deadline,
        ).start()

    def _own_cgroup(self) -> tuple[int, list[int]]:
        return self.fds.join(self.joining)

    def _another_cgroup(self, error: KernelError) -> Callable[[], tuple[int, list[int]]] | None:
        if error.errno == errno.EAGAIN and error.syscall == "clone3":
            # pids.max has no room for both stages. The first one stays outside, and the second
            # is moved in: a move is not refused by the limit.
            forks = any(ns.type in ("pid", "time") for ns in self._namespaces())
            self.late = forks and not self.waits
            self.joining = Joining(self.cgroup)  # the failed clone3 has joined none
            return self._own_cgroup if self.late else None
        if isinstance(error, CgroupError):
            # The container has moved its processes and removed its own cgroup.
            gone = error.errno == errno.ENOENT and self.cgroup.layout.kind == "v2"
            chosen = self.sub_cgroup or self.request.cgroup
            return self._cgroup_of_init if gone and not chosen else None
        if error.syscall != "clone3":
            return None
        if self.sub_cgroup:
            # Nowhere else: its limits would not apply there.
            if error.errno != errno.EOPNOTSUPP:
                return None
            # Another exec with limits has made the parent cgroup a threaded domain in between.
            self.sub_cgroup.follow()
            return self._own_cgroup
        # The cgroup has delegated its controllers, and takes no process itself (cgroup-v2.rst, "No
        # Internal Process Constraint"): the one to which init has moved does.
        return self._cgroup_of_init if error.errno == errno.EBUSY else None

    def _cgroup_of_init(self) -> tuple[int, list[int]]:
        spawned = self.fds.keep(cgroup_of(self.cgroup, self.state.pid))
        if self.cgroup.layout.kind == "v2":
            return spawned, []
        return spawned, [self.fds.keep(fd) for fd in self.joining.fds()]

    def _namespaces(self) -> Sequence[Namespace]:
        return self.spec.linux.namespaces if self.spec.linux else ()

    def _compile(self, joins: int) -> Plan:
        program, flags = seccomp.compiled(self.spec, self.entry.root)
        options = Options(
            container_id=self.entry.container_id,
            bundle=self.state.bundle,
            rootfs=self.state.rootfs,
            cgroup_joins=joins,
            cgroup_waits=self.waits,
            keyring=self.state.keyring,
            seccomp=program,
            seccomp_flags=flags,
            console=self.process.terminal,
            for_exec=True,
        )
        return joining.compile_joining(self.spec, probe(self.cgroup.layout), options)

    def _serve(self, child: Child) -> None:
        steps = {
            "cgroup": lambda: self.joining.move(child.pid),
            "limits": lambda: parent_setup.set_limits(self.process, child.pid),
        }
        if self.late:
            steps["forked"] = steps["cgroup"]
        child.run_until_ready(
            Answers(
                steps,
                lambda: self._why_dead(child),
                lambda fd: self._listener(child.pid, fd),
            ),
            self.deadline,
        )
        if self.state.resctrl:
            Group.from_dict(self.state.resctrl).join(child.pid)

    def _deadline(self) -> float | None:
        if self.request.deadline is not None or self.paused:
            return self.request.deadline
        return monotonic() + _READY_SECONDS

    def _listener(self, pid: int, fd: int) -> None:
        document = hooks.oci_state(self.state, "running", self.state.pid)
        seccomp.hand_over(self.spec, document, pid, fd)

    def _why_dead(self, child: Child) -> str:
        signal = child.killed_by()
        if signal == SIGSYS:
            return seccomp.killed(self.spec)
        self.killed = signal == SIGKILL
        return f"the process died before it was ready{f' (signal {signal})' if signal else ''}"


def is_unanswered(error: BaseException) -> bool:
    """Whether a process died before it had read our answer."""
    return isinstance(error, KernelError) and error.errno == errno.EPIPE


def refuse_if_ending(state: State) -> None:
    """Report that the container has stopped if its init is dead, or about to be.

    What ends the container also ends a process that is joining it, maybe earlier. To be called
    when that one has been reaped: its zombie holds up the end of its pid namespace.

    Raises:
        ContainerNotRunning: it has stopped.
    """
    for _ in range(_LOOKS):
        if not is_alive(state):
            raise ContainerNotRunning(STOPPED_TEXT)
        sleep(_PAUSE)
