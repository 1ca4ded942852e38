# SPDX-License-Identifier: Apache-2.0
"""The plan of a process that joins a running container (`exec`); pure.

The container is hostile: what runs in it may watch for us, trace us, rename what we look up. So
nothing of the host's is opened once the first namespace is entered, no process in there can inspect
us, and the namespaces are those of one process, by its pidfd: there is no path in between that
could lead to another process's.
"""

from __future__ import annotations

from pyrunc.host.facts import HostFacts
from pyrunc.kernel import constants as k
from pyrunc.plan import namespaces, process, steps, wire
from pyrunc.plan.context import Context, Options, Registers
from pyrunc.plan.plan import Plan
from pyrunc.plan.scheduling import affinity
from pyrunc.plan.steps import Step
from pyrunc.spec.model import Process, Spec

# The pidfd of the container's first process, once for each join: setns closes its copy.
_TARGETS = 2


def for_exec(spec: Spec, process: Process | None = None) -> Spec:
    """Turn a container's document into that of a further process of it.

    Args:
        spec: of the container; it is changed.
        process: the one to run; None is the container's own.

    Returns:
        The same spec, with the namespaces to join and without what exists already.
    """
    spec.process = process or spec.process
    spec.mounts, spec.hooks = (), None
    if spec.linux:
        for namespace in spec.linux.namespaces:
            namespace.path = None
        spec.linux.netDevices = {}
        spec.linux.sysctl = {}
    return spec


def compile_joining(spec: Spec, facts: HostFacts, options: Options) -> Plan:
    """Make the plan for a further process of a container.

    Args:
        spec: from `for_exec`.
        facts: what the host can do.
        options: as for `compile.compile_plan`; rootfs is used without a mount namespace only.

    Returns:
        The plan. Its last two passed registers are for the pidfd of the container's init, and
        PROCFS for the host's /proc where `process.needs_procfs` says so.

    Raises:
        SpecError: something cannot be carried out; with its pointer.
    """
    listed = spec.linux.namespaces if spec.linux else ()
    registers = Registers()
    cgroups = registers.take(options.cgroup_joins)
    target = registers.take(_TARGETS)
    ctx = Context(
        spec=spec,
        facts=facts,
        options=options,
        namespaces={namespace.type: namespace for namespace in listed},
        registers=registers,
        cgroup_register=cgroups,
        passed=registers.count,
        reasons={} if options.explained else None,
    )
    names = tuple((target + i, "the container's init") for i in range(_TARGETS))
    made = tuple(order(ctx, target))
    reasons = ctx.reasons_of(made)
    return Plan(made, 0, (), registers.count, ctx.passed, names=names, reasons=reasons)


def order(ctx: Context, target: int) -> list[Step]:
    """The steps, in the one order in which they are safe."""
    made = ctx.because(
        "before anything else: a caller that has died has no use for this process",
        [steps.ParentDeath(signal=k.SIGKILL)],
    )
    made += ctx.because(
        "before the first namespace: a process in there could trace us, or open what we have "
        "open (CVE-2016-9962), as soon as it can see us",
        [steps.Dumpable(value=False)],
    )
    made += ctx.because(
        "by the host's /proc, which the first join closes", process.joining_labels(ctx)
    )
    made += ctx.because(
        "before any namespace: nothing may run in the container that its limits do not hold",
        _cgroups(ctx),
    )
    made += ctx.because(
        "those that the host may own with the host's rights, so before the user namespace; "
        "without rights on the host the other way round, as all rights are in there",
        _enter(ctx, target),
    )
    made += ctx.because(
        "after the fork, so that setsid happens in the process that stays",
        [steps.NewSession(ending=0)],
    )
    made += _root(ctx)
    if ctx.options.keyring:
        made += ctx.because(
            "by its name, in the user namespace that owns it: the container's own",
            process.joined_keyring(ctx),
        )
    if ctx.options.console:
        made.append(process.console(ctx, mount=False))
    made.append(process.umask(ctx))
    made += process.drop_privileges(ctx, [])
    return made


def _cgroups(ctx: Context) -> list[Step]:
    wanted = ctx.spec.process.execCPUAffinity if ctx.spec.process else None
    made: list[Step] = []
    if wanted and wanted.initial:
        made.append(affinity(wanted.initial, "/process/execCPUAffinity/initial"))
    if ctx.options.cgroup_waits:
        made.append(steps.Sync(message=wire.Message.CGROUP, pointer="/linux/cgroupsPath"))
    if ctx.options.cgroup_joins:
        made.append(steps.JoinCgroups(first=ctx.cgroup_register, count=ctx.options.cgroup_joins))
    if wanted and wanted.final:
        made += ctx.because(
            "in the cgroup: its cpuset decides which processors are allowed",
            [affinity(wanted.final, "/process/execCPUAffinity/final")],
        )
    return made


def _enter(ctx: Context, target: int) -> list[Step]:
    kinds = [kind for kind in ctx.namespaces if kind != "user"]
    flags = sum(namespaces.FLAGS[kind] for kind in kinds)
    made: list[Step] = []
    if flags:
        made.append(_join(target, flags, ", ".join(kinds)))
    if ctx.has_namespace("user"):
        user = _join(target + 1, k.CLONE_NEWUSER, "user")
        made = [*made, user] if ctx.facts.privileged else [user, *made]
        root = steps.BecomeRoot(setgroups=namespaces.sets_groups(ctx), pointer="/linux/namespaces")
        made.insert(made.index(user) + 1, root)
    if ctx.has_namespace("pid") or ctx.has_namespace("time"):
        made += namespaces.fork(ctx)
    return made


def _join(register: int, flag: int, kind: str) -> Step:
    return steps.JoinNamespace(ns=register, flag=flag, kind=kind, pointer="/linux/namespaces")


def _root(ctx: Context) -> list[Step]:
    if ctx.has_namespace("mount"):
        return ctx.because(
            "setns has made the container's root ours",
            [steps.OpenRoot(path="/", pointer="/root/path")],
        )
    path = ctx.options.rootfs
    return [
        steps.OpenRoot(path=path, pointer="/root/path"),
        steps.ChangeRoot(path=path, move=False, pointer="/root/path"),
    ]
