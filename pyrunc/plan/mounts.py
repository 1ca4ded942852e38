# SPDX-License-Identifier: Apache-2.0
"""`mounts` of config.json as steps; pure."""

from __future__ import annotations

from pyrunc.errors import SpecError, UnsupportedError
from pyrunc.kernel import constants as k
from pyrunc.plan import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.compile import Context
    from pyrunc.plan.steps import Step
    from pyrunc.spec.model import Mount

# A mount's own flags: option -> (bits to set, bits to clear). The access-time bits are one
# field of four values, so that setting one of them clears the field first (mount_setattr(2)).
_ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (k.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, k.MOUNT_ATTR_RDONLY),
    "nosuid": (k.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, k.MOUNT_ATTR_NOSUID),
    "nodev": (k.MOUNT_ATTR_NODEV, 0),
    "dev": (0, k.MOUNT_ATTR_NODEV),
    "noexec": (k.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, k.MOUNT_ATTR_NOEXEC),
    "nodiratime": (k.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, k.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (k.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, k.MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (k.MOUNT_ATTR_NOATIME, k.MOUNT_ATTR_ATIME),
    "atime": (0, k.MOUNT_ATTR_ATIME),
    "relatime": (k.MOUNT_ATTR_RELATIME, k.MOUNT_ATTR_ATIME),
    "norelatime": (0, k.MOUNT_ATTR_ATIME),
    "strictatime": (k.MOUNT_ATTR_STRICTATIME, k.MOUNT_ATTR_ATIME),
    "nostrictatime": (0, k.MOUNT_ATTR_ATIME),
}
# A filesystem's own flags: option -> what fsconfig is told ("" nothing).
_SUPERBLOCK = {
    "sync": "sync", "async": "async", "dirsync": "dirsync", "lazytime": "lazytime",
    "nolazytime": "nolazytime", "mand": "mand", "nomand": "nomand", "iversion": "iversion",
    "noiversion": "noiversion", "silent": "", "loud": "", "defaults": "",
}  # fmt: skip
_PROPAGATION = {
    "private": k.MS_PRIVATE,
    "slave": k.MS_SLAVE,
    "shared": k.MS_SHARED,
    "unbindable": k.MS_UNBINDABLE,
}
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

ANYWHERE, PLAIN_DIRECTORY, LISTED_BELOW_PROC, PROCFS_ROOT = range(4)


class Options:
    """The options of one mount, sorted by what they are."""

    __slots__ = ("bind", "clear", "data", "propagation", "rclear", "recursive", "rset", "set")

    def __init__(self) -> None:
        self.bind = False
        self.recursive = False
        self.set = 0
        self.clear = 0
        self.rset = 0
        self.rclear = 0
        self.propagation: list[tuple[int, bool]] = []
        self.data: list[str] = []


def parse_options(options: tuple[str, ...], pointer: str) -> Options:
    """Sort a mount's options; what no table knows is the filesystem's own.

    Args:
        options: as in config.json.
        pointer: of the mount, for messages.

    Raises:
        UnsupportedError: `remount`.
    """
    found = Options()
    for option in options:
        if option in _ATTRIBUTES:
            bits, cleared = _ATTRIBUTES[option]
            found.set = found.set & ~cleared | bits
            found.clear = found.clear & ~bits | cleared
        elif option in ("bind", "rbind"):
            found.bind = True
            found.recursive = found.recursive or option == "rbind"
        elif option in _PROPAGATION:
            found.propagation.append((_PROPAGATION[option], False))
        elif option[:1] == "r" and option[1:] in _PROPAGATION:
            found.propagation.append((_PROPAGATION[option[1:]], True))
        elif option[:1] == "r" and option[1:] in _ATTRIBUTES:
            bits, cleared = _ATTRIBUTES[option[1:]]
            found.rset = found.rset & ~cleared | bits
            found.rclear = found.rclear & ~bits | cleared
        elif option in _SUPERBLOCK:
            if _SUPERBLOCK[option]:
                found.data.append(_SUPERBLOCK[option])
        elif option == "remount":
            raise UnsupportedError(
                'the option "remount" is not supported by this version of pyrunc yet',
                pointer=pointer + "/options",
            )
        elif option:
            found.data += [word for word in option.split(",") if word]
    return found


def clean(path: str) -> str:
    """An absolute path without "." and "..", as seen from the container's root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def host_path(path: str, bundle: str) -> str:
    """A path of the host, where a relative one starts at the bundle."""
    return path if path.startswith("/") else f"{bundle}/{path}"


def target_rule(destination: str, fstype: str, pointer: str) -> int:
    """How strictly a mount point is looked up (security R5).

    Raises:
        SpecError: a place below /proc where nothing may be mounted.
    """
    if destination in _LXCFS:
        return LISTED_BELOW_PROC
    if destination.startswith("/proc/"):
        raise SpecError(
            f'"{destination}" cannot be mounted because it is inside /proc',
            pointer=pointer + "/destination",
        )
    if fstype in ("proc", "sysfs"):
        return PLAIN_DIRECTORY
    return PROCFS_ROOT if destination == "/proc" else ANYWHERE


def compile_mounts(ctx: Context) -> list[Step]:
    """The steps of all mounts, in the order of the list, which is binding."""
    made: list[Step] = []
    for index, mount in enumerate(ctx.spec.mounts):
        pointer = f"/mounts/{index}"
        options = parse_options(mount.options, pointer)
        destination = clean(mount.destination)
        if destination == "/":
            raise SpecError(
                "a mount cannot cover the root filesystem", pointer=pointer + "/destination"
            )
        if options.bind:
            made += _bind(ctx, mount, index, options)
        elif mount.type == "cgroup":
            made += _cgroup(ctx, mount, options, pointer)
        else:
            made += _filesystem(ctx, mount, options, pointer)
    return made


def early_sources(ctx: Context) -> list[Step]:
    """Open all bind sources before the namespaces are entered.

    In a user namespace the container's root may not be allowed to reach them, and in another
    mount namespace their paths mean something else.
    """
    return [
        _open_source(ctx, mount, index, parse_options(mount.options, f"/mounts/{index}"))
        for index, mount in enumerate(ctx.spec.mounts)
        if "bind" in mount.options or "rbind" in mount.options
    ]


def _open_source(ctx: Context, mount: Mount, index: int, options: Options) -> Step:
    pointer = f"/mounts/{index}"
    if not mount.source:
        raise SpecError("a bind mount needs a source", pointer=pointer + "/source")
    return steps.OpenTree(
        result=ctx.source_register(index),
        path=host_path(mount.source, ctx.options.bundle),
        recursive=options.recursive,
        pointer=pointer,
    )


def _bind(ctx: Context, mount: Mount, index: int, options: Options) -> list[Step]:
    pointer = f"/mounts/{index}"
    register = ctx.source_register(index)
    made: list[Step] = [] if ctx.early else [_open_source(ctx, mount, index, options)]
    if options.data:
        raise SpecError(
            "bind mounts cannot have any filesystem-specific options applied"
            f' ("{options.data[0]}")',
            pointer=pointer + "/options",
        )
    if ctx.early:
        # Cloned in the host's namespace the tree is a peer of the host's mounts, and what is
        # mounted below it later would appear there.
        made.append(_slave(register, pointer))
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
                recursive=0,
                pointer=pointer,
            )
        )
    made += _recursive(register, options, pointer)
    destination = clean(mount.destination)
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
    if not mount.type:
        raise SpecError("a mount needs a type, or the option bind", pointer=pointer + "/type")
    register = ctx.mount_register
    destination = clean(mount.destination)
    attributes = options.set
    data = list(options.data)
    later = mount.type == "tmpfs" or destination == "/dev"
    if attributes & k.MOUNT_ATTR_RDONLY and later:
        # It has to be filled first: made read-only when all is in place.
        attributes &= ~k.MOUNT_ATTR_RDONLY
        ctx.read_only_later.append((destination, pointer))
    elif attributes & k.MOUNT_ATTR_RDONLY:
        data.append("ro")
    made: list[Step] = [
        steps.MakeFilesystem(
            result=register,
            fstype=mount.type,
            source=mount.source or mount.type,
            options=tuple(data),
            attributes=attributes,
            mode_of=destination if mount.type == "tmpfs" else None,
            pointer=pointer,
        )
    ]
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


def _cgroup(ctx: Context, mount: Mount, options: Options, pointer: str) -> list[Step]:
    """`type: cgroup`: the unified hierarchy, or a tmpfs with one directory a v1 hierarchy."""
    register = ctx.mount_register
    destination = clean(mount.destination)
    private = ctx.has_namespace("cgroup")
    if ctx.facts.cgroup_kind == "v2":
        path = ctx.options.cgroup_paths.get("", "")
        source = _cgroup_v2(ctx, options, private, path, pointer)
        return [*source, _attach(register, destination, pointer)]
    base = options.set & ~k.MOUNT_ATTR_RDONLY
    made: list[Step] = [
        steps.MakeFilesystem(
            result=register,
            fstype="tmpfs",
            source="tmpfs",
            options=("mode=755",),
            attributes=base,
            mode_of=None,
            pointer=pointer,
        ),
        _attach(register, destination, pointer),
    ]
    for directory, controllers in ctx.hierarchies():
        made += _cgroup_v1(ctx, directory, controllers, options, pointer, destination)
    if options.set & k.MOUNT_ATTR_RDONLY:
        ctx.read_only_later.append((destination, pointer))
    return made


def _cgroup_v2(
    ctx: Context, options: Options, private: bool, path: str, pointer: str
) -> list[Step]:
    register = ctx.mount_register
    if private or not ctx.facts.privileged:
        return [
            steps.MakeFilesystem(
                result=register,
                fstype="cgroup2",
                source="cgroup",
                options=(),
                attributes=options.set,
                mode_of=None,
                pointer=pointer,
            )
        ]
    # Without a namespace of its own the container would see the host's whole tree, writable.
    return [
        steps.OpenTree(result=register, path=path, recursive=0, pointer=pointer),
        steps.MountAttributes(
            mount=register,
            set=options.set,
            clear=0,
            fallback=0,
            recursive=0,
            pointer=pointer,
        ),
    ]


def _cgroup_v1(
    ctx: Context,
    directory: str,
    controllers: tuple[str, ...],
    options: Options,
    pointer: str,
    destination: str,
) -> list[Step]:
    register = ctx.mount_register
    target = f"{destination}/{directory}"
    made: list[Step] = []
    if ctx.has_namespace("cgroup"):
        made.append(
            steps.MakeFilesystem(
                result=register,
                fstype="cgroup",
                source="cgroup",
                options=controllers,
                attributes=options.set,
                mode_of=None,
                pointer=pointer,
            )
        )
    else:
        path = ctx.options.cgroup_paths.get(controllers[0].removeprefix("name="), "")
        path = path or ctx.options.cgroup_paths.get(controllers[0], "")
        if not path:
            return []
        made += [
            steps.OpenTree(result=register, path=path, recursive=1, pointer=pointer),
            steps.MountAttributes(
                mount=register,
                set=options.set,
                clear=0,
                fallback=0,
                recursive=0,
                pointer=pointer,
            ),
        ]
    made.append(_attach(register, target, pointer))
    if len(controllers) > 1:
        made += [
            steps.Symlink(
                path=f"{destination}/{name}", target=directory, replace=0, pointer=pointer
            )
            for name in controllers
            if name != directory
        ]
    return made


def _attach(register: int, target: str, pointer: str) -> Step:
    return steps.Attach(mount=register, target=target, rule=ANYWHERE, pointer=pointer)


def _slave(register: int, pointer: str) -> Step:
    return steps.Propagation(mount=register, whole=0, flag=k.MS_SLAVE, recursive=1, pointer=pointer)


def _recursive(register: int, options: Options, pointer: str) -> list[Step]:
    if not options.rset and not options.rclear:
        return []
    return [
        steps.MountAttributes(
            mount=register,
            set=options.rset,
            clear=options.rclear,
            fallback=options.rclear,
            recursive=1,
            pointer=pointer,
        )
    ]


def _propagate(register: int, options: Options, pointer: str) -> list[Step]:
    return [
        steps.Propagation(mount=register, whole=0, flag=flag, recursive=recursive, pointer=pointer)
        for flag, recursive in options.propagation
    ]
