# SPDX-License-Identifier: Apache-2.0
"""`create`: from a bundle to a container that waits for `start`."""

from __future__ import annotations

import os
from signal import SIGSYS

from pyrunc import jsontext
from pyrunc.errors import PyruncError, reported
from pyrunc.host.probe import probe
from pyrunc.kernel.calls import pipe
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import hooks, host_fds, notify, parent_setup, seccomp, store
from pyrunc.lifecycle.handshake import Answers, Child
from pyrunc.lifecycle.launch import Launch
from pyrunc.lifecycle.request import Request
from pyrunc.lifecycle.setup import Setup
from pyrunc.lifecycle.store import Entry
from pyrunc.plan import wire
from pyrunc.plan.compile import compile_plan
from pyrunc.plan.context import Options
from pyrunc.plan.plan import Plan
from pyrunc.spec.model import Spec


def create(request: Request, spec: Spec) -> tuple[int, PidFd]:
    """Create a container and leave it waiting for `start`.

    Args:
        request: what the caller wants.
        spec: from `bundle.read_spec`.

    Returns:
        The pid of its init, and a pidfd.

    Raises:
        PyruncError: nothing is left of it.
    """
    setup = Setup(request, spec)
    try:
        setup.check()
        plan = compiled(setup)
        namespaces, mounts = host_fds.of_plan(spec, plan, setup.fds.keep)
        # All that can be refused has been checked; from here on there are effects.
        with store.create_entry(request.root, request.container_id) as entry:
            return _make(setup, entry, plan, namespaces, mounts)
    finally:
        setup.fds.close()


def _make(
    setup: Setup, entry: Entry, plan: Plan, namespaces: list[int], mounts: list[int]
) -> tuple[int, PidFd]:
    """Everything with an effect, or nothing."""
    child: Child | None = None
    try:
        setup.begin(entry)
        child = _launch(setup, entry, plan, namespaces, mounts).start()
        child.run_until_ready(_answers(setup, entry, child))
        # From here on the container exists and can be started.
        if not setup.save(entry, child.pid):
            raise PyruncError(_why_dead(setup, child))
        child.release()
        return child.pid, child.take_pidfd()
    except BaseException as error:
        setup.undo(entry, child, error)
        raise


def compiled(setup: Setup, explained: bool = False) -> Plan:
    """The plan of a container, for this host.

    Args:
        setup: what it needs around its first process.
        explained: it is to be read, not carried out: with its reasons, and no filter is kept.

    Raises:
        PyruncError: its configuration cannot be carried out.
    """
    request, spec = setup.request, setup.spec
    program, flags = seccomp.compiled(spec, request.root, keep=not explained)
    options = Options(
        container_id=request.container_id,
        bundle=request.bundle,
        rootfs=setup.rootfs,
        cgroup_paths=setup.manager.cgroup.by_controller,
        cgroup_joins=setup.joins,
        cgroup_waits=setup.waits,
        keyring=request.keyring,
        no_pivot=request.no_pivot,
        seccomp=program,
        seccomp_flags=flags,
        hook_state=_hook_state(setup, "creating"),
        started_state=_hook_state(setup, "created"),
        console=bool(spec.process and spec.process.terminal),
        environment=request.environment,
        explained=explained,
    )
    return compile_plan(spec, probe(setup.layout), options)


def _hook_state(setup: Setup, status: str) -> tuple[str, str]:
    """The state document around its pid, which pyrunc-init fills in."""
    if not setup.spec.hooks:
        return "", ""
    text = jsontext.dumps(hooks.oci_state(setup.state, status, 0))
    before, _, after = text.partition('"pid":0')
    return before + '"pid":', after


def _launch(
    setup: Setup, entry: Entry, plan: Plan, namespaces: list[int], mounts: list[int]
) -> Launch:
    request, keep = setup.request, setup.fds.keep
    with reported("make", "mkfifo", f"{entry.path}/{store.FIFO}"):
        os.mkfifo(store.FIFO, 0o600, dir_fd=entry.fd)
    if request.notify:
        with reported("make", "mkdir", f"{entry.path}/{notify.DIRECTORY}"):
            os.mkdir(notify.DIRECTORY, 0o755, dir_fd=entry.fd)
    with reported("open", "open", f"{entry.path}/{store.FIFO}"):
        # Open for both, so that it never ends; the reader that remains is pyrunc-init.
        fifo = keep(opened(store.FIFO, os.O_RDWR, dir_fd=entry.fd))
    cgroup, joins = setup.fds.join(setup.joining())
    reader, writer = Descriptor(), Descriptor()
    if setup.spec.hooks and setup.spec.hooks.createContainer:
        reader, writer = pipe("run hooks")
    return Launch(
        plan,
        setup.fds,
        stdio=request.stdio,
        preserve_fds=request.preserve_fds,
        cgroup=cgroup,
        named={
            wire.FIFO: fifo,
            wire.HOOK_OUTPUT: keep(writer),
            wire.CONSOLE: request.console_socket,
        },
        free=[*namespaces, *joins, *mounts],
        hook_output=reader,
        signals=request.signals,
    )


def _answers(setup: Setup, entry: Entry, child: Child) -> Answers:
    spec, process = setup.spec, setup.spec.process
    assert process is not None
    return Answers(
        {
            "cgroup": lambda: setup.join(entry, child.pid),
            "maps": lambda: parent_setup.write_maps(spec, child.pid),
            "clocks": lambda: parent_setup.write_clocks(spec, child.pid),
            "network": lambda: parent_setup.move_devices(spec, child.pid),
            "hooks": lambda: setup.runtime_hooks(child.pid),
            "limits": lambda: parent_setup.set_limits(process, child.pid),
        },
        lambda: _why_dead(setup, child),
        lambda fd: _hand_over(setup, child.pid, fd),
    )


def _hand_over(setup: Setup, pid: int, listener: int) -> None:
    document = hooks.oci_state(setup.state, "creating", pid)
    seccomp.hand_over(setup.spec, document, pid, listener)


def _why_dead(setup: Setup, child: Child) -> str:
    if setup.manager.cgroup.oom_kills():
        return "container init was OOM-killed (memory limit too low?)"
    if child.killed_by() == SIGSYS:
        return seccomp.killed(setup.spec)
    return "container init died before it was ready"
