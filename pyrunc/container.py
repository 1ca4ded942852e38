# SPDX-License-Identifier: Apache-2.0
"""The library: one class whose objects are containers. The command line calls only this.

Safe to use from many threads: nothing here changes the process's directory, umask,
environment, signals or subreaper setting.
"""

from __future__ import annotations

import os

from pyrunc import cgroups
from pyrunc.errors import ContainerNotFound, ContainerNotRunning, one_line
from pyrunc.lifecycle import store
from pyrunc.running import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable
    from typing import Any

    from pyrunc.exits import Exit
    from pyrunc.lifecycle.request import Request
    from pyrunc.lifecycle.signals import Signals
    from pyrunc.limits import Limits
    from pyrunc.spec.model import Spec


class Container(Running):
    """A container, made by `create` or found by `load`; at the end of a `with` block it is gone.

    Attributes:
        id: its id.
        root: the directory where its state is.
        warnings: what `create` found odd in config.json, and went on.
    """

    def __init__(self, root: str, container_id: str, pid: int = 0, pidfd: int = -1) -> None:
        super().__init__(root, container_id)
        self._pid = pid
        self._pidfd = pidfd
        self._exit: Exit | None = None
        self.has_terminal = False
        self.warnings: builtins.list[str] = []

    @classmethod
    def create(
        cls,
        bundle: str,
        container_id: str,
        *,
        config: str = "",
        root: str | None = None,
        stdio: tuple[int, int, int] = (0, 1, 2),
        console_socket: str | int | None = None,
        pidfd_socket: str | None = None,
        pid_file: str | None = None,
        preserve_fds: int = 0,
        environment: tuple[str, ...] = (),
        new_keyring: bool = True,
        systemd_cgroup: bool = False,
        no_cgroup: bool = False,
        no_pivot: bool = False,
        limits: Limits | None = None,
        notify: bool = False,
        detached: bool = True,
        signals: Signals | None = None,
        make: Callable[[Request, Spec], tuple[int, int]] | None = None,
    ) -> Container:
        """Create a container that waits for `start`.

        Args:
            bundle, config: directory of config.json, and another file to read in its place.
            container_id: letters, digits, ``_ + . -``.
            root: state root; default as for the command line.
            stdio: descriptors for the container's 0, 1 and 2 (without a terminal).
            console_socket: path of an AF_UNIX stream socket, or a connected descriptor, for the
                terminal's master. Needed exactly if process.terminal is true.
            pidfd_socket: path of one that gets a pidfd of the process.
            pid_file: where to write the pid, replaced at once and without a newline.
            preserve_fds: how many descriptors, from 3 on, the container keeps.
            environment: ``NAME=value`` to add to process.env.
            new_keyring: join a session keyring of the container's own.
            systemd_cgroup, no_cgroup: let systemd make it; stay in the caller's, unlimited.
            no_pivot: for hosts whose root is an initramfs; less safe (see SECURITY.md).
            limits: go before those of config.json.
            notify: give the program a socket for sd_notify(3), which `start` relays.
            detached, signals, make: for `run`, `restore` and the command line.

        Raises:
            SpecError: config.json is wrong, or asks for what is not supported.
            ContainerExists: the id is taken.
            PyruncError: anything else; nothing is left of the container.
        """
        from pyrunc.lifecycle import handover
        from pyrunc.lifecycle.request import Request

        handover.check_preserved(preserve_fds)
        request = Request(
            root=store.state_root(root), container_id=container_id, config=config, signals=signals,
            bundle=handover.bundle_directory(bundle), stdio=stdio, preserve_fds=preserve_fds,
            environment=environment, keyring=new_keyring, no_pivot=no_pivot, notify=notify,
            cgroup_manager="systemd" if systemd_cgroup else "none" if no_cgroup else "fs",
        )  # fmt: skip
        container = cls._create(request, console_socket, detached, limits, make)
        return container._announce(pid_file, pidfd_socket)

    @classmethod
    def _create(
        cls,
        request: Request,
        console_socket: str | int | None,
        detached: bool,
        limits: Limits | None,
        make: Callable[[Request, Spec], tuple[int, int]] | None,
    ) -> Container:
        from pyrunc.lifecycle import handover
        from pyrunc.lifecycle.bundle import read_spec
        from pyrunc.lifecycle.create import create

        spec = read_spec(request.bundle, limits, request.config)
        terminal = bool(spec.process and spec.process.terminal)
        handover.check_terminal(terminal, console_socket is not None, detached)
        if console_socket is not None:
            request.console_socket = handover.connected(console_socket, "console")
        try:
            pid, pidfd = (make or create)(request, spec)
        finally:
            if isinstance(console_socket, str):
                os.close(request.console_socket)
        container = cls(request.root, request.container_id, pid, pidfd)
        container.has_terminal = terminal
        container.warnings = [one_line(text) for text in spec.warnings]
        return container

    @classmethod
    def run(
        cls,
        bundle: str,
        container_id: str,
        *,
        keep: bool = False,
        notify_socket: str = "",
        warn: Callable[[str], None] = lambda _: None,
        **options: Any,
    ) -> tuple[int, builtins.list[str]]:
        """Create, start, attend to and delete a container in the foreground.

        For the main thread: its signals go to the container, and its terminal is in raw mode if
        process.terminal is true.

        Args:
            bundle, container_id: as for `create`.
            keep: leave the stopped container, with its cgroup.
            notify_socket: as for `start`.
            warn: called with each of the `warnings`, before it is started.
            options: as for `create`.

        Returns:
            The exit code, 128 + signal where a signal ended it, and warnings of poststop hooks.

        Raises:
            PyruncError: as `create` and `start`; nothing is left of the container.
        """
        from pyrunc.attended import attended

        def begin(container: Container, signals: Signals) -> None:
            for warning in container.warnings:
                warn(warning)
            container.start(notify_socket=notify_socket, attended=True, signals=signals)

        options |= {"bundle": bundle, "container_id": container_id}
        return attended(cls.create, options, begin, keep=keep)

    @classmethod
    def restore(
        cls,
        bundle: str,
        container_id: str,
        image_path: str,
        *,
        tcp_close: bool = False,
        lsm_profile: str = "",
        lsm_mount_context: str = "",
        criu: dict[str, Any] | None = None,
        **options: Any,
    ) -> Container:
        """Make a container of an image that `checkpoint` has stored; it runs when this returns.

        Args:
            bundle, container_id: as for `create`.
            image_path: directory of the image.
            tcp_close, lsm_profile, lsm_mount_context: as `lifecycle.restore.Return` takes them.
            criu: further options, as `lifecycle.criu.Options` takes them.
            options: as for `create`.

        Raises:
            PyruncError: CRIU refuses, or anything else; nothing is left of the container.
        """
        from pyrunc.lifecycle.criu import Options
        from pyrunc.lifecycle.restore import Return, restore

        chosen = Options(image_path, **(criu or {}))
        wanted = Return(
            tcp_close=tcp_close, lsm_profile=lsm_profile, lsm_mount_context=lsm_mount_context
        )
        return cls.create(
            bundle, container_id, make=lambda r, spec: restore(r, spec, chosen, wanted), **options
        )

    @classmethod
    def run_restored(
        cls, bundle: str, container_id: str, image_path: str, **options: Any
    ) -> tuple[int, builtins.list[str]]:
        """As `run`, of an image: `restore` it, attend to it and delete it."""
        from pyrunc.attended import attended

        options |= {"bundle": bundle, "container_id": container_id, "image_path": image_path}
        return attended(cls.restore, options, lambda *_: None, keep=False)

    @classmethod
    def load(cls, container_id: str, *, root: str | None = None) -> Container:
        """A container that exists.

        Raises:
            ContainerNotFound: there is none of that id.
        """
        from pyrunc.lifecycle.status import open_pidfd

        container = cls(store.state_root(root), store.check_id(container_id))
        # Now, while it names the process for certain: who waits later is told of this one's end.
        container._pidfd = open_pidfd(container._read())
        return container

    @classmethod
    def list(cls, *, root: str | None = None, pattern: str = "") -> builtins.list[str]:
        """The ids below a state root, in their order.

        Args:
            root: as for `create`.
            pattern: only those in which this regular expression finds something.

        Raises:
            UsageError: it is none.
        """
        from pyrunc.observe.listing import found

        return found(store.state_root(root), pattern)

    def _announce(self, pid_file: str | None, pidfd_socket: str | None) -> Container:
        from pyrunc.lifecycle import handover

        try:
            if pidfd_socket is not None:
                handover.send_pidfd(pidfd_socket, self._pidfd)
            if pid_file is not None:
                handover.write_pid_file(pid_file, self._pid)
        except BaseException:
            self.delete(force=True)
            raise
        return self

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
        from pyrunc.lifecycle.status import document, status_of

        with store.open_entry(self.root, self.id) as entry:
            saved = entry.state()
            return document(saved, status_of(entry, saved))

    def start(self, *, notify_socket: str = "", **waiting: Any) -> None:
        """Let the program run; returns when it has been executed and poststart hooks are done.

        Args:
            notify_socket: of the manager that is to know when the program is ready, for a
                container created with `notify`; this returns when it is, or has died.
            waiting: for `run` and the command line, as `lifecycle.start.start` takes it.

        Raises:
            StateError: it is not in the state created.
            HookError: a poststart hook failed; the container is gone.
        """
        from pyrunc.lifecycle.start import start

        with store.open_entry(self.root, self.id) as entry:
            start(entry, entry.state(), notify_socket, **waiting)

    def kill(self, signal: int = 15, *, everything: bool = False) -> None:
        """Send a signal to the container's first process.

        Args:
            signal: its number.
            everything: all its processes (SIGKILL); a stopped container is no error then.

        Raises:
            ContainerNotRunning: it has stopped.
        """
        from pyrunc.lifecycle.kill import kill

        kill(self._read(), signal, everything=everything)

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until the program has ended.

        Only its parent is told how; once that has waited, everybody who asks learns it.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            How it ended; without a code where nobody who is left knows.

        Raises:
            TimeoutError: it still runs.
            ContainerNotRunning: it ended before this object was made, and how is not known.
        """
        from pyrunc.lifecycle import ending
        from pyrunc.lifecycle.children import until_over

        if self._exit is not None:
            return self._exit
        try:
            pidfd = self.fileno()
        except ContainerNotRunning:
            self._exit = ending.told(self.root, self.id)
            if self._exit is None:
                raise
            return self._exit
        if timeout is not None and not until_over(pidfd, timeout):
            raise TimeoutError(f"container {self.id} still runs")
        self._exit = ending.taken(self.root, self.id, pidfd, self._oom_killed)
        return self._exit

    def _oom_killed(self) -> bool:
        """Asked of the cgroup, which is there until `delete`."""
        try:
            return cgroups.open_cgroup(self._read().cgroup).oom_kills() > 0
        except ContainerNotFound:
            return False

    def fileno(self) -> int:
        """A pidfd of the container's init: readable once it has ended."""
        if self._pidfd < 0:
            from pyrunc.lifecycle.status import open_pidfd

            self._pidfd = open_pidfd(self._read())
            if self._pidfd < 0:
                raise ContainerNotRunning
        return self._pidfd

    def delete(self, *, force: bool = False, **ending: Any) -> builtins.list[str]:
        """Remove the container.

        Args:
            force: kill it first if it runs; no error if it is gone already.
            ending: for `run` and the command line, as `lifecycle.delete.delete` takes it.

        Returns:
            Warnings of poststop hooks.

        Raises:
            StateError: it runs, and force is not set.
        """
        from pyrunc.lifecycle.delete import delete

        warnings = delete(self.root, self.id, force=force, **ending)
        self._reap()
        return warnings

    def _reap(self) -> None:
        """Take the exit status if it is ours to take, so that no zombie stays."""
        if self._pidfd < 0:
            return
        from pyrunc.lifecycle.children import until_over

        if self._exit is None and self._pid and until_over(self._pidfd, 0):
            self.wait()
        os.close(self._pidfd)
        self._pidfd = -1

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete(force=True)

    def __del__(self) -> None:
        try:
            if self._pidfd >= 0:
                os.close(self._pidfd)
        except (OSError, AttributeError):
            pass  # closed by others, or never opened: nobody is here to be told
