# SPDX-License-Identifier: Apache-2.0
"""What a container needs around its first process, which `create` makes by pyrunc-init and
`restore` by CRIU: its entry, cgroup, state and hooks, and how to undo all that.

First all that can be refused is checked, without any effect; then the cgroup and the resctrl group
are noted in the journal before they are made. A create that fails is rolled back by `Setup.undo`.
"""

from __future__ import annotations

import os
import time
from functools import partial

from pyrunc import cgroups
from pyrunc.cgroups import delegate
from pyrunc.cgroups.join import Joining
from pyrunc.errors import PyruncError
from pyrunc.host.user_namespace import in_user_namespace
from pyrunc.lifecycle import hooks, launch, notify, resctrl, store
from pyrunc.lifecycle.bundle import kept_resources, root_directory
from pyrunc.lifecycle.delete import poststop
from pyrunc.lifecycle.handshake import Child
from pyrunc.lifecycle.request import Request
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import boot_id, process_stat, timestamp
from pyrunc.lifecycle.store import Entry
from pyrunc.spec.model import Spec


class Setup:
    """A container in the making: what it holds, and how to undo it.

    Args:
        request: what the caller wants.
        spec: from `bundle.read_spec`.

    Attributes:
        fds: descriptors that are needed until the first process runs.
        state: saved when the container is complete.
        manager: of its cgroup.
    """

    def __init__(self, request: Request, spec: Spec) -> None:
        self.request = request
        self.spec = spec
        self.fds = launch.Descriptors()
        self.rootfs = root_directory(request.bundle, spec)
        self.layout = cgroups.detect()
        nested = in_user_namespace()
        self.manager = cgroups.new_manager(
            self.layout,
            spec.linux.cgroupsPath if spec.linux else None,
            request.container_id,
            request.cgroup_manager,
            spec.annotations,
            unprivileged=nested or os.geteuid() != 0,
        )
        self.resctrl: resctrl.Group | None = None
        self.resources = spec.linux.resources if spec.linux else None
        # In a user namespace no device node can be made, and a bind-mounted one opens only with
        # the caller's permissions on the host. So the filter may be missing there: bpf(2) is
        # refused outside the initial user namespace, where engines start a rootless runtime.
        self.no_nodes = nested or any(
            ns.type == "user" for ns in (spec.linux.namespaces if spec.linux else ())
        )
        if request.notify:
            request.environment += notify.add_to(spec, f"{request.root}/{request.container_id}")
        self.state = State(
            id=request.container_id,
            ociVersion=spec.ociVersion,
            bundle=request.bundle,
            rootfs=self.rootfs,
            # Sorted, as Go prints a map: `state` is compared with runc's byte by byte.
            annotations=dict(sorted(spec.annotations.items())),
            hooks=spec.raw.get("hooks") or {},
            resources=kept_resources(spec),
            notify=request.notify,
            keyring=request.keyring,
            stdio=[launch.name_of(fd) for fd in request.stdio],
            privatePid=any(
                ns.type == "pid" and not ns.path
                for ns in (spec.linux.namespaces if spec.linux else ())
            ),
            config=request.config,
        )

    def check(self) -> None:
        """Refuse limits that cannot be set, before any effect."""
        self.spec.warnings += self.manager.check(self.resources, self.no_nodes)
        if self.spec.linux and self.spec.linux.intelRdt:
            rdt = self.spec.linux.intelRdt
            self.resctrl = resctrl.plan(rdt, self.request.container_id, resctrl.find())

    @property
    def waits(self) -> bool:
        """Whether the process has to wait first until it has been put into its groups."""
        return self.manager.needs_process or self.resctrl is not None

    @property
    def joins(self) -> int:
        """How many hierarchies the process joins itself."""
        if self.manager.needs_process:
            return 0
        return sum(1 for h in self.manager.cgroup.layout.hierarchies if h.names != ("",))

    def joining(self) -> Joining | None:
        """None where the cgroup is made around the process."""
        return None if self.manager.needs_process else Joining(self.manager.cgroup)

    def begin(self, entry: Entry) -> None:
        """The first effects: the entry's files, the cgroup, the resctrl group."""
        there = [path for path in self.manager.cgroup.directories if os.path.isdir(path)]
        entry.note(cgroup=self.manager.to_dict(), there=there, creator=os.getpid())
        entry.write(store.CONFIG, self.spec.source)
        if not self.manager.needs_process:
            self.manager.create()
            self._limit(entry)
        self._make_resctrl(entry)

    def _make_resctrl(self, entry: Entry) -> None:
        """Noted before it is made, and kept in the state for `delete`."""
        if self.resctrl:
            self.state.resctrl = self.resctrl.to_dict()
            entry.note(resctrl=self.resctrl.to_dict())
            self.resctrl.create()

    def _limit(self, entry: Entry) -> None:
        # Again: now it is known to be ours, with all that will run in it.
        entry.note(cgroup=self.manager.to_dict())
        self.spec.warnings += self.manager.apply(
            self.resources,
            filter_required=not self.no_nodes,
            own_devices=[d.path for d in (self.spec.linux.devices if self.spec.linux else ())],
        )
        self._delegate()

    def _delegate(self) -> None:
        mounts = (m for m in self.spec.mounts if m.destination.startswith("/sys/fs/cgroup"))
        if all("ro" in mount.options for mount in mounts):
            return
        uid = delegate.owner(self.spec)
        if uid is not None and uid != os.geteuid():
            self.manager.delegate(uid)

    def join(self, entry: Entry, pid: int) -> None:
        """Put the process, which waits before its first step, into its groups."""
        if self.manager.needs_process:
            signals = self.request.signals
            self.manager.create(pid, signals.check if signals else lambda: None)
            self._limit(entry)
        if self.resctrl:
            self.resctrl.join(pid)

    def runtime_hooks(self, pid: int) -> None:
        wanted = self.spec.hooks
        assert wanted is not None
        signals = self.request.signals
        for name, chosen, status in (
            # config.md has prestart after the call of `start`, runtime.md before it: decision 50.
            ("prestart", wanted.prestart, "created"),
            ("createRuntime", wanted.createRuntime, "creating"),
        ):
            hooks.run_hooks(name, chosen, hooks.oci_state(self.state, status, pid), signals)

    def save(self, entry: Entry, pid: int) -> bool:
        """Save the state of a container with this init; False if that is dead."""
        found = process_stat(pid)
        if found is None:
            return False
        self.state.pid = pid
        self.state.startTime = found[1]
        self.state.boot = boot_id()
        self.state.created = timestamp(time.time_ns())
        self.state.cgroup = self.manager.to_dict()
        entry.save(self.state)
        return True

    def undo(self, entry: Entry, child: Child | None, error: BaseException) -> None:
        """Roll back, in reverse, each thing whatever becomes of the others. The first error is the
        one to report; what cannot be undone is left to `delete --force`, which has the journal."""
        # First: the failure may be a lack of descriptors, and the rollback needs some.
        self.fds.close()
        failed: list[Exception] = []
        for action in (
            # Before the process is gone: nobody may find a container that is ending.
            partial(entry.unlink, store.STATE),
            partial(_end, child),
            partial(_undo, self.resctrl),
            self.manager.undo,
        ):
            try:
                action()
            except (PyruncError, OSError) as second:
                failed.append(second)
        if not failed:  # else the journal is still needed
            try:
                entry.remove()
            except PyruncError as second:
                failed.append(second)
        if failed and isinstance(error, PyruncError):
            error.hint = "; ".join(
                [*([error.hint] if error.hint else []),
                 *(f"cleaning up failed too: {second}" for second in failed),
                 "pyrunc delete --force"]
            )  # fmt: skip
        for warning in poststop(self.state, self.request.signals):
            error.add_note(warning)


def _undo(group: resctrl.Group | None) -> None:
    if group is not None:
        group.undo()


def _end(child: Child | None) -> None:
    if child is not None:
        child.kill()
        child.close()
