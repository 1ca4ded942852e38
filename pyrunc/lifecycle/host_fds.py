# SPDX-License-Identifier: Apache-2.0
"""Descriptors of host objects that some containers need: namespaces, id-mapped mounts."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyrunc.errors import PyruncError, SpecError, reported
from pyrunc.host.probe import has_lsm
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.lifecycle import idmap
from pyrunc.plan import namespaces
from pyrunc.plan.plan import Plan
from pyrunc.spec.model import Spec

Keep = Callable[[Descriptor], int]


def of_plan(spec: Spec, plan: Plan, keep: Keep) -> tuple[list[int], list[int]]:
    """Open what a container needs from the host.

    Args:
        spec: checked configuration.
        plan: its plan.
        keep: gets each descriptor, closes it when the creation ends, and lends its number.

    Returns:
        Descriptors for `plan.joined`, and for `plan.idmapped`.

    Raises:
        PyruncError: as the functions below.
    """
    check_labels(spec)
    return open_namespaces(spec, plan, keep), idmapped_mounts(plan, keep)


def check_labels(spec: Spec) -> None:
    """Refuse a label that no security module would enforce on the process.

    A mount label confines nothing: without SELinux the plan leaves it out, with a warning
    (decision 64).

    Raises:
        PyruncError: with the pointer of the label.
    """
    process = spec.process
    for value, name, title, pointer in (
        (process and process.apparmorProfile, "apparmor", "AppArmor", "/process/apparmorProfile"),
        (process and process.selinuxLabel, "selinux", "SELinux", "/process/selinuxLabel"),
    ):
        if value and not has_lsm(name):
            raise PyruncError(
                f"config provided but {title} is not enabled on this host", pointer=pointer
            )
    if spec.linux and spec.linux.mountLabel and not has_lsm("selinux"):
        spec.warnings.append("/linux/mountLabel: left out, SELinux is not enabled on this host")


def open_namespaces(spec: Spec, plan: Plan, keep: Keep) -> list[int]:
    """Open all before the first is entered: afterwards their paths are out of reach.

    Args:
        spec: checked configuration.
        plan: its plan.
        keep: as for `of_plan`.

    Returns:
        A descriptor for each of `plan.joined`.

    Raises:
        KernelError: a path cannot be opened.
        SpecError: it is not such a namespace, or the host's network with a net.* sysctl.
    """
    fds = []
    for joined in plan.joined:
        path, kind, pointer = joined.path, joined.kind, joined.pointer
        with reported("open namespace", "open", path, pointer=pointer):
            # Opening a fifo would block until it has a writer.
            fd = keep(opened(path, os.O_RDONLY | os.O_NONBLOCK))
        if calls.namespace_type(fd) != namespaces.FLAGS[kind]:
            raise SpecError(f'"{path}" is not a {kind} namespace', pointer=pointer)
        if kind == "network":
            _refuse_host_network(spec, fd, pointer)
        fds.append(fd)
    return fds


def _refuse_host_network(spec: Spec, fd: int, pointer: str) -> None:
    """A net.* sysctl in the host's own network namespace would change the host."""
    ours, theirs = os.stat("/proc/self/ns/net"), os.fstat(fd)
    keys = spec.linux.sysctl if spec.linux else {}
    if ours.st_ino == theirs.st_ino and any(key.startswith("net") for key in keys):
        raise SpecError("a net.* sysctl needs a network namespace of its own", pointer=pointer)


def idmapped_mounts(plan: Plan, keep: Keep) -> list[int]:
    """Make the id-mapped mounts of a plan.

    Args:
        plan: the plan.
        keep: as for `of_plan`.

    Returns:
        A descriptor for each of `plan.idmapped`.

    Raises:
        KernelError: the kernel refuses.
    """
    return [keep(mount) for mount in idmap.make(plan.idmapped)]
