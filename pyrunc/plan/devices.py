# SPDX-License-Identifier: Apache-2.0
"""/dev: the default devices and links, and `linux.devices`; pure."""

from __future__ import annotations

from pyrunc.kernel import constants as k
from pyrunc.plan import propagation, steps
from pyrunc.plan.context import Context
from pyrunc.plan.mount_options import clean
from pyrunc.plan.steps import Step

# What every container has (config-linux.md, default devices): path -> (major, minor).
DEFAULTS = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/tty": (5, 0),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
}
_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)
_KINDS = {"c": k.S_IFCHR, "u": k.S_IFCHR, "b": k.S_IFBLK, "p": k.S_IFIFO}
_PERMISSIONS = 0o7777


def compile_devices(ctx: Context) -> list[Step]:
    """Nodes and links, unless the caller mounts a /dev of their own."""
    if any(mount.destination == "/dev" and mount.options.bind for mount in ctx.mounts):
        return []
    configured = ctx.spec.linux.devices if ctx.spec.linux else ()
    named = {clean(device.path) for device in configured}
    made: list[Step] = []
    for path, (major, minor) in DEFAULTS.items():
        if path not in named:
            made += _node(ctx, path, k.S_IFCHR | 0o666, (major, minor), (0, 0), "")
    for index, device in enumerate(configured):
        path = clean(device.path)
        if path == "/dev/ptmx":
            continue  # it is the link below, into the container's own devpts
        mode = 0o666 if device.fileMode is None else device.fileMode & _PERMISSIONS
        numbers = (device.major or 0, device.minor or 0)
        owner = (device.uid or 0, device.gid or 0)
        pointer = f"/linux/devices/{index}"
        made += _node(ctx, path, _KINDS[device.type] | mode, numbers, owner, pointer)
    made.append(steps.Symlink(path="/dev/ptmx", target="pts/ptmx", replace=True))
    links = _LINKS + ((("/dev/core", "/proc/kcore"),) if ctx.facts.has_kcore else ())
    made += [steps.Symlink(path=path, target=target, replace=False) for path, target in links]
    return made


def _node(
    ctx: Context,
    path: str,
    mode: int,
    numbers: tuple[int, int],
    owner: tuple[int, int],
    pointer: str,
) -> list[Step]:
    """A node of a mode with its kind, as of mknod(2)."""
    kind = mode & ~_PERMISSIONS
    if (ctx.has_namespace("user") or ctx.facts.nested) and kind != k.S_IFIFO:
        # No user namespace may make a node; the host's is bound instead.
        register = ctx.mount_register
        return [
            steps.OpenTree(result=register, path=path, recursive=False, pointer=pointer),
            *propagation.not_the_hosts(ctx, register, pointer),
            steps.Attach(
                mount=register, target=path, rule=steps.TargetRule.ANYWHERE, pointer=pointer
            ),
        ]
    return [
        steps.MakeNode(
            path=path,
            kind=kind,
            mode=mode & _PERMISSIONS,
            major=numbers[0],
            minor=numbers[1],
            uid=owner[0],
            gid=owner[1],
            pointer=pointer,
        )
    ]
