# SPDX-License-Identifier: Apache-2.0
"""Every step that a plan can hold: its name, its arguments, what it does (and `steps_program`).

A step is data. How it is carried out is one small function in `csrc/init/`, under the same name.
The order of the classes is the numbering of the wire format; those of `steps_program` come first.
"""

from enum import IntEnum

from pyrunc.plan.step import Bytes, Flag, Number, OptionalString, Register, Step, String, Strings
from pyrunc.plan.steps_program import (
    CloseDescriptors,
    Environment,
    Execute,
    FindProgram,
    InheritDescriptors,
    Listener,
    LoaderCheck,
    RunHook,
    Seccomp,
    SendDirectory,
    WaitStart,
)
from pyrunc.plan.wire import Message

__all__ = [
    "ALL", "CloseDescriptors", "Environment", "Execute", "FindProgram", "InheritDescriptors",
    "Listener", "LoaderCheck", "RunHook", "Seccomp", "SendDirectory", "Step", "WaitStart",
]  # fmt: skip


# --- the process and its namespaces -------------------------------------------------------
class ParentDeath(Step):
    """Be killed when the creating process dies (signal 0: no longer)."""

    signal: Number


class Dumpable(Step):
    """Whether other processes may trace this one and open its /proc files (CVE-2016-9962)."""

    value: Flag


class Sync(Step):
    """Report to the parent that this point is reached, and wait for its answer."""

    message: Message


class JoinCgroups(Step):
    """Write "0" into the open `tasks` files of `count` registers: join v1 hierarchies.

    By itself, with one thread, a process joins without the host-wide lock of `cgroup.procs`,
    which waits for RCU: 0.3 ms instead of 12 for nine hierarchies on a quiet host.
    """

    first: Register
    count: Number


class JoinNamespace(Step):
    """Enter the namespace of a descriptor that the parent opened."""

    ns: Register
    flag: Number
    kind: String


class Unshare(Step):
    """Make new namespaces."""

    flags: Number


class Fork(Step):
    """Go on in a child that is a direct child of the creating process (CLONE_PARENT)."""


class BecomeRoot(Step):
    """Take ids 0 of the user namespace just entered, and (`setgroups`) drop all groups."""

    setgroups: Flag


class NewSession(Step):
    """Leave the caller's session: its terminal is not ours (TIOCSTI, CVE-2016-10124).

    Until its program runs the process ends by the signals in `ending` (1 << number): as pid 1 it
    has the kernel's protection from whatever it has no handler for.
    """

    ending: Number


class SessionKeyring(Step):
    """Join a session keyring of our own: the caller's keys are not in reach."""

    name: String
    permissions: Number


class LoopbackUp(Step):
    """Bring the interface `lo` of a new network namespace up."""


# --- mounts -------------------------------------------------------------------------------
class Propagation(Step):
    """Set the propagation of the mount in a register, or of "/" of this namespace."""

    mount: Register
    whole: Flag = False
    flag: Number
    recursive: Flag


class OpenTree(Step):
    """Clone the mount (`recursive`: tree of mounts) at a host path, detached."""

    result: Register
    path: String
    recursive: Flag


class OpenInside(Step):
    """As OpenTree, at a path inside the root filesystem."""

    result: Register
    path: String
    recursive: Flag


class AttachRoot(Step):
    """Attach the root filesystem's tree at its own path, from where `Pivot` makes it the root.

    There hooks find it. Where the path is out of reach (mode 0700 under a user namespace, a
    joined mount namespace) `elsewhere` lets it go on top of "/", which is not shared then.
    """

    path: String
    elsewhere: Flag


class PrivateParent(Step):
    """Make the mount that a host path lies on private; "/" only if `root` says so."""

    path: String
    root: Flag


class OpenProcfs(Step):
    """A procfs of our own, attached nowhere: no image can lay anything over it."""

    result: Register
    hosts: OptionalString  # the host's, to be used where the kernel allows no new one


class MakeFilesystem(Step):
    """Create a filesystem, detached: fsopen, one fsconfig an option, fsmount."""

    result: Register
    fstype: String
    source: OptionalString
    options: Strings = ()
    attributes: Number
    mode_of: OptionalString = None


class LongFilesystem(Step):
    """As MakeFilesystem by `options`, or else by mount(2) of `data`, at `target` for a moment."""

    result: Register
    fstype: String
    source: String
    options: Strings
    data: OptionalString
    flags: Number
    attributes: Number
    target: String


class MountAttributes(Step):
    """mount_setattr on a register. `fallback` is what may be cleared where flags are locked."""

    mount: Register
    set: Number
    clear: Number = 0
    fallback: Number = 0
    recursive: Flag = False


class TargetRule(IntEnum):
    """How strictly a mount point is looked up."""

    ANYWHERE = 0  # but on procfs and the root
    PLAIN_DIRECTORY = 1  # no symbolic link leads there (proc, sysfs: CVE-2019-19921)
    LISTED_BELOW_PROC = 2  # from the allow-list
    PROCFS_ROOT = 3  # as PLAIN_DIRECTORY, and what is mounted is a procfs's root


class Attach(Step):
    """Attach a detached mount at a path inside the root filesystem."""

    mount: Register
    target: String
    rule: TargetRule


class MakeDirectory(Step):
    """mkdir -p inside the root filesystem."""

    path: String
    mode: Number


class MakeFile(Step):
    """Make an empty file, to be mounted over, inside the root filesystem; an existing one stays."""

    path: String


class MakeNode(Step):
    """Create a device or fifo, or check that the file already there is it."""

    path: String
    kind: Number
    mode: Number
    major: Number
    minor: Number
    uid: Number
    gid: Number


class Symlink(Step):
    """Create a symbolic link."""

    path: String
    target: String
    replace: Flag  # remove a non-directory in its place


class Pivot(Step):
    """Make the root filesystem "/" and let go of the host's tree."""


class OpenRoot(Step):
    """Open the root filesystem where it is, for a container without a mount namespace."""

    path: String


class ChangeRoot(Step):
    """chroot(2) into the root filesystem. `move`: first move its mount onto "/"."""

    path: String
    move: Flag


class NullStdio(Step):
    """Re-point 0, 1, 2 to the container's /dev/null where they are the host's."""


class Console(Step):
    """Allocate a pty from the container's devpts, hand its master over, make it stdio."""

    socket: Register
    rows: Number
    columns: Number
    uid: Number
    mount: Flag  # as /dev/console


class ReadOnlyPath(Step):
    """Bind a path onto itself, read-only. A path that does not exist is skipped."""

    base: Register  # where it begins: the root, or the mount it lies in
    path: String


class CopyUp(Step):
    """Copy what is at a path inside the root filesystem into a mount that will cover it."""

    mount: Register  # gets that directory's owner too
    path: String
    mode: Flag  # and its mode


class Remount(Step):
    """Change the attributes of the mount that is at a path inside the root filesystem."""

    path: String
    set: Number
    clear: Number


class MaskPath(Step):
    """Cover a path: a directory by an empty read-only tmpfs, a file by the null device."""

    base: Register
    path: String


# --- identity and limits ------------------------------------------------------------------
class Hostname(Step):
    name: String


class Domainname(Step):
    name: String


class Sysctl(Step):
    """Write one file below sys/ of the private procfs."""

    path: String
    value: String


class Umask(Step):
    mask: Number


class NoNewPrivileges(Step):
    """prctl(PR_SET_NO_NEW_PRIVS)."""


class DropBounding(Step):
    """Drop every capability that `keep` does not hold from the bounding set."""

    keep: Number


class ChownStdio(Step):
    """Change the owner of standard streams, of which each mask has a bit a descriptor."""

    uid: Number
    streams: Number  # those that are pipes, sockets or terminals
    files: Number  # those that are regular files, open for writing


class ChangeDirectory(Step):
    """chdir. `final`: must succeed, and lie inside; else a refusal is tried again later."""

    path: String
    final: Flag


class SetIds(Step):
    """setgroups, setgid, setuid, keeping the permitted capabilities."""

    uid: Number
    gid: Number
    groups: Bytes
    setgroups: Flag


class SetCapabilities(Step):
    effective: Number
    permitted: Number
    inheritable: Number


class AmbientCapabilities(Step):
    mask: Number


class Scheduler(Step):
    attributes: Bytes  # struct sched_attr


class Affinity(Step):
    processors: Bytes  # a bit mask


class IoPriority(Step):
    value: Number  # as ioprio_set(2) has it


class Personality(Step):
    domain: Number


class MemoryPolicy(Step):
    mode: Number
    nodes: Bytes  # none is an empty mask


class Label(Step):
    """Label the next execve, or key: a file below attr/; `older` is where it once was."""

    file: String
    older: OptionalString
    value: String


# Index + 1 is the number in the wire format.
ALL = tuple(Step.__subclasses__())
