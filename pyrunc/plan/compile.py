# SPDX-License-Identifier: Apache-2.0
"""From a spec and facts about the host to a plan. Pure: same inputs, same plan.

`order()` decides the order; the reason for each position is data, which `pyrunc plan` shows. The
end of it, where privileges go, is `process.drop_privileges`, and for `exec` it is `joining.order`.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.host.facts import HostFacts
from pyrunc.kernel import constants as k
from pyrunc.plan import devices, mounts, namespaces, process, propagation, steps, wire
from pyrunc.plan.context import Context, Options
from pyrunc.plan.plan import Plan
from pyrunc.plan.prepare import prepare
from pyrunc.plan.steps import Step
from pyrunc.spec.model import Spec

# Engines send one of these first, and kill only after a time-out.
_ENDING = 1 << k.SIGINT | 1 << k.SIGQUIT | 1 << k.SIGTERM


def compile_plan(spec: Spec, facts: HostFacts, options: Options) -> Plan:
    """Make the plan for a container.

    Args:
        spec: checked configuration.
        facts: what the host can do.
        options: what the caller adds.

    Returns:
        The plan.

    Raises:
        SpecError: something in the configuration cannot be carried out; with its pointer.
    """
    ctx = prepare(spec, facts, options)
    if not ctx.has_namespace("mount"):
        _refuse_host_mounts(ctx)
    made = tuple(order(ctx))
    hierarchies = enumerate(facts.cgroup_hierarchies[: options.cgroup_joins], ctx.cgroup_register)
    return Plan(
        steps=made,
        spawn_flags=namespaces.spawn_flags(ctx),
        joined=ctx.joined,
        registers=ctx.registers.count,
        passed=ctx.passed,
        idmapped=tuple(mount.mapped for mount in ctx.mounts if mount.mapped),
        reasons=ctx.reasons_of(made),
        names=tuple((register, f"the cgroup in {name}") for register, (name, _) in hierarchies),
    )


def _refuse_host_mounts(ctx: Context) -> None:
    """Without a mount namespace every mount would be the host's own, and stay there."""
    root = ctx.spec.root
    for wanted, pointer in (
        (ctx.mounts, "/mounts"),
        (root and root.readonly, "/root/readonly"),
        # Device nodes would be bound, as no user namespace may make any.
        (ctx.has_namespace("user"), "/linux/namespaces"),
        (ctx.spec.linux and ctx.spec.linux.rootfsPropagation, "/linux/rootfsPropagation"),
    ):
        if wanted:
            raise SpecError(
                "the host's mounts would change: there is no mount namespace",
                pointer=pointer,
                hint='add {"type": "mount"} to /linux/namespaces',
            )


def order(ctx: Context) -> list[Step]:
    """The steps, in the one order in which they are safe."""
    spec = ctx.spec
    made = _enter(ctx)
    made += _root(ctx)
    made += ctx.because("the order of the list is binding", mounts.compile_mounts(ctx))
    made += ctx.because("after the mounts: /dev is one of them", devices.compile_devices(ctx))
    made += _hooks_before_pivot(ctx)
    made += ctx.because("from here on no step names a path of the host", _leave_host(ctx))
    made += ctx.because(
        "the container's /dev/null exists only now; after the hooks, whose output may be stdio",
        [steps.NullStdio()],
    )
    if spec.process and spec.process.cwd:
        cwd = _without_empty(spec.process.cwd)
        made += ctx.because(
            "before the root may become read-only",
            [steps.MakeDirectory(path=cwd, mode=0o755, pointer="/process/cwd")],
        )
    if ctx.options.console:
        made += ctx.because(
            "needs the container's devpts; binds /dev/console, so before /dev becomes read-only",
            [process.console(ctx)],
        )
    made += ctx.because("read-only only now: it had to be filled first", _finish_root(ctx))
    made.append(process.umask(ctx))
    made += process.names(ctx)
    made += ctx.because(
        "before the mounts below could make /proc's attributes unreachable to what it confines",
        process.profile(ctx),
    )
    made += ctx.because(
        "before /proc/sys may become read-only, and through a procfs that no mount can cover",
        process.sysctls(ctx),
    )
    made += ctx.because(
        "read-only before masked, as runc does: a mask may lie inside a read-only path",
        mounts.covered_paths(ctx),
    )
    # Only our own steps have run since the pivot, so nothing depended on it so far.
    made += ctx.because(
        "covering a path clones a mount, as the console does, and an unbindable mount cannot be "
        "cloned (EINVAL)",
        propagation.of_the_root(ctx, "unbindable"),
    )
    # The last mount is done: from here on privileges are only dropped.
    made += process.drop_privileges(ctx, process.start(ctx))
    return made


def _enter(ctx: Context) -> list[Step]:
    """From the host's namespaces into the container's, and out of the caller's session."""
    options = ctx.options
    made = ctx.because(
        "before anything else: an unfinished container dies with its creator",
        [steps.ParentDeath(signal=k.SIGKILL)],
    )
    if ctx.joined:
        made += ctx.because(
            "before the first namespace is joined: a process in there could trace us, or open our "
            "descriptors, while we still hold the host's (CVE-2016-9962)",
            [steps.Dumpable(value=False)],
        )
    made += ctx.because(
        "before any namespace: nothing may run outside the cgroup, and the root of a new cgroup "
        "namespace is the cgroup its maker is in",
        _cgroups(ctx),
    )
    if ctx.early:
        made += propagation.apart(ctx)
        made += ctx.because(
            "while the host's paths are still reachable with the host's rights",
            [_root_source(ctx), *mounts.early_sources(ctx)],
        )
    made += namespaces.enter(ctx)
    made += ctx.because(
        "after the namespaces, so that setsid happens in the process that stays",
        [steps.NewSession(ending=_ENDING)],
    )
    if process.needs_procfs(ctx):
        hosts = None if ctx.has_namespace("pid") else "/proc"
        made += ctx.because(
            "in its pid namespace, and while the host's procfs is visible: in a user namespace the "
            "kernel allows a new one only if there is a fully visible one",
            [steps.OpenProcfs(result=wire.PROCFS, hosts=hosts)],
        )
    if options.keyring:
        made += ctx.because("in the user namespace that will own it", process.keyring(ctx))
    if ctx.makes("network"):
        made.append(steps.LoopbackUp())
    if ctx.spec.linux and ctx.spec.linux.netDevices:
        made.append(steps.Sync(message=wire.Message.NETWORK, pointer="/linux/netDevices"))
    return made


def _cgroups(ctx: Context) -> list[Step]:
    made: list[Step] = []
    if ctx.options.cgroup_waits:
        made.append(steps.Sync(message=wire.Message.CGROUP, pointer="/linux/cgroupsPath"))
    if ctx.options.cgroup_joins:
        made.append(steps.JoinCgroups(first=ctx.cgroup_register, count=ctx.options.cgroup_joins))
    return made


def _without_empty(path: str) -> str:
    """`..` stays: after a link of the image the kernel has to resolve it, as chdir does."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _root_source(ctx: Context) -> Step:
    return steps.OpenTree(
        result=wire.ROOT, path=ctx.options.rootfs, recursive=True, pointer="/root/path"
    )


def _root(ctx: Context) -> list[Step]:
    """Bring the root filesystem into the mount namespace."""
    made: list[Step] = []
    if not ctx.has_namespace("mount"):
        return [steps.OpenRoot(path=ctx.options.rootfs, pointer="/root/path")]
    if ctx.makes("mount"):
        made += ctx.because(
            "the first of all mount operations: what follows appears on the host where the "
            "configuration says so and nowhere else",
            propagation.begin(ctx),
        )
    elsewhere = ctx.early or ctx.joins("mount")
    if not ctx.early:
        made.append(_root_source(ctx))
    if elsewhere:
        made += ctx.because(
            "a clone of a shared mount is its peer: the container's mounts would travel back",
            propagation.cloned(ctx, wire.ROOT, "/root/path"),
        )
    made.append(
        steps.AttachRoot(path=ctx.options.rootfs, elsewhere=elsewhere, pointer="/root/path")
    )
    return made


def _hooks_before_pivot(ctx: Context) -> list[Step]:
    hooks = ctx.spec.hooks
    if not hooks:
        return []
    made: list[Step] = []
    if hooks.prestart or hooks.createRuntime:
        made.append(steps.Sync(message=wire.Message.HOOKS))
    made += process.hooks(ctx, "createContainer", hooks.createContainer)
    return ctx.because(
        "the namespaces and mounts exist, and so does the old root, as the specification says "
        "(runtime.md, lifecycle)",
        made,
    )


def _leave_host(ctx: Context) -> list[Step]:
    """Make the root filesystem "/"."""
    if not ctx.has_namespace("mount"):
        return [steps.ChangeRoot(path=ctx.options.rootfs, move=False, pointer="/root/path")]
    if ctx.options.no_pivot:
        made = propagation.before_moving(ctx)
        made.append(steps.ChangeRoot(path=ctx.options.rootfs, move=True, pointer="/root/path"))
    else:
        made = [steps.Pivot()]
    return made + ctx.because(
        'after the pivot: before it, "/" was the host\'s tree',
        propagation.of_the_root(ctx, "shared"),
    )


def _finish_root(ctx: Context) -> list[Step]:
    """Make read-only what had to be filled first; the root itself last."""
    made: list[Step] = [_read_only(register, pointer) for register, pointer in ctx.read_only_later]
    if ctx.spec.root and ctx.spec.root.readonly:
        made.append(_read_only(wire.ROOT, "/root/readonly"))
    return made


def _read_only(register: int, pointer: str) -> Step:
    """By the mount itself: its path may already lead to another that covers it."""
    return steps.MountAttributes(mount=register, set=k.MOUNT_ATTR_RDONLY, pointer=pointer)
