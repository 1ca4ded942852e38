# SPDX-License-Identifier: Apache-2.0
"""Where the state of containers is kept: a directory each, with a journal and a state.

The directory's creation is what makes an id unique. `journal` is appended to before each effect
outside the directory that would otherwise be lost (cgroup, resctrl group), so that those of a
killed runtime can be undone; `state.json` is there once the container is complete. Access is by
directory descriptor and never through a link: an id is one component, checked; the root and the
directory belong to no other user (`roots.py`). The status is not stored: the kernel is asked each
time (`status.py`).
"""

from __future__ import annotations

import errno
import os
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import (
    ContainerExists,
    ContainerNotFound,
    ForeignContainer,
    KernelError,
    PyruncError,
    UsageError,
    reported,
)
from pyrunc.host.user_namespace import in_user_namespace
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.lifecycle import locking, roots
from pyrunc.lifecycle.state import State

STATE, JOURNAL, FIFO, CONFIG = "state.json", "journal", "exec.fifo", "config.json"
EXIT = "exit.json"
_REMOVALS = 5
_CHUNK = 1 << 16
MAX_ID = 255
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def check_id(container_id: str) -> str:
    """The id, if it is valid (runc's grammar).

    Raises:
        UsageError: empty, "." or "..", too long, or with another character.
    """
    if not container_id:
        raise UsageError("container id cannot be empty")
    if container_id in (".", "..") or not _is_id(container_id):
        raise UsageError("invalid container ID format", hint="letters, digits, _ + . and - only")
    if len(container_id) > MAX_ID:
        raise UsageError(f"invalid container ID format: longer than {MAX_ID} bytes")
    return container_id


def default_root(environ: dict[str, str] | os._Environ[str]) -> str:
    """The directory where state is kept by default."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.geteuid() != 0:
        return f"{runtime}/pyrunc"
    if runtime and environ.get("USER", "") != "root" and in_user_namespace():
        return f"{runtime}/pyrunc"
    return "/run/pyrunc"


def state_root(root: str | None) -> str:
    """An absolute state root, chosen or the default; never "/"."""
    path = os.path.abspath(root or default_root(os.environ))
    if path == "/":
        raise UsageError("Option --root argument should not be set to /")
    return path


class Entry:
    """One container's directory, open.

    Args:
        root: the state root, absolute.
        container_id: a checked id.
        directory: it, open; becomes this object's.

    Attributes:
        fd: descriptor of the directory, lent.
    """

    __slots__ = ("_directory", "container_id", "fd", "root")

    def __init__(self, root: str, container_id: str, directory: Descriptor) -> None:
        self.root = root
        self.container_id = container_id
        self._directory = directory
        self.fd = directory.fileno()

    def close(self) -> None:
        """Close the directory, and so release the lock."""
        self._directory.close()
        self.fd = -1

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> str:
        return f"{self.root}/{self.container_id}"

    def lock(self) -> None:
        """Take the lock of this container, until `close`.

        Raises:
            PyruncError: another process has held it for too long.
        """
        locking.acquire(self.fd, self.container_id)

    def unlock(self) -> None:
        """Release the lock before something slow."""
        locking.release(self.fd)

    def is_linked(self) -> bool:
        """Whether the directory is still there by its name (it may have been deleted since)."""
        with reported("find", "stat", self.path):
            try:
                there = os.stat(self.path, follow_symlinks=False)
            except FileNotFoundError:
                return False
            here = os.fstat(self.fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def note(self, **effect: Any) -> None:
        """Append an effect to the journal, before it happens."""
        self._put(JOURNAL, os.O_APPEND, (jsontext.dumps(effect) + "\n").encode())

    def journal(self) -> dict[str, Any]:
        """All effects noted. An incomplete line was cut short by a kill or a full disk: its effect
        did not happen."""
        merged: dict[str, Any] = {}
        for line in (self._read(JOURNAL) or b"").split(b"\n"):
            try:
                effect = jsontext.loads(line, JOURNAL)
            except PyruncError:
                continue
            merged |= effect if isinstance(effect, dict) else {}
        return merged

    def save(self, state: State) -> None:
        """Replace the state, all or nothing."""
        self.replace(STATE, state.to_json())

    def replace(self, name: str, document: dict[str, Any]) -> None:
        """Replace a document, all or nothing."""
        part = f".{name}.new"
        self._put(part, os.O_TRUNC, jsontext.dumps(document).encode())
        with reported("replace", "rename", f"{self.path}/{name}"):
            os.rename(part, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def document(self, name: str) -> dict[str, Any] | None:
        """A document that `replace` wrote, or None."""
        data = self._read(name)
        found = None if data is None else jsontext.loads(data, f"{self.path}/{name}")
        return found if isinstance(found, dict) else None

    def write(self, name: str, data: bytes) -> None:
        """Write a new file."""
        self._put(name, os.O_EXCL, data)

    def _put(self, name: str, mode: int, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | mode | os.O_NOFOLLOW
        path = f"{self.path}/{name}"
        with reported("make", "open", path):
            file = opened(name, flags, 0o600, dir_fd=self.fd)
        with file, reported("write", "write", path):
            while data:
                data = data[os.write(file.fileno(), data) :]

    def config(self) -> bytes:
        """config.json as it was when the container was created.

        Raises:
            PyruncError: it is gone.
        """
        data = self._read(CONFIG)
        if data is None:
            if not self.has(STATE):
                raise ContainerNotFound  # it has just been deleted
            raise PyruncError(f"{self.path}/{CONFIG} is missing", hint="create the container again")
        return data

    def state(self) -> State:
        """The saved state.

        Raises:
            ContainerNotFound: there is none: the creation was never completed.
            PyruncError: the file is damaged, or of a later version of pyrunc.
        """
        data = self._read(STATE)
        if data is None:
            raise ContainerNotFound
        raw = jsontext.loads(data, f"{self.path}/{STATE}")
        if isinstance(raw, dict) and "init_process_pid" in raw:
            raise ForeignContainer(self.container_id)  # libcontainer's: runc's own
        return State.from_json(raw, f"{self.path}/{STATE}")

    def _read(self, name: str) -> bytes | None:
        try:
            file = opened(name, os.O_NOFOLLOW, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KernelError("open", "open", error.errno or 0, f"{self.path}/{name}") from None
        with file, reported("read", "read", f"{self.path}/{name}"):
            data = b""
            # Twice as much each time: each addition copies what is there.
            while chunk := os.read(file.fileno(), size := max(_CHUNK, len(data))):
                data += chunk
                if len(chunk) < size:
                    break
            return data

    def has(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise KernelError("find", "stat", error.errno or 0, f"{self.path}/{name}") from None
        return True

    def unlink(self, name: str) -> None:
        with reported("remove", "unlink", f"{self.path}/{name}"):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                pass

    def remove(self) -> None:
        """Remove the directory with what is in it: the state first, so that a reader who misses
        a file knows why; the journal last, as rollback needs it."""
        for left in range(_REMOVALS, 0, -1):
            self._empty()
            try:
                os.rmdir(self.path)
            except FileNotFoundError:
                pass
            except OSError as error:
                # A waiter may just have saved its exit there (ending.py).
                if error.errno == errno.ENOTEMPTY and left > 1:
                    continue
                raise KernelError("remove", "rmdir", error.errno or 0, self.path) from None
            return

    def _empty(self) -> None:
        with reported("list", "getdents", self.path):
            names = os.listdir(self.fd)
        for name in sorted(names, key=lambda n: (n == JOURNAL) - (n == STATE)):
            try:
                self.unlink(name)
            except KernelError as error:
                if error.errno != errno.EISDIR:
                    raise
                self._remove_directory(name)

    def _remove_directory(self, name: str) -> None:
        """The one for sd_notify's socket, which has no directories of its own."""
        with reported("remove", "rmdir", f"{self.path}/{name}"):
            with opened(name, _DIRECTORY, dir_fd=self.fd) as directory:
                for inner in os.listdir(directory.fileno()):
                    os.unlink(inner, dir_fd=directory.fileno())
            os.rmdir(name, dir_fd=self.fd)


def create_entry(root: str, container_id: str) -> Entry:
    """Make a container's directory, locked.

    Raises:
        ContainerExists: the id is taken.
        KernelError: the state root cannot be used.
    """
    with roots.opened_or_made(root) as above:
        entry = _new_entry(above.fileno(), root, container_id)
    gone = PyruncError(f"container {container_id} was deleted while it was created")
    try:
        entry.lock()
    except BaseException:
        entry.close()
        os.rmdir(entry.path)  # ours, and empty: nothing is put there without the lock
        raise
    if not entry.is_linked():
        entry.close()
        raise gone
    return entry


def _new_entry(above: int, root: str, container_id: str) -> Entry:
    path = f"{root}/{container_id}"
    try:
        os.mkdir(container_id, 0o711, dir_fd=above)
    except FileExistsError:
        raise ContainerExists from None
    except OSError as error:
        raise KernelError("make", "mkdir", error.errno or 0, path) from None
    try:
        return Entry(root, container_id, opened(container_id, _DIRECTORY, dir_fd=above))
    except FileNotFoundError:
        raise PyruncError(f"container {container_id} was deleted while it was created") from None
    except OSError as error:
        os.rmdir(container_id, dir_fd=above)  # ours, and empty
        raise KernelError("open", "open", error.errno or 0, path) from None


def refuse_existing(root: str, container_id: str) -> None:
    """Report an id that is taken before any other error; `create_entry` decides.

    Raises:
        ContainerExists: it is taken.
    """
    if os.path.lexists(f"{root}/{container_id}"):
        raise ContainerExists


def open_entry(root: str, container_id: str, above: int | None = None) -> Entry:
    """Open a container's directory.

    Args:
        root: the state root, absolute.
        container_id: the container's id.
        above: the root's descriptor, lent, by a caller that opens many.

    Raises:
        ContainerNotFound: there is none with that id.
        PyruncError: other users can write to it, or to the state root.
    """
    check_id(container_id)
    path = f"{root}/{container_id}"
    try:
        if above is None:
            with roots.open_root(root) as own:
                directory = opened(container_id, _DIRECTORY, dir_fd=own.fileno())
        else:
            directory = opened(container_id, _DIRECTORY, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise ContainerNotFound from None
        raise KernelError("open", "open", error.errno or 0, path) from None
    roots.refuse_shared(directory.fileno(), path)
    return Entry(root, container_id, directory)


def open_root(root: str) -> Descriptor:
    """The state root, open.

    Raises:
        FileNotFoundError: there is no such root.
        PyruncError: it is not a directory, or other users can write to it.
    """
    try:
        return roots.open_root(root)
    except NotADirectoryError:
        raise KernelError("use the state root", "", errno.ENOTDIR, root) from None


def ids(above: int) -> list[str]:
    """The ids below an open state root, sorted; anything else there is ignored."""
    with os.scandir(above) as found:
        return sorted(e.name for e in found if e.is_dir(follow_symlinks=False) and _is_id(e.name))


def _is_id(name: str) -> bool:
    return _LETTERS.issuperset(name)
