# SPDX-License-Identifier: Apache-2.0
"""`mounts` of config.json as steps; pure."""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.kernel import constants as k
from pyrunc.plan import propagation, steps
from pyrunc.plan.cgroup_mounts import compile_cgroup
from pyrunc.plan.mount_options import ATTRIBUTE_OPTIONS, clean, has_long_values, parse_options
from pyrunc.plan.steps import TargetRule
from pyrunc.spec.fields import decode_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.context import Context
    from pyrunc.plan.mount_options import Options
    from pyrunc.plan.steps import Step
    from pyrunc.spec.model import Mount

_LXCFS = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip
# All that a remount of a bind without any of these options would drop, as mount(2) does.
_REPLACED = (
    k.MOUNT_ATTR_RDONLY
    | k.MOUNT_ATTR_NOSUID
    | k.MOUNT_ATTR_NODEV
    | k.MOUNT_ATTR_NOEXEC
    | k.MOUNT_ATTR_NODIRATIME
    | k.MOUNT_ATTR_NOSYMFOLLOW
)

# What stands in `type` where no filesystem is meant.
_NO_FILESYSTEM = ("none", "bind", "rbind")


def host_path(path: str, bundle: str) -> str:
    """A path of the host, where a relative one starts at the bundle."""
    return path if path.startswith("/") else f"{bundle}/{path}"


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


# SELinux labels these by its policy, and refuses a context for them.
_UNLABELED = ("proc", "sysfs", "mqueue")


# Filesystem -> the namespace whose owner alone may mount it, and what the host has in its place.
_OWNED = {"sysfs": ("network", "/sys"), "proc": ("pid", "/proc")}


def adapted(ctx: Context, mount: Mount) -> Mount:
    """A mount as a container with a user namespace can have it.

    A sysfs shows the devices of a network namespace and a procfs the processes of a pid
    namespace, and the kernel lets only their owners mount them. With the host's one there the
    container sees what the host has.
    """
    namespace, path = _OWNED.get(mount.type or "", ("", ""))
    if not namespace or ctx.has_namespace(namespace) or "bind" in mount.options:
        return mount
    kept = [option for option in mount.options if option in ATTRIBUTE_OPTIONS]
    # The mounts below come along, and must not be writable where the first one is not.
    options = ["rbind", *kept, *(["rro"] if "ro" in kept else [])]
    return decode_object(
        type(mount), {"destination": mount.destination, "source": path, "options": options}
    )


def compile_mounts(ctx: Context) -> list[Step]:
    """The steps of all mounts, in the order of the list, which is binding."""
    made: list[Step] = []
    for index, mount in enumerate(ctx.mounts):
        pointer = f"/mounts/{index}"
        options = parse_options(mount.options)
        destination = ctx.destination(mount)
        if not options.remount:
            # What is mounted there from now on is another one.
            ctx.anchors.pop(destination, None)
        if options.remount:
            made += _remount(destination, options, pointer)
            continue
        if destination == "/":
            raise SpecError(
                "a mount cannot cover the root filesystem", pointer=pointer + "/destination"
            )
        if options.bind:
            made += _bind(ctx, mount, index, options)
        elif mount.type == "cgroup":
            made += compile_cgroup(ctx, mount, options, pointer)
        else:
            made += _filesystem(ctx, mount, options, pointer)
    return made


def early_sources(ctx: Context) -> list[Step]:
    """Open all bind sources before the namespaces are entered.

    In a user namespace the container's root may not be allowed to reach them, and in another
    mount namespace their paths mean something else.
    """
    return [
        _open_source(ctx, mount, index, parse_options(mount.options))
        for index, mount in enumerate(ctx.mounts)
        if ("bind" in mount.options or "rbind" in mount.options)
        and index not in ctx.idmapped
        # That is not there yet: its source is opened in its turn.
        and not ctx.brought(index)
    ]


def _open_source(ctx: Context, mount: Mount, index: int, options: Options) -> Step:
    pointer = f"/mounts/{index}"
    if not mount.source:
        raise SpecError("a bind mount needs a source", pointer=pointer + "/source")
    inner = ctx.brought(index)
    if inner and ctx.early:
        return steps.OpenInside(
            result=ctx.source_register(index),
            path=inner,
            recursive=options.recursive,
            pointer=pointer,
        )
    return steps.OpenTree(
        result=ctx.source_register(index),
        path=host_path(mount.source, ctx.options.bundle),
        recursive=options.recursive,
        pointer=pointer,
    )


def _bind(ctx: Context, mount: Mount, index: int, options: Options) -> list[Step]:
    """A bind mount. A filesystem's own options mean nothing to it: callers give them all the
    same (the conformance suite does), and mount(2) has always passed over them."""
    pointer = f"/mounts/{index}"
    register = ctx.source_register(index)
    elsewhere = index in ctx.idmapped or (ctx.early and not ctx.brought(index))
    made: list[Step] = [] if elsewhere else [_open_source(ctx, mount, index, options)]
    if elsewhere:
        # Cloned in the host's namespace the tree is a peer of the host's mounts, and what is
        # mounted below it later would appear there.
        made += propagation.cloned(ctx, register, pointer)
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
                recursive=False,
                pointer=pointer,
            )
        )
    made += _recursive(register, options, pointer)
    destination = ctx.destination(mount)
    made.append(
        steps.Attach(
            mount=register,
            target=destination,
            rule=target_rule(destination, "", pointer),
            pointer=pointer,
        )
    )
    return made + _propagate(register, options, pointer)


def _filesystem(ctx: Context, mount: Mount, options: Options, pointer: str) -> list[Step]:
    if not mount.type or mount.type in _NO_FILESYSTEM:
        raise SpecError(
            "a mount needs a filesystem's type, or the option bind",
            pointer=pointer + "/type",
            hint='for a bind mount add "bind" or "rbind" to its options',
        )
    destination = ctx.destination(mount)
    attributes = options.set
    data = list(options.data)
    register = ctx.mount_register
    later = mount.type == "tmpfs" or destination == "/dev"
    if mount.type in ("proc", "sysfs"):
        # Kept open, for the paths that are covered in there later.
        register = ctx.new_register()
        ctx.anchors[destination] = register
    if attributes & k.MOUNT_ATTR_RDONLY and later:
        # It has to be filled first: made read-only when all is in place.
        attributes &= ~k.MOUNT_ATTR_RDONLY
        register = ctx.new_register()
        ctx.read_only_later.append((register, pointer))
    elif attributes & k.MOUNT_ATTR_RDONLY:
        data.append("ro")
    label = ctx.spec.linux.mountLabel if ctx.spec.linux and ctx.facts.selinux else None
    if label and mount.type not in _UNLABELED:
        data.append(f"context={label}")
    make = steps.MakeFilesystem(
        result=register,
        fstype=mount.type,
        source=mount.source or mount.type,
        options=tuple(data),
        attributes=attributes,
        # Without `mode=` a tmpfs takes the mode of what it covers, as with runc.
        mode_of=destination if mount.type == "tmpfs" and not options.copy_up else None,
        pointer=pointer,
    )
    made: list[Step] = [make]
    if has_long_values(mount):
        from pyrunc.plan import long_options

        if long_options.are_long(make.source or "", make.options):
            made = [long_options.compile_long(make, destination)]
    if options.copy_up:
        if mount.type != "tmpfs":
            raise SpecError("tmpcopyup is an option of tmpfs", pointer=pointer + "/options")
        keeps = not any(word.startswith("mode=") for word in data)
        made.append(steps.CopyUp(mount=register, path=destination, mode=keeps, pointer=pointer))
    made += _recursive(register, options, pointer)
    made.append(
        steps.Attach(
            mount=register,
            target=destination,
            rule=target_rule(destination, mount.type, pointer),
            pointer=pointer,
        )
    )
    return made + _propagate(register, options, pointer)


def _remount(destination: str, options: Options, pointer: str) -> list[Step]:
    """New attributes for a mount that is there, the root filesystem's among them."""
    if options.data or options.rset or options.rclear:
        raise SpecError(
            "a remount changes a mount's own flags (ro, nosuid, nodev, ...) and nothing else",
            pointer=pointer + "/options",
        )
    made: list[Step] = []
    if options.set or options.clear:
        made.append(
            steps.Remount(path=destination, set=options.set, clear=options.clear, pointer=pointer)
        )
    if options.propagation:
        raise SpecError("a remount cannot change propagation", pointer=pointer + "/options")
    return made


def _recursive(register: int, options: Options, pointer: str) -> list[Step]:
    if not options.rset and not options.rclear:
        return []
    return [
        steps.MountAttributes(
            mount=register,
            set=options.rset,
            clear=options.rclear,
            fallback=options.rclear,
            recursive=True,
            pointer=pointer,
        )
    ]


def _propagate(register: int, options: Options, pointer: str) -> list[Step]:
    return [
        steps.Propagation(
            mount=register, whole=False, flag=flag, recursive=recursive, pointer=pointer
        )
        for flag, recursive in options.propagation
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
