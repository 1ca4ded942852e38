# SPDX-License-Identifier: Apache-2.0
"""`create`: from a bundle to a container that waits for `start`.

First everything that can be refused is refused, with nothing touched; then each outside effect
is noted in the journal before it happens; what fails after that is undone in reverse.
"""

from __future__ import annotations

import os
import time

from pyrunc import cgroups, jsontext
from pyrunc.cgroups import delegate
from pyrunc.cgroups.join import Joining
from pyrunc.errors import PyruncError
from pyrunc.host.probe import probe
from pyrunc.host.user_namespace import in_user_namespace
from pyrunc.kernel import process as kernel
from pyrunc.lifecycle import hooks, launch, outside, store
from pyrunc.lifecycle.bundle import kept_resources, root_directory
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import boot_id, process_stat, timestamp
from pyrunc.plan import compile as compiler
from pyrunc.plan import wire
from pyrunc.plan.context import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.lifecycle.handshake import Child
    from pyrunc.lifecycle.request import Request
    from pyrunc.lifecycle.resctrl import Group
    from pyrunc.lifecycle.store import Entry
    from pyrunc.plan.context import Plan
    from pyrunc.spec.model import Spec


def create(request: Request, spec: Spec) -> tuple[int, int]:
    """Create a container and leave it waiting for `start`.

    Args:
        request: what the caller wants.
        spec: from `bundle.read_spec`.

    Returns:
        The pid of its init and a pidfd that the caller owns.

    Raises:
        PyruncError: nothing of it is left.
    """
    return Creation(request, spec).run()


class Creation:
    """One creation under way: what it holds, and how to undo it."""

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
        self.resctrl: Group | None = None
        self.resources = spec.linux.resources if spec.linux else None
        # Below a user namespace no device node can be made, and one that is bound in opens only
        # with the rights that the caller has on the host. There the filter may be missing:
        # bpf(2) is refused outside the first user namespace, where engines put a rootless us.
        self.no_nodes = nested or any(
            ns.type == "user" for ns in (spec.linux.namespaces if spec.linux else ())
        )
        if request.notify:
            from pyrunc.lifecycle import notify

            request.environment += notify.add_to(spec, f"{request.root}/{request.container_id}")
        self.state = State(
            id=request.container_id,
            ociVersion=spec.ociVersion,
            bundle=request.bundle,
            rootfs=self.rootfs,
            # Sorted, as Go prints a map: what compares `state` with runc's compares bytes.
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
        """Refuse limits that cannot be set, before anything is done."""
        self.spec.warnings += self.manager.check(self.resources, self.no_nodes)
        if self.spec.linux and self.spec.linux.intelRdt:
            from pyrunc.lifecycle import resctrl

            rdt = self.spec.linux.intelRdt
            self.resctrl = resctrl.plan(rdt, self.request.container_id, resctrl.find())

    def run(self) -> tuple[int, int]:
        try:
            self.check()
            plan = self._compile()
            joined, mounts = self._from_host(plan)
            # Everything that could be refused has been; from here on there are effects.
            with store.create_entry(self.request.root, self.request.container_id) as entry:
                return self._with_entry(entry, plan, joined, mounts)
        finally:
            self.fds.close()

    def _compile(self) -> Plan:
        seccomp, flags = self._seccomp()
        options = Options(
            container_id=self.request.container_id,
            bundle=self.request.bundle,
            rootfs=self.rootfs,
            cgroup_paths=self.manager.cgroup.by_controller,
            cgroup_joins=self._joins(),
            cgroup_waits=self.manager.needs_process or self.resctrl is not None,
            keyring=self.request.keyring,
            no_pivot=self.request.no_pivot,
            seccomp=seccomp,
            seccomp_flags=flags,
            hook_state=self._hook_state("creating"),
            started_state=self._hook_state("created"),
            console=bool(self.spec.process and self.spec.process.terminal),
            environment=self.request.environment,
        )
        return compiler.compile_plan(self.spec, probe(self.layout), options)

    def _make_resctrl(self, entry: Entry) -> None:
        """Noted before it is made, and kept in the state for `delete`."""
        if self.resctrl:
            self.state.resctrl = self.resctrl.to_dict()
            entry.note(resctrl=self.resctrl.to_dict())
            self.resctrl.create()

    def joining(self) -> Joining | None:
        """None where the cgroup is made around the process."""
        return None if self.manager.needs_process else Joining(self.manager.cgroup)

    def _joins(self) -> int:
        if self.manager.needs_process:
            return 0
        return sum(1 for h in self.manager.cgroup.layout.hierarchies if h.names != ("",))

    def _seccomp(self) -> tuple[bytes | None, int]:
        profile = self.spec.linux.seccomp if self.spec.linux else None
        if profile is None or not profile.defaultAction:
            return None, 0
        from pyrunc.lifecycle import filters

        return filters.compiled(self.spec, profile, self.request.root)

    def _listener(self, pid: int, fd: int) -> None:
        from pyrunc.lifecycle import filters

        filters.hand_over(self.spec, hooks.oci_state(self.state, "creating", pid), pid, fd)

    def _hook_state(self, status: str) -> tuple[str, str]:
        """The state document around its pid, which only the process inside knows."""
        if not self.spec.hooks:
            return "", ""
        text = jsontext.dumps(hooks.oci_state(self.state, status, 0))
        before, _, after = text.partition('"pid":0')
        return before + '"pid":', after

    def _from_host(self, plan: Plan) -> tuple[list[int], list[int]]:
        """Descriptors that the container brings along: namespaces, and id-mapped mounts."""
        process, linux = self.spec.process, self.spec.linux
        labelled = process and (process.apparmorProfile or process.selinuxLabel)
        if not (plan.joined or plan.idmapped or labelled or (linux and linux.mountLabel)):
            return [], []
        from pyrunc.lifecycle import inputs

        inputs.check_labels(self.spec)
        return (
            inputs.open_namespaces(self.spec, plan, self.fds.keep),
            inputs.idmapped_mounts(plan, self.fds.keep),
        )

    def _with_entry(
        self, entry: Entry, plan: Plan, joined: list[int], mounts: list[int]
    ) -> tuple[int, int]:
        child: Child | None = None
        try:
            self.begin(entry)
            os.mkfifo(store.FIFO, 0o600, dir_fd=entry.fd)
            if self.request.notify:
                os.mkdir("notify", 0o755, dir_fd=entry.fd)
            child = self._spawn(entry, plan, joined, mounts)
            self._serve(entry, child)
            self._commit(entry, child)
            pidfd, child.pidfd = child.pidfd, -1
            child.close()
            return child.pid, pidfd
        except BaseException as error:
            self.undo(entry, child, error)
            raise

    def begin(self, entry: Entry) -> None:
        """The first effects: the entry's files, the cgroup, the resctrl group."""
        there = [path for path in self.manager.cgroup.directories if os.path.isdir(path)]
        entry.note(cgroup=self.manager.to_dict(), there=there, creator=os.getpid())
        entry.write(store.CONFIG, self.spec.source)
        if not self.manager.needs_process:
            self.manager.create()
            self._limit(entry)
        self._make_resctrl(entry)

    def _limit(self, entry: Entry) -> None:
        # Now it is ours, with all that will run in it.
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
        """The process waits, with nothing done yet."""
        if self.manager.needs_process:
            signals = self.request.signals
            self.manager.create(pid, signals.check if signals else lambda: None)
            self._limit(entry)
        if self.resctrl:
            self.resctrl.join(pid)

    def _spawn(self, entry: Entry, plan: Plan, joined: list[int], mounts: list[int]) -> Child:
        keep = self.fds.keep
        # Open for both, so that it never ends; the reader that remains is pyrunc-init.
        fifo = keep(os.open(store.FIFO, os.O_RDWR | os.O_CLOEXEC, dir_fd=entry.fd))
        joining = self.joining()
        cgroup = joining.spawn_fd() if joining else -1
        if cgroup >= 0:
            keep(cgroup)
        joins = [keep(fd) for fd in joining.fds()] if joining else []
        reader, writer = self._hook_pipe()
        return launch.launch(
            plan,
            self.fds,
            stdio=self.request.stdio,
            first_fd=3 + self.request.preserve_fds,
            cgroup=cgroup,
            named={
                wire.FIFO: fifo,
                wire.HOOK_OUTPUT: writer,
                wire.CONSOLE: self.request.console_socket,
            },
            free=[*joined, *joins, *mounts],
            hook_output=reader,
            signals=self.request.signals,
        )

    def _hook_pipe(self) -> tuple[int, int]:
        if not (self.spec.hooks and self.spec.hooks.createContainer):
            return -1, -1
        reader, writer = kernel.pipe("run hooks")
        return reader, self.fds.keep(writer)

    def _serve(self, entry: Entry, child: Child) -> None:
        process = self.spec.process
        assert process is not None
        child.until_parked(
            {
                "cgroup": lambda: self.join(entry, child.pid),
                "maps": lambda: outside.write_maps(self.spec, child.pid),
                "clocks": lambda: outside.write_clocks(self.spec, child.pid),
                "network": lambda: outside.move_devices(self.spec, child.pid),
                "hooks": lambda: self.runtime_hooks(child.pid),
                "limits": lambda: outside.set_limits(process, child.pid),
            },
            lambda: self._why_dead(child),
            lambda fd: self._listener(child.pid, fd),
        )

    def _why_dead(self, child: Child) -> str:
        if self.manager.cgroup.oom_kills():
            return "container init was OOM-killed (memory limit too low?)"
        if child.killed_by() == 31:  # SIGSYS
            from pyrunc.lifecycle import filters

            return filters.killed(self.spec)
        return "container init died before it was ready"

    def runtime_hooks(self, pid: int) -> None:
        wanted = self.spec.hooks
        assert wanted is not None
        signals = self.request.signals
        for name, chosen, status in (
            # config.md has prestart after `start` was called, runtime.md before: decision 50.
            ("prestart", wanted.prestart, "created"),
            ("createRuntime", wanted.createRuntime, "creating"),
        ):
            hooks.run_hooks(name, chosen, hooks.oci_state(self.state, status, pid), signals)

    def _commit(self, entry: Entry, child: Child) -> None:
        """Save the state: from here on the container exists and can be started."""
        if not self.save(entry, child.pid):
            raise PyruncError(self._why_dead(child))
        child.release()

    def save(self, entry: Entry, pid: int) -> bool:
        """Save the state of a container with that init; False if it is dead."""
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
        """In reverse. The first error is the one to tell; what cannot be undone is left to
        `delete --force`, which has the journal."""
        # First: the lack of descriptors may be what has failed, and an import needs one as well.
        self.fds.close()
        entry.unlink(store.STATE)
        if child is not None:
            child.kill()
            child.close()
        try:
            self.manager.undo()
            if self.resctrl:
                self.resctrl.undo()
            entry.remove()
        except (PyruncError, OSError) as second:
            if isinstance(error, PyruncError):
                error.hint = f"cleaning up failed too: {second}; pyrunc delete --force"
        from pyrunc.lifecycle.delete import poststop

        poststop(self.state, self.request.signals)
