# SPDX-License-Identifier: Apache-2.0
"""`linux.rootfsPropagation`: which mounts share mount events with the host; pure.

What a container's bind mounts share with the host is decided by the mount namespace that they are
cloned in. So the new one gets the requested propagation before anything is cloned, and a
bind mount's own options change only its clone afterwards (mount_namespaces(7)).
"""

from __future__ import annotations

from pyrunc.kernel import constants as k
from pyrunc.plan import steps, wire
from pyrunc.plan.context import Context
from pyrunc.plan.mount_options import PROPAGATION
from pyrunc.plan.steps import Step

_POINTER = "/linux/rootfsPropagation"
# What "/" of the new mount namespace becomes, and whether all below it does. Slaves by default:
# unmounts on the host still arrive, so that the container pins nothing. It becomes unbindable only
# at the very end, or nothing could be cloned.
_BEGINNING = PROPAGATION | {
    "": (k.MS_SLAVE, True),
    "unbindable": (k.MS_PRIVATE, False),
    "runbindable": (k.MS_SLAVE, True),
}


def _wanted(ctx: Context) -> str:
    return (ctx.spec.linux and ctx.spec.linux.rootfsPropagation) or ""


def _set(register: int, flag: int, recursive: bool, pointer: str) -> Step:
    return steps.Propagation(mount=register, flag=flag, recursive=recursive, pointer=pointer)


def whole(flag: int, recursive: bool, pointer: str = "") -> Step:
    """Of "/" in this mount namespace, with or without all below it."""
    where = {"pointer": pointer} if pointer else {}
    return steps.Propagation(mount=wire.ROOT, whole=True, flag=flag, recursive=recursive, **where)


def stays_shared(ctx: Context) -> bool:
    """Whether mounts that are shared on the host are shared with it in the new namespace."""
    apart = ctx.early or not ctx.makes("mount")
    return not apart and _BEGINNING[_wanted(ctx)] not in ((k.MS_SLAVE, True), (k.MS_PRIVATE, True))


def apart(ctx: Context) -> list[Step]:
    """A mount namespace to clone the sources in, before the user namespace is there.

    Needed within another user namespace, which may not clone from a mount namespace that a more
    privileged one owns. And for "rshared", where clones of one mount are to be peers.
    """
    peers = _wanted(ctx) == "rshared" and ctx.makes("mount")
    if not (ctx.facts.nested or peers):
        return []
    made: list[Step] = [
        steps.Unshare(flags=k.CLONE_NEWNS, pointer="/linux/namespaces"),
        whole(k.MS_SLAVE, True),
    ]
    if peers:
        made += [whole(k.MS_SHARED, True, _POINTER), _private_parent(ctx, root=True)]
    return made


def _private_parent(ctx: Context, root: bool) -> Step:
    """pivot_root(2) refuses a new root below a shared mount, and what is attached there would
    appear on the host."""
    return steps.PrivateParent(path=ctx.options.rootfs, root=root, pointer="/root/path")


def begin(ctx: Context) -> list[Step]:
    """For a new mount namespace, before any other mount operation in it."""
    flag, recursive = _BEGINNING[_wanted(ctx)]
    if ctx.early:
        # Owned by a user namespace: all are slaves already, and the clones were made before it.
        return [whole(flag if flag == k.MS_PRIVATE and recursive else k.MS_SLAVE, True)]
    made = [whole(flag, recursive, _POINTER if _wanted(ctx) else "")]
    if stays_shared(ctx):
        made.append(_private_parent(ctx, root=flag == k.MS_SHARED))
    return made


def cloned(ctx: Context, register: int, pointer: str) -> list[Step]:
    """For a tree that was cloned in the host's mount namespace, and is a peer of its mounts.

    It becomes what it would be had it been cloned in the container's.
    """
    wanted = _wanted(ctx)
    if stays_shared(ctx) or (ctx.early and ctx.makes("mount") and wanted == "rshared"):
        return []  # see `apart`
    private = wanted == "rprivate" or (wanted == "private" and ctx.joins("mount"))
    return [_set(register, k.MS_PRIVATE if private else k.MS_SLAVE, True, pointer)]


def not_the_hosts(ctx: Context, register: int, pointer: str) -> list[Step]:
    """For what the runtime itself takes from the host: mounts on top of it must not get there."""
    return [_set(register, k.MS_SLAVE, True, pointer)] if stays_shared(ctx) else []


def before_moving(ctx: Context) -> list[Step]:
    """For a root that is moved onto "/": on a shared one it would cover the host's, too."""
    return [whole(k.MS_SLAVE, False)] if stays_shared(ctx) else []


def of_the_root(ctx: Context, kind: str) -> list[Step]:
    """ "/" once it is the container's: "shared" after the pivot, "unbindable" at the end."""
    wanted = _wanted(ctx)
    flag = {"shared": k.MS_SHARED, "unbindable": k.MS_UNBINDABLE}[kind]
    return [whole(flag, wanted != kind, _POINTER)] if wanted in (kind, "r" + kind) else []
