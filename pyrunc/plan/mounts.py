# SPDX-License-Identifier: Apache-2.0
"""`mounts` of config.json as steps; pure."""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.kernel import constants as k
from pyrunc.plan import propagation, steps
from pyrunc.plan.cgroup_mounts import compile_cgroup
from pyrunc.plan.context import Context, PlannedMount
from pyrunc.plan.long_options import are_long, compile_long
from pyrunc.plan.mount_options import clean
from pyrunc.plan.steps import Step, TargetRule

_LXCFS = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip
# What a remount of a bind mount without any of these options drops, as with mount(2).
_REPLACED = (
    k.MOUNT_ATTR_RDONLY
    | k.MOUNT_ATTR_NOSUID
    | k.MOUNT_ATTR_NODEV
    | k.MOUNT_ATTR_NOEXEC
    | k.MOUNT_ATTR_NODIRATIME
    | k.MOUNT_ATTR_NOSYMFOLLOW
)

# Values of `type` that name no filesystem.
_NO_FILESYSTEM = ("none", "bind", "rbind")


def target_rule(destination: str, fstype: str, pointer: str) -> TargetRule:
    """How strictly a mount point is looked up.

    Raises:
        SpecError: a place below /proc where nothing may be mounted.
    """
    if destination in _LXCFS:
        return TargetRule.LISTED_BELOW_PROC
    if destination.startswith("/proc/"):
        raise SpecError(
            f'"{destination}" cannot be mounted because it is inside /proc',
            pointer=pointer + "/destination",
        )
    if fstype in ("proc", "sysfs"):
        return TargetRule.PLAIN_DIRECTORY
    return TargetRule.PROCFS_ROOT if destination == "/proc" else TargetRule.ANYWHERE


# SELinux labels these by its own policy, and refuses a context option.
_UNLABELED = ("proc", "sysfs", "mqueue")


def compile_mounts(ctx: Context) -> list[Step]:
    """The steps of all mounts, in the order of the list, which is binding."""
    made: list[Step] = []
    for mount in ctx.mounts:
        if mount.options.remount:
            made += _remount(mount)
            continue
        # From now on another mount is there.
        ctx.anchors.pop(mount.destination, None)
        if mount.destination == "/":
            raise SpecError(
                "a mount cannot cover the root filesystem", pointer=mount.pointer + "/destination"
            )
        if mount.options.bind:
            made += _bind(ctx, mount)
        elif mount.mount.type == "cgroup":
            made += compile_cgroup(ctx, mount)
        else:
            made += _filesystem(ctx, mount)
    return made


def early_sources(ctx: Context) -> list[Step]:
    """Open all bind sources before the namespaces are entered.

    In a user namespace the container's root may not be allowed to reach them, and in another
    mount namespace their paths mean something else.
    """
    return [
        _open_source(ctx, mount)
        for mount in ctx.mounts
        # What another mount brings is not there yet: its source is opened in its turn.
        if mount.options.bind and not mount.mapped and not mount.brought
    ]


def _open_source(ctx: Context, mount: PlannedMount) -> Step:
    if not mount.mount.source:
        raise SpecError("a bind mount needs a source", pointer=mount.pointer + "/source")
    if mount.brought and ctx.early:
        return steps.OpenInside(
            result=mount.register,
            path=mount.brought,
            recursive=mount.options.recursive,
            pointer=mount.pointer,
        )
    return steps.OpenTree(
        result=mount.register,
        path=ctx.options.host_path(mount.mount.source),
        recursive=mount.options.recursive,
        pointer=mount.pointer,
    )


def _bind(ctx: Context, mount: PlannedMount) -> list[Step]:
    """A bind mount. A filesystem's own options mean nothing to it: callers give them
    anyway (the conformance suite does), and mount(2) has always ignored them."""
    options, register = mount.options, mount.register
    elsewhere = mount.mapped or (ctx.early and not mount.brought)
    made: list[Step] = [] if elsewhere else [_open_source(ctx, mount)]
    if elsewhere:
        # Cloned in the host's namespace the tree is a peer of the host's mounts, and what is
        # mounted below it later would appear there.
        made += propagation.cloned(ctx, register, mount.pointer)
    if options.set or options.clear:
        # mount(2) replaces all flags but the access time; the fallback keeps what a user
        # namespace has locked, unless the option to clear it was given.
        atime = options.clear & k.MOUNT_ATTR_ATIME
        made.append(
            steps.MountAttributes(
                mount=register,
                set=options.set,
                clear=(_REPLACED | atime) & ~(options.set & ~k.MOUNT_ATTR_ATIME),
                fallback=options.clear,
                pointer=mount.pointer,
            )
        )
    return made + _attach(mount, register, "")


def _filesystem(ctx: Context, mount: PlannedMount) -> list[Step]:
    fstype, source, options = mount.mount.type, mount.mount.source, mount.options
    if not fstype or fstype in _NO_FILESYSTEM:
        raise SpecError(
            "a mount needs a filesystem's type, or the option bind",
            pointer=mount.pointer + "/type",
            hint='for a bind mount add "bind" or "rbind" to its options',
        )
    if options.copy_up and fstype != "tmpfs":
        raise SpecError("tmpcopyup is an option of tmpfs", pointer=mount.pointer + "/options")
    attributes = options.set
    data = list(options.data)
    register = ctx.mount_register
    later = fstype == "tmpfs" or mount.destination == "/dev"
    if fstype in ("proc", "sysfs"):
        # Kept open, for the paths that are covered in there later.
        register = ctx.registers.take()
        ctx.anchors[mount.destination] = register
    if attributes & k.MOUNT_ATTR_RDONLY and later:
        # It has to be filled first, and is made read-only when all is in place.
        attributes &= ~k.MOUNT_ATTR_RDONLY
        register = ctx.registers.take()
        ctx.read_only_later.append((register, mount.pointer))
    elif attributes & k.MOUNT_ATTR_RDONLY:
        data.append("ro")
    label = ctx.spec.linux.mountLabel if ctx.spec.linux and ctx.facts.selinux else None
    if label and fstype not in _UNLABELED:
        data.append(f"context={label}")
    make = steps.MakeFilesystem(
        result=register,
        fstype=fstype,
        source=source or fstype,
        options=tuple(data),
        attributes=attributes,
        # Without `mode=` a tmpfs takes the mode of what it covers, as with runc.
        mode_of=mount.destination if fstype == "tmpfs" and not options.copy_up else None,
        pointer=mount.pointer,
    )
    made: list[Step] = [make]
    if mount.may_be_long and are_long(make.source or "", make.options):
        made = [compile_long(make, mount.destination)]
    if options.copy_up:
        keeps = not any(word.startswith("mode=") for word in data)
        made.append(
            steps.CopyUp(mount=register, path=mount.destination, mode=keeps, pointer=mount.pointer)
        )
    return made + _attach(mount, register, fstype)


def _attach(mount: PlannedMount, register: int, fstype: str) -> list[Step]:
    """After a mount is made: attributes of the mounts below it, its place, propagation."""
    options, pointer = mount.options, mount.pointer
    made: list[Step] = []
    if options.rset or options.rclear:
        made.append(
            steps.MountAttributes(
                mount=register,
                set=options.rset,
                clear=options.rclear,
                fallback=options.rclear,
                recursive=True,
                pointer=pointer,
            )
        )
    rule = target_rule(mount.destination, fstype, pointer)
    made.append(steps.Attach(mount=register, target=mount.destination, rule=rule, pointer=pointer))
    made += [
        steps.Propagation(mount=register, flag=flag, recursive=recursive, pointer=pointer)
        for flag, recursive in options.propagation
    ]
    return made


def _remount(mount: PlannedMount) -> list[Step]:
    """New attributes for a mount that is there, the root filesystem's among them."""
    options, pointer = mount.options, mount.pointer
    if options.data or options.rset or options.rclear:
        raise SpecError(
            "a remount changes a mount's own flags (ro, nosuid, nodev, ...) and nothing else",
            pointer=pointer + "/options",
        )
    if options.propagation:
        raise SpecError("a remount cannot change propagation", pointer=pointer + "/options")
    if not options.set and not options.clear:
        return []
    return [
        steps.Remount(path=mount.destination, set=options.set, clear=options.clear, pointer=pointer)
    ]


def covered_paths(ctx: Context) -> list[Step]:
    """Read-only before masked, as runc does: a mask may lie inside a read-only path."""
    linux = ctx.spec.linux
    if not linux:
        return []
    made: list[Step] = []
    for i, path in enumerate(linux.readonlyPaths):
        base, inner = ctx.within(clean(path))
        made.append(steps.ReadOnlyPath(base=base, path=inner, pointer=f"/linux/readonlyPaths/{i}"))
    seen: set[str] = set()
    for i, masked in enumerate(linux.maskedPaths):
        path = clean(masked)
        if path not in seen:
            base, inner = ctx.within(path)
            made.append(steps.MaskPath(base=base, path=inner, pointer=f"/linux/maskedPaths/{i}"))
        seen.add(path)
    return made
