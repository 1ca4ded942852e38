# SPDX-License-Identifier: Apache-2.0
"""`linux.namespaces` as steps: which are made by clone3, which joined, which unshared; pure.

Two shapes. Where nothing needs preparing (no user or time namespace, nothing joined), clone3
itself makes the namespaces and pyrunc-init is pid 1 of the new one at once. Otherwise
pyrunc-init starts in the host's namespaces, joins, unshares, has its parent write the id maps,
and goes on in a fork (CLONE_PARENT) that is pid 1 and still a direct child of the creator.
"""

from __future__ import annotations

from pyrunc.kernel import constants as k
from pyrunc.plan import steps, wire
from pyrunc.plan.context import Context
from pyrunc.plan.steps import Step

_KEEP_GROUPS = "run.oci.keep_original_groups"
FLAGS = {
    "user": k.CLONE_NEWUSER,
    "mount": k.CLONE_NEWNS,
    "pid": k.CLONE_NEWPID,
    "network": k.CLONE_NEWNET,
    "ipc": k.CLONE_NEWIPC,
    "uts": k.CLONE_NEWUTS,
    "cgroup": k.CLONE_NEWCGROUP,
    "time": k.CLONE_NEWTIME,
}


def simple(ctx: Context) -> bool:
    """Whether clone3 can make all namespaces at once."""
    return not ctx.joined and not ctx.has_namespace("user") and not ctx.has_namespace("time")


def spawn_flags(ctx: Context) -> int:
    """The namespaces that clone3 makes."""
    if not simple(ctx):
        return 0
    # The cgroup namespace is rooted in the cgroup of its maker, so it has to wait until the
    # process is in its own.
    return sum(FLAGS[kind] for kind in ctx.namespaces if kind != "cgroup")


def enter(ctx: Context) -> list[Step]:
    """The steps from the host's namespaces into the container's."""
    if simple(ctx):
        if ctx.makes("cgroup"):
            return ctx.because(
                "it is rooted in the cgroup of its maker, so after the process is in its own",
                [steps.Unshare(flags=k.CLONE_NEWCGROUP, pointer="/linux/namespaces")],
            )
        return []
    first, second = _join_steps(ctx)
    made: list[Step] = [*first]
    if ctx.makes("user"):
        made.append(steps.Unshare(flags=k.CLONE_NEWUSER, pointer="/linux/namespaces"))
        made += ctx.because(
            "from outside: inside, the capability to write the maps is gone",
            [steps.Sync(message=wire.Message.MAPS, pointer="/linux/uidMappings")],
        )
    if ctx.has_namespace("user"):
        made.append(steps.BecomeRoot(setgroups=sets_groups(ctx), pointer="/linux/namespaces"))
    made += second
    rest = sum(FLAGS[kind] for kind in ctx.namespaces if ctx.makes(kind) and kind != "user")
    if rest:
        made += ctx.because(
            "after the user namespace, so that it owns them",
            [steps.Unshare(flags=rest, pointer="/linux/namespaces")],
        )
    if ctx.spec.linux and ctx.spec.linux.timeOffsets:
        made += ctx.because(
            "before the first process is in the time namespace, which fixes them",
            [steps.Sync(message=wire.Message.CLOCKS, pointer="/linux/timeOffsets")],
        )
    if ctx.has_namespace("pid") or ctx.has_namespace("time"):
        made += fork(ctx)
    return made


def fork(ctx: Context) -> list[Step]:
    return ctx.because(
        "namespaces of processes and of time hold for children only",
        [steps.Fork(pointer="/linux/namespaces")],
    )


def keeps_groups(ctx: Context) -> bool:
    """Whether the caller's groups are kept: crun's annotation."""
    return ctx.spec.annotations.get(_KEEP_GROUPS) == "1"


def sets_groups(ctx: Context) -> bool:
    """Whether the container's processes may choose their groups.

    Not where the runtime's own user namespace denies it, and not where an unprivileged
    user maps nothing but their own group: the kernel then requires it to be denied
    (user_namespaces(7)). Nor where they are to keep those of the caller, which podman's
    --group-add keep-groups requests of crun.
    """
    if not ctx.facts.setgroups or keeps_groups(ctx):
        return False
    maps = ctx.spec.linux.gidMappings if ctx.spec.linux else ()
    return ctx.facts.privileged or len(maps) > 1 or any(m.size > 1 for m in maps)


def _join_steps(ctx: Context) -> tuple[list[Step], list[Step]]:
    joins = {
        one.kind: steps.JoinNamespace(
            ns=one.register, flag=FLAGS[one.kind], kind=one.kind, pointer=one.pointer
        )
        for one in ctx.joined
    }
    user: list[Step] = [step for kind, step in joins.items() if kind == "user"]
    others: list[Step] = [step for kind, step in joins.items() if kind not in ("user", "mount")]
    others += ctx.because(
        "the last of them: it changes the root directory",
        [step for kind, step in joins.items() if kind == "mount"],
    )
    if ctx.facts.privileged:
        why = "with the host's rights, as inside a user namespace there are none over the host's"
        return ctx.because(why, [*others, *user]), []
    return user, ctx.because("inside the user namespace: only there are rights", others)
