# SPDX-License-Identifier: Apache-2.0
"""What the order of the steps must hold, whatever the document and the host.

The golden plans say what the order is; these say which of it is safety.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from pyrunc.errors import SpecError
from pyrunc.kernel import constants as k
from pyrunc.plan import steps as s
from pyrunc.plan import wire
from pyrunc.plan.plan import Plan
from pyrunc.plan.steps import Step
from tests.unit import plan_specs
from tests.unit.plan_specs import HOST, Case, random_cases

# Everything that changes what some mount namespace shows. OpenTree and MakeFilesystem make
# detached trees; attaching them is what counts.
CHANGES_MOUNTS = (
    s.Propagation, s.PrivateParent, s.AttachRoot, s.MountAttributes, s.Attach, s.MakeDirectory,
    s.MakeNode, s.Symlink, s.Pivot, s.Console, s.ReadOnlyPath, s.MaskPath,
)  # fmt: skip
NAMES_HOST_PATHS = (s.OpenTree, s.OpenRoot)
# Registers that a step uses without naming them: csrc/init.
IMPLIED = {
    s.Sync: (wire.SYNC,),
    s.WaitStart: (wire.FIFO,),
    s.AttachRoot: (wire.ROOT,),
    s.Sysctl: (wire.PROCFS,),
}
RESULTS = {"result"}

checked = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def compiled(case: Case) -> Plan | None:
    """The plan, or None for a document that the compiler refuses: with its own error only."""
    try:
        return case.plan()
    except SpecError as error:
        assert error.pointer
        return None


def places(plan: Plan, *kinds: type[Step]) -> list[int]:
    return [i for i, step in enumerate(plan.steps) if isinstance(step, kinds)]


def place(plan: Plan, kind: type[Step]) -> int:
    found = places(plan, kind)
    assert len(found) == 1, f"{kind.__name__}: {len(found)} times"
    return found[0]


def message(step: Step) -> str:
    return wire.MESSAGES[step.__dict__["message"]]


def pivot(plan: Plan) -> int:
    """Where the root filesystem becomes "/", by whichever way."""
    found = places(plan, s.Pivot, s.ChangeRoot)
    assert len(found) == 1
    return found[0]


def parked(plan: Plan) -> int:
    found = [i for i in places(plan, s.Sync) if message(plan.steps[i]) == "parked"]
    assert len(found) == 1
    return found[0]


def no_host_path_after_pivot(plan: Plan) -> None:
    at = pivot(plan)
    assert max(places(plan, *NAMES_HOST_PATHS)) < at
    for step in plan.steps[at + 1 :]:
        # Only hooks are named by the host's paths: startContainer's are the container's own.
        if not isinstance(step, s.RunHook):
            assert HOST not in repr({**step.__dict__, "variables": ()}), step
    runtime_hooks = [i for i in places(plan, s.RunHook) if i < at]
    assert all(plan.steps[i].__dict__["name"] == "createContainer" for i in runtime_hooks)


def filter_is_loaded_where_it_may_be(plan: Plan) -> None:
    filters, confined = places(plan, s.Seccomp), places(plan, s.NoNewPrivileges)
    assert len(filters) <= 1
    assert len(confined) <= 1
    if filters and confined:
        assert confined[0] < filters[0]
        assert filters[0] > place(plan, s.CloseDescriptors)
    elif filters:
        drops = places(plan, s.SetIds, s.SetCapabilities)
        # A filter could answer PR_CAPBSET_DROP in the kernel's place.
        assert place(plan, s.DropBounding) < filters[0] < min(drops)
        assert filters[0] > pivot(plan)
    assert all(i < parked(plan) for i in (*filters, *confined))


def privileges_go_after_the_last_mount(plan: Plan) -> None:
    last = max(places(plan, *CHANGES_MOUNTS))
    drops = places(plan, s.DropBounding, s.SetIds, s.SetCapabilities, s.AmbientCapabilities)
    assert last < min(drops)
    bounding, capabilities = places(plan, s.DropBounding), places(plan, s.SetCapabilities)
    assert len(bounding) == len(capabilities) == len(places(plan, s.AmbientCapabilities))
    if bounding:
        ids = place(plan, s.SetIds)
        assert bounding[0] < ids < capabilities[0] < place(plan, s.AmbientCapabilities)
    assert place(plan, s.ChownStdio) < place(plan, s.SetIds)


def what_needs_rights_comes_before_they_go(plan: Plan) -> None:
    needing = places(plan, s.Scheduler, s.IoPriority, s.Personality, s.MemoryPolicy, s.Label)
    lasts = places(plan, s.DropBounding, s.Seccomp)
    labels = [i for i in needing if isinstance(plan.steps[i], s.Label)]
    assert not needing or max(needing) < min(lasts)
    # Through a procfs that was opened before the container's mounts.
    assert not labels or place(plan, s.OpenProcfs) < min(labels)


def the_end_is_parked_then_start_then_execute(plan: Plan) -> None:
    assert place(plan, s.CloseDescriptors) < parked(plan)
    assert place(plan, s.FindProgram) < place(plan, s.CloseDescriptors)
    wait, execute = place(plan, s.WaitStart), place(plan, s.Execute)
    assert wait == parked(plan) + 1
    assert execute == len(plan.steps) - 1
    between = plan.steps[wait + 1 : execute]
    assert all(isinstance(step, s.RunHook) for step in between)
    assert all(step.__dict__["name"] == "startContainer" for step in between)


def prelude(plan: Plan) -> list[int]:
    """Before a user namespace: a mount namespace to clone sources in, a slave at once."""
    at = next((i for i in places(plan, s.Unshare, s.JoinNamespace, s.OpenTree)), 0)
    if plan.steps[at] != s.Unshare(flags=k.CLONE_NEWNS, pointer="/linux/namespaces"):
        return []
    slave = s.Propagation(mount=wire.ROOT, whole=1, flag=k.MS_SLAVE, recursive=1)
    if plan.steps[at + 1] != slave:
        return []
    # Only a slave is shared again, and the clones' parent is private then.
    made = [at + 1]
    while isinstance(plan.steps[made[-1] + 1], s.Propagation | s.PrivateParent):
        made.append(made[-1] + 1)
    return made


def leaves_the_host(step: Step) -> bool:
    """Of a slave and of a private mount nothing travels to the host."""
    return step.__dict__["flag"] in (k.MS_SLAVE, k.MS_PRIVATE) and step.__dict__["recursive"] == 1


def mounts_begin_by_leaving_the_hosts_peers(plan: Plan, case: Case) -> None:
    if not any(entry["type"] == "mount" for entry in case.config["linux"]["namespaces"]):
        mounting = (s.Propagation, s.OpenTree, s.MakeFilesystem, s.Attach, s.Remount)
        assert not places(plan, *mounting, s.ReadOnlyPath, s.MaskPath, s.AttachRoot)
        return
    changes = [i for i in places(plan, *CHANGES_MOUNTS) if i not in prelude(plan)]
    first = plan.steps[changes[0]]
    assert isinstance(first, s.Propagation)
    makes = any(
        entry["type"] == "mount" and "path" not in entry
        for entry in case.config["linux"]["namespaces"]
    )
    wanted = case.config["linux"].get("rootfsPropagation", "")
    early = bool(places(plan, s.JoinNamespace)) or plan.spawn_flags == 0
    whole = [i for i in places(plan, s.Propagation) if plan.steps[i].__dict__["whole"]]
    attached = place(plan, s.AttachRoot)
    if makes:
        assert first.__dict__["whole"] == 1
        assert attached > changes[0]
        if not leaves_the_host(first):
            # The propagation leaves mounts shared with the host: not the root's parent.
            assert wanted in ("private", "slave", "shared", "rshared", "unbindable")
            assert isinstance(plan.steps[changes[0] + 1], s.PrivateParent)
            assert plan.steps[attached].__dict__["elsewhere"] == 0
            # And the root itself is cloned from there, afterwards.
            assert isinstance(plan.steps[attached - 1], s.OpenTree)
            return
    # The only other one is the container's own root, after the pivot.
    first_two = (changes[0], *prelude(plan))
    assert all(i in first_two or i > pivot(plan) for i in whole)
    if wanted in ("", "rprivate", "rslave", "runbindable") and not early:
        return
    # And no clone of a host's mount is attached while it is a peer of it.
    assert (
        len(prelude(plan)) > 1
        or any(
            plan.steps[i].__dict__["mount"] == wire.ROOT
            and not plan.steps[i].__dict__["whole"]
            and leaves_the_host(plan.steps[i])
            for i in places(plan, s.Propagation)
            if i < attached
        )
        or plan.steps[attached - 1]
        == s.OpenTree(
            result=wire.ROOT,
            path=case.options().rootfs,
            recursive=1,
            pointer="/root/path",
        )
    )


def nothing_is_cloned_once_it_is_unbindable(plan: Plan) -> None:
    """EINVAL of open_tree(2); covering a path clones what is there, or the null device."""
    made = [i for i in places(plan, s.Propagation)
            if plan.steps[i].__dict__["flag"] == k.MS_UNBINDABLE
            and plan.steps[i].__dict__["whole"]]  # fmt: skip
    clones = places(plan, s.OpenTree, s.Console, s.ReadOnlyPath, s.MaskPath)
    assert not made or not clones or made[0] > clones[-1]


def dies_with_its_creator_until_it_is_parked(plan: Plan) -> None:
    signals = [(i, plan.steps[i].__dict__["signal"]) for i in places(plan, s.ParentDeath)]
    assert [signal for _, signal in signals] == [9, 9, 0]
    (first, _), (again, _), (off, _) = signals
    assert first == 0
    assert again == place(plan, s.SetIds) + 1
    assert place(plan, s.CloseDescriptors) < off < parked(plan)


def namespaces_are_entered_untraceable_and_in_order(plan: Plan) -> None:
    joins, guard = places(plan, s.JoinNamespace), places(plan, s.Dumpable)
    assert len(joins) == len(plan.joined)
    if joins:
        assert plan.steps[guard[0]] == s.Dumpable(value=0)
        assert guard[0] < joins[0]
    cgroups = places(plan, s.JoinCgroups)
    entered = places(plan, s.JoinNamespace, s.Unshare, s.Fork)
    assert not cgroups or not entered or max(cgroups) < min(entered)
    changes = [i for i in places(plan, *CHANGES_MOUNTS) if i not in prelude(plan)]
    assert not entered or max(entered) < min(changes)
    maps = [i for i in places(plan, s.Sync) if message(plan.steps[i]) == "maps"]
    made_user = [
        i for i in places(plan, s.Unshare) if plan.steps[i].__dict__["flags"] & k.CLONE_NEWUSER
    ]
    assert [i - 1 for i in maps] == made_user, "a user namespace is mapped as soon as it is made"
    if places(plan, s.Fork):
        assert place(plan, s.Fork) == max(entered)
        assert plan.spawn_flags == 0
    assert place(plan, s.NewSession) > max(entered, default=0)


def every_namespace_is_entered_once(plan: Plan, case: Case) -> None:
    flags = [plan.spawn_flags] if plan.spawn_flags else []
    for i in places(plan, s.Unshare):
        if i + 1 not in prelude(plan):
            flags.append(plan.steps[i].__dict__["flags"])
    for i in places(plan, s.JoinNamespace):
        flags.append(plan.steps[i].__dict__["flag"])
    total = 0
    for flag in flags:
        assert total & flag == 0, "twice"
        total |= flag
    assert total.bit_count() == len(case.config["linux"]["namespaces"])


def registers_are_filled_before_they_are_used(plan: Plan, case: Case) -> None:
    filled = {wire.PLAN, wire.SYNC, wire.FIFO}
    if case.config["process"].get("terminal"):
        filled.add(wire.CONSOLE)
    filled |= set(range(wire.FIRST_FREE, plan.passed))
    if case.joining and places(plan, s.Label):
        filled.add(wire.PROCFS)  # the host's, from outside
    assert {one.register for one in plan.joined} <= filled
    allowed = set(range(plan.registers))
    assert plan.passed <= plan.registers <= wire.MAX_REGISTERS
    for step in plan.steps:
        if isinstance(step, s.CloseDescriptors):
            filled = {wire.SYNC, wire.FIFO}
        used = set(IMPLIED.get(type(step), ()))
        made: set[int] = set()
        for name, kind in step.FIELDS:
            if kind == wire.REGISTER:
                (made if name in RESULTS else used).add(step.__dict__[name])
        if isinstance(step, s.Propagation) and step.__dict__["whole"]:
            used = set()  # it means "/" of the namespace
        if isinstance(step, s.JoinCgroups):
            first, count = step.__dict__["first"], step.__dict__["count"]
            used = set(range(first, first + count))
        assert used <= filled, step
        assert used | made <= allowed
        filled |= made


@checked
@given(random_cases())
def test_the_order_is_safe_for_every_document(case: Case) -> None:
    plan = compiled(case)
    if plan is None:
        return
    check_all(plan, case)


@pytest.mark.parametrize("name", plan_specs.cases())
def test_the_order_is_safe_in_the_golden_plans(name: str) -> None:
    case = plan_specs.cases()[name]
    if case.joining:
        check_joining(case.plan(), case)
    elif case.criu:
        check_criu(case.plan())
    else:
        check_all(case.plan(), case)


@checked
@given(random_cases())
def test_joining_is_safe_for_every_document(case: Case) -> None:
    case = case._replace(joining=True)
    plan = compiled(case)
    if plan is not None:
        check_joining(plan, case)


def check_criu(plan: Plan) -> None:
    """The host's program, in a mount namespace of its own: nothing is mounted before it is."""
    unshared = place(plan, s.Unshare)
    assert plan.steps[unshared].__dict__["flags"] == k.CLONE_NEWNS
    assert plan.steps[unshared + 1] == s.Propagation(
        mount=wire.ROOT, whole=1, flag=k.MS_SLAVE, recursive=1
    )
    changes = places(plan, *CHANGES_MOUNTS, s.OpenTree, s.MakeFile, s.SendDirectory)
    assert min(changes) == unshared + 1
    assert max(places(plan, s.JoinCgroups, s.Sync)[:2]) < unshared
    assert max(changes) < place(plan, s.InheritDescriptors) < parked(plan)
    assert parked(plan) == place(plan, s.Execute) - 1 == len(plan.steps) - 2


def check_joining(plan: Plan, case: Case) -> None:
    """A process that joins a hostile container."""
    joins = places(plan, s.JoinNamespace)
    kinds = {entry["type"] for entry in case.config["linux"]["namespaces"]}
    assert len(joins) == ("user" in kinds) + bool(kinds - {"user"})
    first, last = min(joins, default=0), max(joins, default=0)
    assert plan.steps[0] == s.ParentDeath(signal=9)
    if joins:
        assert plan.steps[1] == s.Dumpable(value=0)
    # The host's /proc is closed by the first join.
    labels = places(plan, s.Label)
    assert max(labels, default=0) < first or not labels
    # In its limits before anything of the container can see it.
    cgroups = places(plan, s.JoinCgroups, s.Affinity)
    assert max(cgroups, default=0) <= first
    after = plan.steps[first:]
    rooted = case.options().rootfs if "mount" not in kinds else "/@@"
    for step in after:
        text = repr({**step.__dict__, "variables": ()}).replace(rooted, "")
        assert HOST not in text, step
    assert not places(plan, s.Unshare, s.Attach, s.MakeFilesystem, s.RunHook, s.WaitStart)
    for step in (plan.steps[i] for i in places(plan, s.Console)):
        assert step.__dict__["mount"] == 0
    assert place(plan, s.NewSession) > max(last, *places(plan, s.Fork), 0)
    # Privileges go in order, the filter where it may be, and then there is only the program.
    ids = place(plan, s.SetIds)
    assert place(plan, s.DropBounding) < ids < place(plan, s.SetCapabilities)
    filters = places(plan, s.Seccomp)
    if filters and places(plan, s.NoNewPrivileges):
        assert place(plan, s.CloseDescriptors) < filters[0] < parked(plan)
    elif filters:
        assert place(plan, s.OpenRoot) < place(plan, s.DropBounding) < filters[0] < ids
    assert parked(plan) == place(plan, s.Execute) - 1 == len(plan.steps) - 2
    dies_with_its_creator_until_it_is_parked(plan)
    every_namespace_is_entered_once(plan, case)
    registers_are_filled_before_they_are_used(plan, case)


def check_all(plan: Plan, case: Case) -> None:
    no_host_path_after_pivot(plan)
    filter_is_loaded_where_it_may_be(plan)
    privileges_go_after_the_last_mount(plan)
    what_needs_rights_comes_before_they_go(plan)
    the_end_is_parked_then_start_then_execute(plan)
    mounts_begin_by_leaving_the_hosts_peers(plan, case)
    nothing_is_cloned_once_it_is_unbindable(plan)
    dies_with_its_creator_until_it_is_parked(plan)
    namespaces_are_entered_untraceable_and_in_order(plan)
    every_namespace_is_entered_once(plan, case)
    registers_are_filled_before_they_are_used(plan, case)


@checked
@given(random_cases())
def test_the_same_inputs_give_the_same_plan_and_bytes(case: Case) -> None:
    first = compiled(case)
    if first is None:
        return
    again = case.plan()
    assert first.steps == again.steps
    assert first.joined == again.joined
    assert case.bytes() == case.bytes()


def test_the_random_documents_reach_what_the_invariants_are_about() -> None:
    """Otherwise the tests above could hold because there is no example."""
    held: set[type[Step]] = set()
    outcomes = {"plan": 0, "refused": 0}

    @settings(checked, max_examples=300, database=None, derandomize=True)
    @given(random_cases())
    def collect(case: Case) -> None:
        plan = compiled(case)
        outcomes["refused" if plan is None else "plan"] += 1
        held.update(type(step) for step in (plan.steps if plan else ()))

    collect()
    assert outcomes["plan"] > outcomes["refused"]
    # All of the random ones have a mount namespace, none joins a container or is CRIU's.
    elsewhere = [
        "send_directory", "inherit_descriptors",
        "open_inside", "make_file", "open_root", "affinity",
    ]  # fmt: skip
    assert [step.NAME for step in s.ALL if step not in held] == elsewhere


def test_the_invariants_notice_a_wrong_order() -> None:
    """Each pair of neighbours that matters, exchanged, is noticed by some invariant."""
    case = plan_specs.cases()["filter-before-privileges"]
    plan = case.plan()
    for kind in (s.Execute, s.SetIds, s.CloseDescriptors, s.WaitStart, s.AttachRoot):
        at = place(plan, kind)
        wrong = list(plan.steps)
        wrong[at - 1], wrong[at] = wrong[at], wrong[at - 1]
        broken = Plan(tuple(wrong), plan.spawn_flags, plan.joined, plan.registers, plan.passed)
        with pytest.raises(AssertionError):
            check_all(broken, case)
