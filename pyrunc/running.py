# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a container that exists, beside its life itself (container.py)."""

from __future__ import annotations

import os

from pyrunc import cgroups
from pyrunc.errors import ContainerNotRunning, PyruncError, UsageError
from pyrunc.lifecycle import store
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from pyrunc.cgroups import Cgroup
    from pyrunc.cgroups.stats import Stats
    from pyrunc.limits import Limits
    from pyrunc.observe.events import Events
    from pyrunc.process import Completed, Process

    T = TypeVar("T")


class Running:
    """A container that exists, known by its id and state root.

    Attributes:
        id: its id.
        root: the directory where its state is.
    """

    def __init__(self, root: str, container_id: str) -> None:
        self.id = container_id
        self.root = root

    def _read(self) -> State:
        with store.open_entry(self.root, self.id) as entry:
            return entry.state()

    def pause(self) -> None:
        """Freeze all processes of the container, until `resume`; returns when they stand still.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it is neither created nor running.
            PyruncError: it cannot be frozen, or has no cgroup; it goes on then.
        """
        from pyrunc.lifecycle.pause import pause

        with store.open_entry(self.root, self.id) as entry:
            pause(entry)

    def resume(self) -> None:
        """Let a paused container go on: it is what it was, created or running.

        Raises:
            ContainerNotFound: it has been deleted.
            StateError: it is not paused.
            CgroupError: the kernel refuses.
        """
        from pyrunc.lifecycle.pause import resume

        with store.open_entry(self.root, self.id) as entry:
            resume(entry)

    def update(
        self, limits: Limits | dict[str, Any], *, rdt: dict[str, str] | None = None
    ) -> list[str]:
        """Change limits of the container, all of them or none.

        Args:
            limits: the new ones; what is left out stays as it is. A dict is a resources object
                of the specification, in its units; device rules in it are ignored.
            rdt: of Intel RDT: "l3CacheSchema" and "memBwSchema", as in linux.intelRdt.

        Returns:
            Warnings: what is asked for and not done, a line each.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            SpecError: a value is wrong, or this host's cgroups have no such limit.
            CgroupError: the kernel refuses a value. As with all other errors the old limits
                are in force again; the hint says so where that failed.

        Source: config-linux.md, "Control groups"
        """
        from pyrunc.lifecycle.update import update

        asked = limits if isinstance(limits, dict) else limits.to_resources()
        with store.open_entry(self.root, self.id) as entry:
            return update(entry, asked, rdt or {})

    def stats(self) -> Stats:
        """What the container has used: bytes and nanoseconds, unless an attribute says otherwise.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            PyruncError: it has no cgroup that would count.

        Source: cgroup-v2.rst and cgroup-v1/*.rst of the kernel.
        """
        return self._ask(lambda cgroup: cgroup.stats())

    def events(self, *, interval: float = 5.0) -> Events:
        """What happens in the container from now on: statistics, and kills for want of memory.

        Args:
            interval: seconds between statistics, more than 0.

        Returns:
            An iterator that ends when the container's last process has, with `fileno()` for
            who polls. Its descriptors are closed at its end, by `close` and by `with`.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            UsageError: the interval is none.
            PyruncError: it has no cgroup that would tell.
        """
        from pyrunc.observe.events import Events

        if not interval > 0:
            raise UsageError("duration interval must be greater than 0")
        return self._ask(lambda cgroup: Events(cgroup, interval))

    def processes(self) -> list[int]:
        """The processes of the container, also those that were started into it, as pids of the
        caller's pid namespace; none once it has stopped.

        Raises:
            ContainerNotFound: it has been deleted.
            PyruncError: it has no cgroup to find them by.
            CgroupError: the kernel refuses to list them.
        """
        return cgroups.open_cgroup(self._read().cgroup).pids()

    def _ask(self, question: Callable[[Cgroup], T]) -> T:
        """Ask the cgroup of a container that has not stopped, nor stops meanwhile."""
        state = self._read()
        stopped = ContainerNotRunning(f"container with id {self.id} is not running")
        if not is_alive(state):
            raise stopped
        try:
            return question(cgroups.open_cgroup(state.cgroup))
        except PyruncError:
            if is_alive(state):
                raise
            raise stopped from None

    def popen(self, args: Sequence[str] = (), **options: Any) -> Process:
        """Start a further process in the container, in the shape of subprocess.Popen.

        Args:
            args: the program and its arguments; it is looked up in the container.
            options:
                stdin, stdout, stderr: None to share the caller's, a descriptor or file,
                or pyrunc.PIPE, pyrunc.DEVNULL, pyrunc.STDOUT;
                terminal: give it one; without a console_socket the process's `terminal` is
                its master;
                env (``NAME=value``, or a dict; added), cwd, uid, gid, groups, capabilities,
                no_new_privileges, selinux_label, apparmor_profile: what differs from the
                container's own process (`pyrunc.lifecycle.joiner.Changes`);
                process: instead of all those the whole process object, as a dict or the path
                of a JSON file;
                own_cgroup: give it a cgroup below the container's, so that `kill` and a
                time-out end all that it has started;
                limits: such a cgroup with limits of its own, in the form that `update` takes; on
                cgroup v2 the kernel has only cpus, cpuset and pids for that, on v1 none of block
                devices and network. Meanwhile the container's cannot be updated to less;
                cgroup: a dict, controller or "" -> path of an existing cgroup below the
                container's;
                console_socket, pidfd_socket, pid_file, preserve_fds: as for `create`;
                ignore_paused: in a paused container too: it runs after `resume`;
                detached: nobody attends to it: a terminal then needs a console_socket.

        Returns:
            The process; it may have ended already.

        Raises:
            ContainerNotFound, ContainerNotRunning: there is no container to join.
            StateError: it is paused.
            SpecError: what is asked for is wrong.
            StartError: it could not be started; nothing of it is left.
        """
        from pyrunc.popen import popen

        return popen(self.root, self.id, args, **options)

    def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes | None = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> Completed:
        """Run a process in the container and wait for it, in the shape of subprocess.run.

        Args:
            args: the program and its arguments.
            input: bytes for its standard input, which is a pipe then.
            capture_output: return what it writes to stdout and stderr.
            timeout: seconds, after which it is killed with all that it has started.
            check: raise if its exit code is not 0.
            options: as for `popen`.

        Returns:
            How it ended, and what it wrote.

        Raises:
            ExecTimeout: it ran out of time (a TimeoutError).
            ExecFailed: with `check`, its exit code is not 0.
            PyruncError: as `popen`.
        """
        from pyrunc.popen import execute

        options |= {"input": input, "capture_output": capture_output, "timeout": timeout}
        return execute(self.root, self.id, args, check=check, **options)

    def attend(
        self,
        args: Sequence[str] = (),
        *,
        warn: Callable[[str], None] = lambda _: None,
        **options: Any,
    ) -> int:
        """Run a process in the foreground: with the caller's terminal, if it is to have one.

        For the main thread: the process's signals go to it until it ends.

        Args:
            args: the program and its arguments.
            warn: called with each warning, once the process runs.
            options: as for `popen`, but for console_socket.

        Returns:
            Its exit code, 128 + signal where a signal ended it.

        Raises:
            PyruncError: as `popen`.
        """
        from pyrunc.lifecycle.foreground import Pipes, Terminal, attend
        from pyrunc.lifecycle.signals import Signals

        if options.get("console_socket"):
            raise UsageError("cannot use console socket if runc will not detach or allocate tty")
        signals = Signals()
        pipes = Pipes()
        streams: Terminal | Pipes = pipes
        stdin, stdout, stderr = pipes.stdio
        options |= {"stdin": stdin, "stdout": stdout, "stderr": stderr, "signals": signals}
        try:
            process = self.popen(args, **options)
            try:
                for warning in process.warnings:
                    warn(warning)
                if process.terminal:
                    pipes.restore()
                    streams = Terminal(os.dup(process.terminal.fileno()))
                else:
                    pipes.started()
                code = attend(process, signals, streams).code
            except BaseException:
                process.kill()  # nobody attends to it
                process.wait()
                raise
        finally:
            streams.restore()
            signals.restore()
        assert code is not None  # it was our child
        return code

    def checkpoint(
        self, image_path: str, *, criu: dict[str, Any] | None = None, **dump: Any
    ) -> list[str]:
        """Store the container as an image, with CRIU; it then is deleted, unless it runs on.

        Args:
            image_path: directory of the image; made if need be.
            criu: what a restore may ask for too, as `lifecycle.criu.Options` takes it.
            dump: leave_running, pre_dump, parent_path, tcp_skip_in_flight, link_remap,
                page_server, status_fd, as `lifecycle.checkpoint.Dump` takes them.

        Returns:
            Warnings of poststop hooks.

        Raises:
            ContainerNotFound: it has been deleted.
            StateError: it neither runs nor is paused.
            PyruncError: CRIU refuses; the container goes on.
        """
        from pyrunc.lifecycle.checkpoint import Dump, checkpoint
        from pyrunc.lifecycle.criu import Options
        from pyrunc.lifecycle.delete import delete

        options = Options(image_path, **(criu or {}))
        with store.open_entry(self.root, self.id) as entry:
            ended = checkpoint(entry, options, Dump(**dump))
        return delete(self.root, self.id, force=True) if ended else []
