# SPDX-License-Identifier: Apache-2.0
"""The specification's rules about values: those that need no kernel to judge.

`check` walks the document in its own order and raises at the first broken rule. Whether this
host supports it is checked elsewhere. Each concern of `linux` has a file of its own:
check_linux.py, check_resources.py, check_seccomp.py, sysctl.py.
"""

from __future__ import annotations

import os.path

from pyrunc.errors import SpecError
from pyrunc.spec.check_linux import check_linux, check_mappings
from pyrunc.spec.check_process import check_process
from pyrunc.spec.model import Hook, Hooks, Mount, Spec
from pyrunc.spec.names import HOOKS, PROPAGATIONS, SECCOMP_RECEIVER
from pyrunc.spec.spelling import check_bind_options

# More than any real configuration has; each costs the runtime memory and time.
MAX_MOUNTS = 10_000
# What nearly all bind mounts have; spelling.py knows the others.
_BIND = frozenset(
    ("bind", "rbind", "ro", "rw", "nosuid", "nodev", "noexec", "relatime", "noatime", *PROPAGATIONS)
)


def check(spec: Spec) -> None:
    """Check a whole document.

    Args:
        spec: the decoded document. What is odd but not wrong is appended to `spec.warnings`.

    Raises:
        SpecError: the first broken rule, with the JSON pointer.
    """
    _check_version(spec.ociVersion, spec.warnings)
    if spec.process is None:
        # Callers match this text, which is runc's.
        raise SpecError("process property must not be empty", pointer="/process")
    check_process(spec.process, "/process", spec.warnings)
    if spec.root is None:
        raise SpecError("root property must not be empty", pointer="/root")
    if not spec.root.path:
        raise SpecError("must name the root filesystem's directory", pointer="/root/path")
    _check_names(spec)
    _check_mounts(spec.mounts, spec.warnings)
    if spec.hooks:
        _check_hooks(spec.hooks)
    for key in spec.annotations:
        if not key:
            spec.warnings.append("/annotations: has a member with an empty name")
    if SECCOMP_RECEIVER in spec.annotations:
        seccomp = spec.linux and spec.linux.seccomp
        if not (seccomp and seccomp.notifies):
            where = f"/annotations/{SECCOMP_RECEIVER}"
            spec.warnings.append(f"{where}: nothing is sent there, no rule has SCMP_ACT_NOTIFY")
    if spec.linux:
        check_linux(spec.linux, "/linux", spec.warnings)


def _check_version(version: str, warnings: list[str]) -> None:
    # SemVer 2.0: the numbers end where a pre-release (-) or build (+) part starts.
    numbers = version.partition("+")[0].partition("-")[0].split(".")
    digits = "".join(numbers)
    if len(numbers) > 3 or not all(numbers) or not (digits.isascii() and digits.isdigit()):
        raise SpecError(
            f'"{version}" is not a version of the specification',
            pointer="/ociVersion",
            hint='write it as "1.2.0"',
        )
    if numbers[0] not in ("0", "1"):
        raise SpecError(f'version "{version}" is not supported, only 1.x is', pointer="/ociVersion")
    if numbers[0] == "0" or len(numbers) < 3:
        # No runtime looks; what was written for a draft means nearly the same.
        warnings.append(f'/ociVersion: "{version}" is read as 1.x')


def _check_names(spec: Spec) -> None:
    namespaces = spec.linux.namespaces if spec.linux else ()
    if any(namespace.type == "uts" for namespace in namespaces):
        return
    for name, value in (("hostname", spec.hostname), ("domainname", spec.domainname)):
        if value:
            raise SpecError(
                f"the {name} of the host would change: there is no uts namespace",
                pointer=f"/{name}",
                hint='add {"type": "uts"} to /linux/namespaces',
            )


def _check_mounts(mounts: tuple[Mount, ...], warnings: list[str]) -> None:
    if len(mounts) > MAX_MOUNTS:
        raise SpecError(
            f"{len(mounts)} mounts, at most {MAX_MOUNTS} are allowed", pointer="/mounts"
        )
    for index, mount in enumerate(mounts):
        where = f"/mounts/{index}"
        destination = mount.destination
        if not destination:
            raise SpecError("must not be empty", pointer=f"{where}/destination")
        if _is_root(destination) and "remount" not in mount.options:
            raise SpecError(
                f'"{destination}" is the root filesystem itself, which nothing can be mounted over',
                pointer=f"{where}/destination",
                hint="set /root/path instead",
            )
        if destination[0] != "/":
            warnings.append(
                f'{where}/destination: "{destination}" is relative, which is deprecated;'
                " it is taken relative to /"
            )
        if mount.is_bind and not _BIND.issuperset(mount.options):
            check_bind_options(mount.options, f"{where}/options", warnings)
        if bool(mount.uidMappings) != bool(mount.gidMappings):
            raise SpecError(
                "uidMappings and gidMappings must be given both, or neither", pointer=where
            )
        if mount.uidMappings:
            check_mappings(mount.uidMappings, f"{where}/uidMappings")
            check_mappings(mount.gidMappings, f"{where}/gidMappings")


def _is_root(destination: str) -> bool:
    # normpath keeps two leading slashes, as POSIX wants it.
    return os.path.normpath(f"/{destination}") in ("/", "//")


def _check_hooks(hooks: Hooks) -> None:
    for name in HOOKS:
        listed: tuple[Hook, ...] = getattr(hooks, name)
        for index, hook in enumerate(listed):
            where = f"/hooks/{name}/{index}"
            if hook.path[:1] != "/":
                raise SpecError(
                    f'the path of a hook must be absolute, not "{hook.path}"',
                    pointer=f"{where}/path",
                )
            if hook.timeout is not None and hook.timeout <= 0:
                raise SpecError(
                    f"must be greater than 0 seconds, not {hook.timeout}",
                    pointer=f"{where}/timeout",
                    hint="leave it out for no time limit",
                )
