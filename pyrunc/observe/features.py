# SPDX-License-Identifier: Apache-2.0
"""What this build of pyrunc can do: the document of the `features` command.

Facts of the build only, never of the host it runs on: engines cache the answer. What is listed is
refused only where the host lacks it, as a label without the security module.
"""

from __future__ import annotations

from typing import Any

from pyrunc.spec.names import (
    CAPABILITIES,
    HOOKS,
    MEMORY_FLAGS,
    MEMORY_MODES,
    MOUNT_EXTENSION_OPTIONS,
    MOUNT_FLAG_OPTIONS,
    MOUNT_RECURSIVE_OPTIONS,
    NAMESPACES,
    PROPAGATIONS,
    SECCOMP_ACTIONS,
    SECCOMP_ARCHES,
    SECCOMP_FLAGS,
    SECCOMP_OPERATORS,
)

OCI_VERSION_MIN = "1.0.0"
OCI_VERSION_MAX = "1.3.0"
# runtime-spec features.md: a trailing dot makes a prefix of it.
_UNSAFE_ANNOTATIONS = (
    *("bundle", "org.systemd.property.", "org.criu.config"),
    "run.oci.keep_original_groups",
    "run.oci.seccomp.receiver",
)


def features(
    libseccomp_version: str | None,
    *,
    version: str = "",
    supported_flags: tuple[str, ...] | None = None,
    archs: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """The features document; runtime-spec, features.md.

    Args:
        libseccomp_version: of the library that the core is linked with; None without seccomp.
        version: pyrunc's own.
        supported_flags: the seccomp flags this libseccomp takes; None for all known ones.
        archs: the seccomp architectures it knows; None for all that the specification names.

    Returns:
        The document, ready for jsontext.dumps_indented.
    """
    annotations = {"org.opencontainers.runc.checkpoint.enabled": "true"}
    if version:
        # Not org.opencontainers.runc.version: that names a runc.
        annotations["org.pyrunc.version"] = version
    if libseccomp_version:
        annotations["io.github.seccomp.libseccomp.version"] = libseccomp_version
    return {
        "ociVersionMin": OCI_VERSION_MIN,
        "ociVersionMax": OCI_VERSION_MAX,
        "hooks": list(HOOKS),
        "mountOptions": sorted(
            {
                *MOUNT_FLAG_OPTIONS,
                *MOUNT_EXTENSION_OPTIONS,
                *MOUNT_RECURSIVE_OPTIONS,
                *PROPAGATIONS,
            }
        ),
        "linux": {
            "namespaces": list(NAMESPACES),
            "capabilities": list(CAPABILITIES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            },
            "seccomp": _seccomp(libseccomp_version, supported_flags, archs),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "memoryPolicy": {"modes": list(MEMORY_MODES), "flags": list(MEMORY_FLAGS)},
            "netDevices": {"enabled": True},
        },
        "annotations": annotations,
        "potentiallyUnsafeConfigAnnotations": list(_UNSAFE_ANNOTATIONS),
    }


def _seccomp(
    libseccomp_version: str | None,
    supported_flags: tuple[str, ...] | None,
    archs: tuple[str, ...] | None,
) -> dict[str, Any]:
    if libseccomp_version is None:
        return {"enabled": False}
    flags = SECCOMP_FLAGS if supported_flags is None else supported_flags
    return {
        "enabled": True,
        "actions": list(SECCOMP_ACTIONS),
        "operators": list(SECCOMP_OPERATORS),
        "archs": list(SECCOMP_ARCHES if archs is None else archs),
        "knownFlags": list(SECCOMP_FLAGS),
        "supportedFlags": list(flags),
    }
