# SPDX-License-Identifier: Apache-2.0
"""The options of a mount, by what they mean; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyrunc.kernel import constants as k

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
ATTRIBUTE_OPTIONS = frozenset(_ATTRIBUTES)
# The same of the mounts below, too.
_BELOW = {f"r{name}": bits for name, bits in _ATTRIBUTES.items()}
# A filesystem's own flags: option -> what fsconfig gets ("" nothing). The kernel's new mount
# calls have no parameter for iversion: filesystems that count changes do so by themselves.
_SUPERBLOCK = {
    "sync": "sync", "async": "async", "dirsync": "dirsync", "lazytime": "lazytime",
    "nolazytime": "nolazytime", "mand": "mand", "nomand": "nomand", "iversion": "",
    "noiversion": "", "silent": "", "loud": "", "defaults": "",
}  # fmt: skip
# (flag, whether of the mounts below, too).
PROPAGATION = {
    "private": (k.MS_PRIVATE, False),
    "rprivate": (k.MS_PRIVATE, True),
    "slave": (k.MS_SLAVE, False),
    "rslave": (k.MS_SLAVE, True),
    "shared": (k.MS_SHARED, False),
    "rshared": (k.MS_SHARED, True),
    "unbindable": (k.MS_UNBINDABLE, False),
    "runbindable": (k.MS_UNBINDABLE, True),
}


@dataclass(slots=True)
class MountOptions:
    """The options of one mount, sorted by what they are.

    Attributes:
        bind: it is a bind mount; `recursive` with the mounts below.
        copy_up: a tmpfs gets what it covers.
        remount: of what is mounted there already.
        idmap: its owners are mapped; `ridmap` also those of the mounts below.
        set, clear: its attributes.
        rset, rclear: the same of the mounts below.
        propagation: as in `PROPAGATION`.
        data: the filesystem's own.
    """

    bind: bool = False
    recursive: bool = False
    copy_up: bool = False
    remount: bool = False
    idmap: bool = False
    ridmap: bool = False
    set: int = 0
    clear: int = 0
    rset: int = 0
    rclear: int = 0
    propagation: list[tuple[int, bool]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)


def parse_options(options: tuple[str, ...]) -> MountOptions:
    """Sort a mount's options; what no table knows is the filesystem's own.

    Args:
        options: as in config.json.
    """
    found = MountOptions()
    for option in options:
        if option in _ATTRIBUTES:
            bits, cleared = _ATTRIBUTES[option]
            found.set = found.set & ~cleared | bits
            found.clear = found.clear & ~bits | cleared
        elif option in ("bind", "rbind"):
            found.bind = True
            found.recursive = found.recursive or option == "rbind"
        elif option in PROPAGATION:
            found.propagation.append(PROPAGATION[option])
        elif option in _BELOW:
            bits, cleared = _BELOW[option]
            found.rset = found.rset & ~cleared | bits
            found.rclear = found.rclear & ~bits | cleared
        elif option in _SUPERBLOCK:
            if _SUPERBLOCK[option]:
                found.data.append(_SUPERBLOCK[option])
        elif option in ("idmap", "ridmap"):
            found.idmap = True
            found.ridmap = found.ridmap or option == "ridmap"
        elif option == "remount":
            found.remount = True
        elif option == "tmpcopyup":
            found.copy_up = True
        elif option:
            found.data += [word for word in option.split(",") if word]
    return found


def clean(path: str) -> str:
    """An absolute path without "." and "..", as seen from the container's root."""
    if path[:1] == "/" and "/." not in path and "//" not in path and path[-1:] != "/":
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)
