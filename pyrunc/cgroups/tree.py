# SPDX-License-Identifier: Apache-2.0
"""Directories and files of a cgroup filesystem: open, read, write, make, list, remove.

Everything goes through directory descriptors, one component at a time and without following
symbolic links. This module must not know what a controller or a container
is, and never creates a file: O_CREAT below a path that turned out not to be a cgroup would
leave a plain file that looks like a limit.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from pyrunc.errors import CgroupError, KernelError
from pyrunc.kernel.descriptor import Descriptor, opened

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The mount point of a v1 hierarchy is a symbolic link where controllers are mounted together.
MOUNT_POINT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC

_MODE = 0o755
_CHUNK = 65536
# The kernel fills a page per read(2), up to the last whole line. Less than this was all there
# is, which spares the read that would only say "end of file".
_LONG = 3072


def failure(
    step: str, syscall: str, error: OSError | KernelError, path: str, pointer: str = ""
) -> CgroupError:
    """A CgroupError with the parts of another error."""
    return CgroupError(step, syscall, error.errno or errno.EIO, path, pointer=pointer)


def read(directory: int, name: str) -> str:
    """The text of one file of a cgroup.

    Args:
        directory: descriptor of the cgroup.
        name: the file, one component.

    Returns:
        Its text without the last line break.

    Raises:
        OSError: as open(2) and read(2) give it.
    """
    fd = os.open(name, READ, dir_fd=directory)
    try:
        data = os.read(fd, _CHUNK)
        if len(data) >= _LONG:
            while more := os.read(fd, _CHUNK):
                data += more
    finally:
        os.close(fd)
    return data.decode("utf-8", "surrogateescape").rstrip("\n")


def write(directory: int, name: str, value: str) -> None:
    """Write one value to one file of a cgroup, in one write(2).

    Raises:
        OSError: as open(2) and write(2) give it.
    """
    fd = os.open(name, WRITE, dir_fd=directory)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def exchange(directory: int, name: str, value: str) -> str:
    """Write a value and read the file back through the same descriptor.

    Returns:
        What the kernel says the value is now, stripped.

    Raises:
        OSError: as open(2), write(2) and pread(2) give it.
    """
    fd = os.open(name, READ_WRITE, dir_fd=directory)
    try:
        os.write(fd, value.encode())
        return os.pread(fd, _CHUNK, 0).decode().strip()
    finally:
        os.close(fd)


def is_gone(path: str) -> bool:
    """Whether nothing is there. To be asked when a changing call has failed: on a read-only
    filesystem rmdir(2) says EROFS also of what does not exist."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


def remove(path: str) -> bool:
    """Remove one directory. Whether it is gone."""
    # By path: nobody can make a symbolic link inside a cgroup filesystem, and most deletes
    # consist of this one call a hierarchy.
    try:
        os.rmdir(path)
        return True
    except OSError:
        return is_gone(path)


def open_below(mount: str, inner: str, made: list[str] | None = None) -> tuple[Descriptor, bool]:
    """Open a directory below a cgroup mount, component by component.

    Args:
        mount: the mount point.
        inner: the clean path below it, "/a/b".
        made: what is missing is made, and its path appended here; None makes nothing.

    Returns:
        The last directory, and whether it was made just now.

    Raises:
        CgroupError: what failed, with the path of the component.
    """
    path = mount
    try:
        here = os.open(mount, MOUNT_POINT)
    except OSError as error:
        raise failure("open cgroup mount", "open", error, mount) from error
    new = False
    try:
        for name in inner.split("/"):
            if not name:
                continue
            path = f"{path}/{name}"
            there, new = _step(here, name, path, made)
            os.close(here)
            here = there
    except BaseException:
        os.close(here)
        raise
    return Descriptor(here), new


def make_last(mount: str, inner: str, made: list[str]) -> tuple[Descriptor, bool]:
    """As `open_below`, but only the last directory is made: its parent may be about to go."""
    above, _, name = inner.rpartition("/")
    with open_below(mount, above)[0] as here:
        last, new = _step(here.fileno(), name, f"{mount}{inner}", made)
    return Descriptor(last), new


def _step(here: int, name: str, path: str, made: list[str] | None) -> tuple[int, bool]:
    new = False
    if made is not None:
        try:
            os.mkdir(name, _MODE, dir_fd=here)
            made.append(path)
            new = True
        except FileExistsError:
            pass
        except OSError as error:
            raise failure("create cgroup", "mkdir", error, path) from error
    try:
        return os.open(name, DIRECTORY, dir_fd=here), new
    except OSError as error:
        raise failure("open cgroup", "open", error, path) from error


def words(mount: str, inner: str, name: str) -> list[str]:
    """The words of a file of any cgroup below a mount.

    Raises:
        CgroupError: the kernel refuses.
    """
    try:
        with open_below(mount, inner)[0] as directory:
            return read(directory.fileno(), name).split()
    except OSError as error:
        raise failure("read", "read", error, f"{mount}{inner}/{name}") from error


def children(directory: int) -> list[str]:
    """The names of the sub-cgroups of a cgroup; none when it is gone."""
    # A cgroup's link count is 2 plus its sub-cgroups: this spares reading some 40 entries.
    if os.fstat(directory).st_nlink == 2:
        return []
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


class _Below:
    """A way down and up below a cgroup, with one descriptor at a time and no recursion.

    A container decides how deep its cgroups are. Going up by ".." is safe: no cgroup can be moved
    to another parent (v1 renames within one only).
    """

    def __init__(self, directory: int) -> None:
        self.here = self._top = directory
        self._own = Descriptor()  # below the top, that of `here`
        self.names: list[str] = []  # from the top to here
        self.left = [children(directory)]  # not visited yet, at each level

    def down(self, name: str) -> bool:
        """Go to a child; False if it is gone."""
        try:
            self._move(opened(name, DIRECTORY, dir_fd=self.here))
        except FileNotFoundError:
            return False
        self.names.append(name)
        self.left.append(children(self.here))
        return True

    def remove_or_go_down(self, name: str) -> bool:
        """Remove a child; False if it is not empty, and is gone to then."""
        # Most have none below them: then this one call is enough.
        if _rmdir(self.here, name) is None:
            return True
        self.down(name)
        return False

    def up(self) -> str:
        """Go to the parent; the name of the child that was left."""
        if len(self.names) == 1:
            self.close()
        else:
            self._move(opened("..", DIRECTORY, dir_fd=self.here))
        self.left.pop()
        return self.names.pop()

    def _move(self, to: Descriptor) -> None:
        self.close()
        self._own, self.here = to, to.fileno()

    def close(self) -> None:
        self._own.close()
        self.here = self._top


def walk(directory: int) -> Iterator[int]:
    """The descriptor of a cgroup and of each cgroup below it, parents first.

    The first one stays the caller's; the others are closed when the next one is asked for.
    What disappears in the meantime is skipped.
    """
    yield directory
    place = _Below(directory)
    try:
        while place.names or place.left[0]:
            if not place.left[-1]:
                place.up()
            elif place.down(place.left[-1].pop()):
                yield place.here
    except FileNotFoundError:
        return  # what is above has gone in the meantime, with all below it
    finally:
        place.close()


def pids(directory: int) -> list[int]:
    """The processes in a cgroup and below it.

    Returns:
        Process ids. Processes outside the caller's pid namespace read as 0 and are left out.

    Raises:
        OSError: as open(2) and read(2) give it, except for cgroups that are gone.
    """
    found: list[int] = []
    threaded = False
    for fd in walk(directory):
        try:
            text = read(fd, "cgroup.procs")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                continue
            if error.errno != errno.EOPNOTSUPP:
                raise
            # A threaded cgroup has threads only (cgroup-v2.rst); their processes are on the list
            # of the one above that is not threaded, if that is ours to read.
            threaded = threaded or fd == directory
            text = (
                " ".join(map(_process_of, read(fd, "cgroup.threads").split())) if threaded else ""
            )
        found += [int(line) for line in text.split() if line != "0"]
    return [*dict.fromkeys(found)]


def _process_of(thread: str) -> str:
    """The process of a thread; "0" for one that has ended."""
    try:
        with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
            return next((line.split()[1] for line in file if line.startswith("Tgid:")), "0")
    except OSError:
        return "0"


def remove_below(directory: int) -> tuple[int, OSError | None]:
    """Remove the cgroups below one, deepest first. What is gone is fine.

    Returns:
        How many were removed, and why the first one stays that does, usually EBUSY: all others
        have been tried.
    """
    place = _Below(directory)
    removed = 0
    first: OSError | None = None
    try:
        while place.names or place.left[0]:
            if place.left[-1]:
                removed += place.remove_or_go_down(place.left[-1].pop())
                continue
            name = place.up()
            error = _rmdir(place.here, name)
            removed += error is None
            first = first or error
    except FileNotFoundError:
        pass  # what is above has gone in the meantime, with all below it
    finally:
        place.close()
    return removed, first


def _rmdir(directory: int, name: str) -> OSError | None:
    try:
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None
