# SPDX-License-Identifier: Apache-2.0
"""Operations on a container that exists, except its lifecycle (container.py)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar, Unpack

from pyrunc import cgroups, keywords, popen
from pyrunc.cgroups import Cgroup
from pyrunc.cgroups.stats import Stats
from pyrunc.errors import ContainerNotRunning, PyruncError, UsageError
from pyrunc.exits import Exit
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.keywords import CallKeywords, CheckpointKeywords, ExecKeywords
from pyrunc.lifecycle import pause, store
from pyrunc.lifecycle.checkpoint import checkpointed
from pyrunc.lifecycle.delete import delete
from pyrunc.lifecycle.foreground import Pipes, Terminal, serve
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import is_alive
from pyrunc.lifecycle.update import update
from pyrunc.limits import Limits
from pyrunc.observe import inspection
from pyrunc.observe.events import Events
from pyrunc.process import PIPE, Completed, ExecFailed, Process

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
        """Freeze all processes of the container, until `resume`; returns when they are frozen.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it is neither created nor running.
            PyruncError: it cannot be frozen, or has no cgroup; it is not paused.
        """
        with store.open_entry(self.root, self.id) as entry:
            pause.pause(entry)

    def resume(self) -> None:
        """Let a paused container continue: it is created or running, as before.

        Raises:
            ContainerNotFound: it has been deleted.
            StateError: it is not paused.
            CgroupError: the kernel refuses.
        """
        with store.open_entry(self.root, self.id) as entry:
            pause.resume(entry)

    def update(
        self,
        limits: Limits | dict[str, Any],
        *,
        rdt: dict[str, str] | None = None,
        **given: Unpack[CallKeywords],
    ) -> None:
        """Change limits of the container, all of them or none.

        Args:
            limits: the new ones; what is left out stays as it is. A dict is a resources object
                of the specification, in its units; device rules in it are ignored.
            rdt: Intel RDT, "l3CacheSchema" and "memBwSchema", as in linux.intelRdt.
            given: see `pyrunc.keywords.CallKeywords`; there is a warning for what is ignored.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            SpecError: a value is wrong, or this host's cgroups have no such limit.
            CgroupError: the kernel refuses a value. As after any error the old limits are in
                force again; the hint says so where restoring them failed.

        Source: config-linux.md, "Control groups"
        """
        keywords.check("update", given, CallKeywords)
        asked = limits if isinstance(limits, dict) else limits.to_resources()
        with store.open_entry(self.root, self.id) as entry:
            warnings = update(entry, asked, rdt or {})
        for warning in warnings:
            keywords.warn_by(given)(warning)

    def inspect(self) -> dict[str, Any]:
        """What is in force for the container, asked of the kernel: namespaces and with whom they
        are shared, mounts, capabilities, filter, limits and use, processes.

        Returns:
            JSON values, as `pyrunc inspect --json` prints them (observe/inspection.py).

        Raises:
            ContainerNotFound: it has been deleted.
        """
        return inspection.inspect(self.root, self.id)

    def stats(self) -> Stats:
        """What the container has used: bytes and nanoseconds, unless an attribute says otherwise.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            PyruncError: it has no cgroup with statistics.

        Source: cgroup-v2.rst and cgroup-v1/*.rst of the kernel.
        """
        return self._ask(lambda cgroup: cgroup.stats())

    def events(self, *, interval: float = 5.0) -> Events:
        """What happens in the container from now on: statistics, and OOM kills.

        Args:
            interval: seconds between statistics, more than 0.

        Returns:
            An iterator that ends when the container's last process has, with a `fileno()` to
            poll. Its descriptors are closed at its end, by `close` and by `with`.

        Raises:
            ContainerNotFound: it has been deleted.
            ContainerNotRunning: it has stopped.
            UsageError: the interval is not above 0.
            PyruncError: it has no cgroup to watch.
        """
        if not interval > 0:
            raise UsageError("duration interval must be greater than 0")
        return self._ask(lambda cgroup: Events(cgroup, interval))

    def processes(self) -> list[int]:
        """The processes of the container, those of `exec` included, as pids of the caller's
        pid namespace; none once it has stopped.

        Raises:
            ContainerNotFound: it has been deleted.
            PyruncError: it has no cgroup to find them by.
            CgroupError: the kernel refuses to list them.
        """
        return cgroups.open_cgroup(self._read().cgroup).pids()

    def _ask(self, question: Callable[[Cgroup], T]) -> T:
        """Ask the cgroup of a container that has not stopped, and does not stop in between."""
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

    def popen(self, args: Sequence[str] = (), **given: Unpack[ExecKeywords]) -> Process:
        """Start a further process in the container, in the shape of subprocess.Popen.

        Args:
            args: the program and its arguments; it is looked up in the container.
            given: see `pyrunc.keywords.ExecKeywords`.

        Returns:
            The process; it may have ended already.

        Raises:
            ContainerNotFound, ContainerNotRunning: there is no container to join.
            StateError: it is paused.
            SpecError: the process or a limit is invalid.
            StartError: it could not be started; nothing is left of it.
        """
        keywords.check("popen", given, ExecKeywords)
        return popen.popen(self.root, self.id, args, given)

    def exec(
        self,
        args: Sequence[str],
        *,
        input: bytes | None = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **given: Unpack[ExecKeywords],
    ) -> Completed:
        """Run a process in the container and wait for it, in the shape of subprocess.run.

        Args:
            args: the program and its arguments.
            input: bytes for its standard input, which is a pipe then.
            capture_output: return what it writes to stdout and stderr.
            timeout: seconds, after which it is killed with all that it has started.
            check: raise if its exit code is not 0.
            given: see `pyrunc.keywords.ExecKeywords`.

        Returns:
            How it ended, and what it wrote.

        Raises:
            ExecTimeout: it ran out of time (a TimeoutError).
            ExecFailed: with `check`, its exit code is not 0.
            PyruncError: as `popen`.
        """
        keywords.check("exec", given, ExecKeywords)
        if capture_output:
            given["stdout"] = given["stderr"] = PIPE
        done = popen.execute(self.root, self.id, args, input, timeout, given)
        if check and done.code != 0:
            raise ExecFailed(done)
        return done

    def exec_foreground(self, args: Sequence[str] = (), **given: Unpack[ExecKeywords]) -> Exit:
        """Run a process in the foreground: on the caller's terminal, if it gets one.

        For the main thread: signals to this process are forwarded to it until it ends.

        Args:
            args: the program and its arguments.
            given: see `pyrunc.keywords.ExecKeywords`; without console_socket.

        Returns:
            How it ended.

        Raises:
            PyruncError: as `popen`.
        """
        keywords.check("exec_foreground", given, ExecKeywords)
        if given.get("console_socket"):
            raise UsageError("cannot use console socket if runc will not detach or allocate tty")
        with ExitStack() as held:
            signals = Signals()
            held.callback(signals.restore)
            pipes = Pipes()
            streams: Terminal | Pipes = pipes
            held.callback(lambda: streams.restore())
            given["stdin"], given["stdout"], given["stderr"] = pipes.stdio
            given["signals"] = signals
            process = popen.popen(self.root, self.id, args, given)
            try:
                if process.terminal:
                    pipes.restore()
                    streams = Terminal(Descriptor(os.dup(process.terminal.fileno())))
                else:
                    pipes.started()
                return serve(process, signals, streams)
            except BaseException:
                process.kill()  # its streams are no longer served
                process.wait()
                raise

    def checkpoint(self, image_path: str, **given: Unpack[CheckpointKeywords]) -> None:
        """Store the container as an image, with CRIU; it is then deleted, unless it runs on.

        Args:
            image_path: directory of the image; made if need be.
            given: see `pyrunc.keywords.CheckpointKeywords`.

        Raises:
            ContainerNotFound: it has been deleted.
            StateError: it neither runs nor is paused.
            PyruncError: CRIU refuses; the container continues.
        """
        keywords.check("checkpoint", given, CheckpointKeywords)
        with store.open_entry(self.root, self.id) as entry:
            ended = checkpointed(entry, image_path, given)
        for warning in delete(self.root, self.id, force=True) if ended else []:
            keywords.warn_by(given)(warning)
