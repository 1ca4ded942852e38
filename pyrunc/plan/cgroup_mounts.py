# SPDX-License-Identifier: Apache-2.0
"""Mounts of type cgroup as steps; pure."""

from __future__ import annotations

from pyrunc.kernel import constants as k
from pyrunc.plan import propagation, steps
from pyrunc.plan.context import Context, PlannedMount
from pyrunc.plan.mount_options import MountOptions
from pyrunc.plan.steps import Step


def compile_cgroup(ctx: Context, mount: PlannedMount) -> list[Step]:
    """`type: cgroup`: the unified hierarchy, or a tmpfs with one directory a v1 hierarchy."""
    options, destination, pointer = mount.options, mount.destination, mount.pointer
    register = ctx.mount_register
    private = ctx.has_namespace("cgroup")
    if ctx.facts.cgroup_kind == "v2":
        path = ctx.options.cgroup_paths.get("", "")
        source = _cgroup_v2(ctx, options, private, path, pointer)
        return [*source, _attach(register, destination, pointer)]
    base = options.set & ~k.MOUNT_ATTR_RDONLY
    base_register = ctx.registers.take()
    made: list[Step] = [
        steps.MakeFilesystem(
            result=base_register,
            fstype="tmpfs",
            source="tmpfs",
            options=("mode=755",),
            attributes=base,
            pointer=pointer,
        ),
        _attach(base_register, destination, pointer),
    ]
    for directory, controllers in ctx.facts.cgroup_hierarchies:
        made += _cgroup_v1(ctx, directory, controllers, options, pointer, destination)
    if options.set & k.MOUNT_ATTR_RDONLY:
        ctx.read_only_later.append((base_register, pointer))
    return made


def _cgroup_v2(
    ctx: Context, options: MountOptions, private: bool, path: str, pointer: str
) -> list[Step]:
    register = ctx.mount_register
    if private:
        return [
            steps.MakeFilesystem(
                result=register,
                fstype="cgroup2",
                source="cgroup",
                attributes=options.set,
                pointer=pointer,
            )
        ]
    # A new mount from the host's own cgroup namespace would set the options of the host's
    # hierarchy (nsdelegate and its like) to what this mount does not name, and wait for RCU.
    # In a user namespace it is refused; there the container sees its own cgroup alone.
    path = path if ctx.has_namespace("user") else ctx.facts.cgroup_unified
    return _bind(ctx, register, path, False, options, pointer)


def _bind(
    ctx: Context, register: int, path: str, recursive: bool, options: MountOptions, pointer: str
) -> list[Step]:
    """The host's directory, with the attributes that the mount is to have."""
    return [
        steps.OpenTree(result=register, path=path, recursive=recursive, pointer=pointer),
        *propagation.not_the_hosts(ctx, register, pointer),
        steps.MountAttributes(mount=register, set=options.set, pointer=pointer),
    ]


def _cgroup_v1(
    ctx: Context,
    directory: str,
    controllers: tuple[str, ...],
    options: MountOptions,
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
                pointer=pointer,
            )
        )
    else:
        path = ctx.options.cgroup_paths.get(controllers[0].removeprefix("name="), "")
        path = path or ctx.options.cgroup_paths.get(controllers[0], "")
        if not path:
            return []
        made += _bind(ctx, register, path, True, options, pointer)
    made.append(_attach(register, target, pointer))
    if len(controllers) > 1:
        made += [
            steps.Symlink(
                path=f"{destination}/{name}", target=directory, replace=False, pointer=pointer
            )
            for name in controllers
            if name != directory
        ]
    return made


def _attach(register: int, target: str, pointer: str) -> Step:
    return steps.Attach(
        mount=register, target=target, rule=steps.TargetRule.ANYWHERE, pointer=pointer
    )
