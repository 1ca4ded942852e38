# SPDX-License-Identifier: Apache-2.0
"""What the steps of a container's plan are made with: namespaces, mounts, registers; pure.

All of it is known before the first step is made, so that it does not constrain their order.
"""

from __future__ import annotations

from pyrunc.host.facts import HostFacts
from pyrunc.plan import idmap
from pyrunc.plan.context import Context, Options, PlannedMount, Registers
from pyrunc.plan.mount_options import ATTRIBUTE_OPTIONS, clean, parse_options
from pyrunc.plan.plan import JoinedNamespace
from pyrunc.spec.model import Mount, Spec
from pyrunc.spec.model_linux import Namespace

# Filesystem -> the namespace whose owner alone may mount it, and what the host has in its place.
_OWNED = {"sysfs": ("network", "/sys"), "proc": ("pid", "/proc")}


def prepare(spec: Spec, facts: HostFacts, options: Options) -> Context:
    """Make the context of a container's plan; parameters and errors as `compile.compile_plan`."""
    listed = spec.linux.namespaces if spec.linux else ()
    namespaces = {namespace.type: namespace for namespace in listed}
    mounts = _planned(spec, options, namespaces)
    for planned in mounts:
        if idmap.is_mapped(planned):
            planned.mapped = idmap.mapped(planned, spec, facts, options)
    joins_mounts = "mount" in namespaces and bool(namespaces["mount"].path)
    early = facts.privileged and ("user" in namespaces or joins_mounts)
    registers = Registers()
    joined = _joined(listed, registers)
    cgroup_register = registers.take(options.cgroup_joins)
    for planned in mounts:
        if planned.mapped:
            planned.register = registers.take()
    passed = registers.count
    mount_register = registers.take()
    # A source that is opened early is kept until its turn; of the others one is held at a time.
    sources = registers.take(len(mounts)) if early else mount_register
    for index, planned in enumerate(mounts):
        if not planned.mapped:
            planned.register = sources + index if early else mount_register
    return Context(
        spec=spec,
        facts=facts,
        options=options,
        namespaces=namespaces,
        registers=registers,
        cgroup_register=cgroup_register,
        passed=passed,
        joined=joined,
        mounts=mounts,
        early=early,
        mount_register=mount_register,
        reasons={} if options.explained else None,
    )


def _joined(listed: tuple[Namespace, ...], registers: Registers) -> tuple[JoinedNamespace, ...]:
    return tuple(
        JoinedNamespace(
            registers.take(), namespace.path, namespace.type, f"/linux/namespaces/{index}/path"
        )
        for index, namespace in enumerate(listed)
        if namespace.path
    )


def _planned(
    spec: Spec, options: Options, namespaces: dict[str, Namespace]
) -> tuple[PlannedMount, ...]:
    root = options.rootfs.rstrip("/")
    made: list[PlannedMount] = []
    for index, configured in enumerate(spec.mounts):
        # What no user namespace may mount it gets as a bind mount, as with crun.
        mount = _adapted(configured, namespaces) if "user" in namespaces else configured
        destination = clean(mount.destination)
        # The host's path of the container's root is taken off, as runc does.
        if root and destination.startswith(root + "/"):
            destination = destination[len(root) :]
        planned = PlannedMount(mount, parse_options(mount.options), destination, f"/mounts/{index}")
        planned.brought = _brought(mount.source or "", root + "/", made)
        made.append(planned)
    return tuple(made)


def _brought(source: str, root: str, before: list[PlannedMount]) -> str:
    if not source.startswith(root):
        return ""
    inner = clean(source[len(root) :])
    places = (planned.destination for planned in before)
    return inner if any(f"{inner}/".startswith(f"{place}/") for place in places) else ""


def _adapted(mount: Mount, namespaces: dict[str, Namespace]) -> Mount:
    """A mount as a container with a user namespace can have it.

    A sysfs shows the devices of a network namespace and a procfs the processes of a pid
    namespace, and the kernel lets only their owners mount them. With the host's one there the
    container sees what the host has.
    """
    namespace, path = _OWNED.get(mount.type or "", ("", ""))
    if not namespace or namespace in namespaces or mount.is_bind:
        return mount
    kept = [option for option in mount.options if option in ATTRIBUTE_OPTIONS]
    # The mounts below come along, and must not be writable where the first one is not.
    options = ("rbind", *kept, *(["rro"] if "ro" in kept else []))
    return Mount(destination=mount.destination, source=path, options=options)
