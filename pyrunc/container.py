# SPDX-License-Identifier: Apache-2.0
"""The library: one class whose objects are containers.

Safe to use from many threads: nothing here changes the process's directory, umask, environment or
subreaper setting; `run` alone catches signals, in the main thread.
"""

from __future__ import annotations

import builtins
from typing import Any, Unpack

from pyrunc import cgroups, creation, keywords
from pyrunc.creation import Made
from pyrunc.errors import ContainerNotFound, ContainerNotRunning
from pyrunc.exits import Exit
from pyrunc.foreground import run_foreground
from pyrunc.kernel.pidfd import PidFd
from pyrunc.keywords import CallKeywords, CreateKeywords, RestoreKeywords
from pyrunc.lifecycle import caller_io, ending, store
from pyrunc.lifecycle.children import until_over
from pyrunc.lifecycle.delete import delete
from pyrunc.lifecycle.kill import kill
from pyrunc.lifecycle.restore import restoring
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.start import start
from pyrunc.lifecycle.status import document, open_pidfd, status_of
from pyrunc.observe.listing import found
from pyrunc.running import Running


class Container(Running):
    """A container. At the end of a `with` block one that was created or restored is gone; one
    that was loaded lives on.

    Attributes:
        id: its id.
        root: the directory where its state is.
    """

    def __init__(self, root: str, container_id: str, made: Made | None = None) -> None:
        super().__init__(root, container_id)
        self._created = made is not None
        self._pidfd = made.pidfd if made else PidFd()
        self._exit: Exit | None = None
        self.has_terminal = made is not None and made.has_terminal

    @classmethod
    def create(cls, bundle: str, container_id: str, **given: Unpack[CreateKeywords]) -> Container:
        """Create a container that waits for `start`.

        Args:
            bundle: directory of config.json.
            container_id: letters, digits, ``_ + . -``.
            given: see `pyrunc.keywords.CreateKeywords`.

        Raises:
            SpecError: config.json is wrong, or asks for what is not supported.
            ContainerExists: the id is taken.
            PyruncError: anything else; nothing is left of the container.
        """
        keywords.check("create", given, CreateKeywords)
        return cls._of(creation.make(bundle, container_id, given), given)

    @classmethod
    def _of(cls, made: Made, given: CreateKeywords) -> Container:
        """The object of a container just made, after its sockets and pid file have been served."""
        container = cls(made.root, made.id, made)
        warn = keywords.warn_by(given)
        pidfd_socket, pid_file = given.get("pidfd_socket"), given.get("pid_file")
        try:
            for warning in made.warnings:
                warn(warning)
            if pidfd_socket is not None:
                caller_io.send_pidfd(pidfd_socket, made.pidfd.fileno())
            if pid_file is not None:
                # Last: a caller that waits for it may start the container at once.
                caller_io.write_pid_file(pid_file, made.pid)
        except BaseException:
            container.delete(force=True)
            raise
        return container

    @classmethod
    def run(
        cls,
        bundle: str,
        container_id: str,
        *,
        keep: bool = False,
        notify_socket: str = "",
        **given: Unpack[CreateKeywords],
    ) -> Exit:
        """Create a container, start it, wait for it in the foreground and delete it.

        For the main thread: its signals go to the container, and its terminal is in raw mode if
        process.terminal is true.

        Args:
            bundle, container_id: as for `create`.
            keep: leave the stopped container, with its cgroup.
            notify_socket: as for `start`.
            given: see `pyrunc.keywords.CreateKeywords`.

        Returns:
            How it ended.

        Raises:
            PyruncError: as `create` and `start`; nothing is left of the container.
        """
        keywords.check("run", given, CreateKeywords)

        def made(options: CreateKeywords) -> Container:
            return cls._of(creation.make(bundle, container_id, options, foreground=True), options)

        def begin(container: Container, signals: Signals) -> None:
            container._start(notify_socket, foreground=True, signals=signals)

        return run_foreground(made, begin, given, keep=keep)

    @classmethod
    def restore(
        cls,
        bundle: str,
        container_id: str,
        image_path: str,
        **given: Unpack[RestoreKeywords],
    ) -> Container:
        """Make a container from an image that `checkpoint` has stored; it runs when this returns.

        Args:
            bundle, container_id: as for `create`.
            image_path: directory of the image.
            given: see `pyrunc.keywords.RestoreKeywords`.

        Raises:
            PyruncError: CRIU refuses, or anything else; nothing is left of the container.
        """
        keywords.check("restore", given, RestoreKeywords)
        how = restoring(image_path, given)
        return cls._of(creation.make(bundle, container_id, given, how), given)

    @classmethod
    def run_restored(
        cls,
        bundle: str,
        container_id: str,
        image_path: str,
        **given: Unpack[RestoreKeywords],
    ) -> Exit:
        """As `run`, from an image: `restore` it, wait for it in the foreground and delete it."""
        keywords.check("run_restored", given, RestoreKeywords)
        how = restoring(image_path, given)

        def made(options: CreateKeywords) -> Container:
            found = creation.make(bundle, container_id, options, how, foreground=True)
            return cls._of(found, options)

        return run_foreground(made, lambda *_: None, given, keep=False)

    @classmethod
    def load(cls, container_id: str, *, root: str | None = None) -> Container:
        """A container that exists.

        Raises:
            ContainerNotFound: there is none of that id.
        """
        container = cls(store.state_root(root), store.check_id(container_id))
        # Now, while the pid is certainly this process's: a later wait is for this one's end.
        container._pidfd = open_pidfd(container._read()) or PidFd()
        return container

    @classmethod
    def list(cls, *, root: str | None = None, pattern: str = "") -> builtins.list[str]:
        """The ids below a state root, sorted.

        Args:
            root: as for `create`.
            pattern: a regular expression; only ids in which it has a match.

        Raises:
            UsageError: the pattern is not a valid regular expression.
        """
        return found(store.state_root(root), pattern)

    @property
    def pid(self) -> int:
        """The pid of the container's init; 0 once it has ended."""
        return int(self.state["pid"])

    @property
    def status(self) -> str:
        """created, running, paused or stopped."""
        return str(self.state["status"])

    @property
    def state(self) -> dict[str, Any]:
        """The state as `pyrunc state` prints it.

        Raises:
            ContainerNotFound: it has been deleted.
        """
        with store.open_entry(self.root, self.id) as entry:
            saved = entry.state()
            return document(saved, status_of(entry, saved))

    def start(self, *, notify_socket: str = "", signals: Signals | None = None) -> None:
        """Let the program run; returns when it has been executed and poststart hooks are done.

        Args:
            notify_socket: of the manager to notify when the program is ready, for a
                container created with `notify`; this returns when it is, or has died.
            signals: those that end the wait, for a program's main thread.

        Raises:
            StateError: it is not in the state created.
            HookError: a poststart hook failed; the container is gone.
        """
        self._start(notify_socket, foreground=False, signals=signals)

    def _start(self, notify_socket: str, *, foreground: bool, signals: Signals | None) -> None:
        with store.open_entry(self.root, self.id) as entry:
            start(entry, entry.state(), notify_socket, foreground=foreground, signals=signals)

    def kill(self, signal: int = 15, *, all_processes: bool = False) -> None:
        """Send a signal to the container's first process.

        Args:
            signal: its number.
            all_processes: to all of them; a stopped container is no error then.

        Raises:
            ContainerNotRunning: it has stopped.
        """
        kill(self._read(), signal, all_processes=all_processes)

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until the program has ended.

        The kernel reports how to its parent only; once that has waited, every caller can learn it.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            How it ended; without a code where that is lost.

        Raises:
            TimeoutError: it still runs.
            ContainerNotRunning: it ended before this object was made, and how is not known.
        """
        if self._exit is not None:
            return self._exit
        try:
            fd = self.fileno()
        except ContainerNotRunning:
            self._exit = ending.read_exit(self.root, self.id)
            if self._exit is None:
                raise
            return self._exit
        if timeout is not None and not until_over(fd, timeout):
            raise TimeoutError(f"container {self.id} still runs")
        self._exit = ending.reap(self.root, self.id, self._pidfd, self._oom_killed)
        return self._exit

    def _oom_killed(self) -> bool:
        """Asked of the cgroup, which is there until `delete`."""
        try:
            return cgroups.open_cgroup(self._read().cgroup).oom_kills() > 0
        except ContainerNotFound:
            return False

    def fileno(self) -> int:
        """A pidfd of the container's init: readable once it has ended."""
        if not self._pidfd.is_open:
            found = open_pidfd(self._read())
            if found is None:
                raise ContainerNotRunning
            self._pidfd = found
        return self._pidfd.fileno()

    def delete(self, *, force: bool = False, **given: Unpack[CallKeywords]) -> None:
        """Remove the container. Poststop hooks that fail are warned of.

        Args:
            force: kill it first if it runs; no error if it is gone already.
            given: see `pyrunc.keywords.CallKeywords`.

        Raises:
            StateError: it runs, and force is not set.
        """
        keywords.check("delete", given, CallKeywords)
        warnings = delete(self.root, self.id, force=force, signals=given.get("signals"))
        self._reap()
        for warning in warnings:
            keywords.warn_by(given)(warning)

    def _reap(self) -> None:
        """Take the exit status if it is ours to take, so that no zombie stays."""
        if not self._pidfd.is_open:
            return
        if self._exit is None and self._created and self._pidfd.has_ended():
            self.wait()
        self._pidfd.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        if self._created:
            self.delete(force=True)
        else:
            self._reap()
