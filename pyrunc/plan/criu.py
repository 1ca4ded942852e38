# SPDX-License-Identifier: Apache-2.0
"""The plan by which CRIU is started; pure.

CRIU makes a restored container's mounts below a directory that has to be a mount of its own.
That one is made in a mount namespace that CRIU has to itself, so that nothing stays on the host,
whichever process dies when.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyrunc.kernel import constants as k
from pyrunc.plan import steps, wire
from pyrunc.plan.plan import Plan
from pyrunc.plan.steps import Step

# The socket to talk over, and what follows it, in the order of the registers.
SOCKET = wire.FIRST_FREE


@dataclass(slots=True, kw_only=True)
class Restored:
    """The container that CRIU is to restore.

    Args:
        rootfs: of the container.
        inherited: how many descriptors CRIU gets besides the socket.
        joins: how many cgroup hierarchies it has to join by itself.
        waits: its cgroup is made around it.
        mount_points: what has to be there to be mounted over: (path, whether a directory).
    """

    rootfs: str
    inherited: int = 0
    joins: int = 0
    waits: bool = False
    mount_points: tuple[tuple[str, bool], ...] = ()


def compile_criu(
    program: tuple[str, ...],
    path: str,
    directories: tuple[str, ...] = (),
    restored: Restored | None = None,
) -> Plan:
    """Make the plan.

    Args:
        program: of CRIU, with its arguments.
        path: where to look for it.
        directories: of the image and the log. CRIU mounts in them, so they have to be those of
            its own mount namespace.
        restored: what it is to restore, if it is.

    Returns:
        The plan; registers from SOCKET on are the socket, the inherited and the joins.
    """
    inherited, joins = (restored.inherited, restored.joins) if restored else (0, 0)
    first = SOCKET + 1 + inherited
    made = _restorer(restored, first) if restored else []
    made += [steps.SendDirectory(path=directory) for directory in directories]
    made += [
        steps.Environment(variables=(f"PATH={path}",), passwd=None, uid=0),
        steps.FindProgram(args=program, path=path, loader=steps.LoaderCheck.NONE),
        steps.InheritDescriptors(first=SOCKET, count=1 + inherited),
        steps.Sync(message=wire.Message.PARKED),
        steps.Execute(),
    ]
    passed = first + joins
    return Plan(tuple(made), 0, (), passed, passed)


def _restorer(restored: Restored, first: int) -> list[Step]:
    # A half-restored container goes with its caller. In the middle of a dump CRIU must not die
    # with its caller: it holds the container's processes, and releases them itself.
    made: list[Step] = [steps.ParentDeath(signal=k.SIGKILL)]
    # What it restores has to begin in the container's cgroup.
    if restored.waits:
        made.append(steps.Sync(message=wire.Message.CGROUP, pointer="/linux/cgroupsPath"))
    if restored.joins:
        made.append(steps.JoinCgroups(first=first, count=restored.joins))
    return made + _own_root(restored.rootfs, restored.mount_points)


def _own_root(rootfs: str, mount_points: tuple[tuple[str, bool], ...]) -> list[Step]:
    made: list[Step] = [
        steps.Unshare(flags=k.CLONE_NEWNS),
        # The first of all mount operations: what follows must not appear on the host.
        steps.Propagation(mount=wire.ROOT, whole=True, flag=k.MS_SLAVE, recursive=True),
        steps.OpenTree(result=wire.ROOT, path=rootfs, recursive=True, pointer="/root/path"),
        # A slave as the container's root is: CRIU gives it the same master again.
        steps.Propagation(mount=wire.ROOT, flag=k.MS_SLAVE, recursive=True),
        steps.AttachRoot(path=rootfs, elsewhere=False, pointer="/root/path"),
    ]
    for path, directory in mount_points:
        if directory:
            made.append(steps.MakeDirectory(path=path, mode=0o755, pointer="/mounts"))
        else:
            made.append(steps.MakeFile(path=path, pointer="/mounts"))
    return made
