# SPDX-License-Identifier: Apache-2.0
"""`plan`: what a `create` would do, and what stands against it on this host; nothing is touched.

Asked is what `create` checks before its first effect, and what the kernel would refuse later that
can be seen without trying it. What cannot be seen is not guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from pyrunc.errors import PyruncError, errno_text
from pyrunc.kernel import constants as k
from pyrunc.lifecycle import create, host_fds, parent_setup, subids
from pyrunc.lifecycle.bundle import kept_resources
from pyrunc.lifecycle.request import Request
from pyrunc.lifecycle.setup import Setup
from pyrunc.plan import steps, wire
from pyrunc.plan.plan import Finding, Plan
from pyrunc.spec.model import Spec

DEGRADED, IMPOSSIBLE = "degraded", "impossible"


def preview(request: Request, spec: Spec) -> Plan:
    """The plan of a container, with what stands against it on this host.

    Args:
        request: as for `create`.
        spec: from `bundle.read_spec`.

    Raises:
        PyruncError: there is no plan of it.
    """
    setup = Setup(request, spec)
    try:
        found = [*_refused(setup.check)]
        plan = create.compiled(setup, explained=True)
        found += _refused(lambda: host_fds.check_labels(spec))
        found += _refused(lambda: host_fds.open_namespaces(spec, plan, setup.fds.keep))
    finally:
        setup.fds.close()
    found += [
        *_sources(setup, plan),
        *_hooks(spec),
        *_user_namespace(plan),
        *_maps(spec, plan),
    ]
    found += map(_warned, spec.warnings)
    plan.before = tuple(_before(setup))
    plan.findings = tuple(found)
    return plan


def _before(setup: Setup) -> Iterator[str]:
    """The effects of `create` before pyrunc-init starts, in their order (`Setup.begin`)."""
    yield (
        f"make {setup.request.root}/{setup.request.container_id}, with a journal of what follows "
        "and a copy of config.json"
    )
    made = [path for path in setup.manager.cgroup.directories if not os.path.isdir(path)]
    if made:
        by_systemd = "let systemd, while pyrunc-init waits, " if setup.manager.needs_process else ""
        limits = " ".join([*kept_resources(setup.spec), "devices"])
        yield f"{by_systemd}make the cgroup {' '.join(made)}"
        yield f"set its limits, and read them back: {limits}  [/linux/resources]"
    if setup.resctrl:
        yield "make the resctrl group  [/linux/intelRdt]"


def _refused(check: Callable[[], object]) -> list[Finding]:
    try:
        check()
    except PyruncError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return [Finding(IMPOSSIBLE, f"{error.message}{hint}", error.pointer)]
    return []


def _warned(text: str) -> Finding:
    """A warning begins with its pointer, where it has one."""
    pointer, colon, rest = text.partition(": ")
    if colon and pointer.startswith("/"):
        return Finding(DEGRADED, rest, pointer)
    return Finding(DEGRADED, text)


def _missing(path: str, what: str, pointer: str) -> Iterator[Finding]:
    try:
        os.stat(path)
    except OSError as error:
        yield Finding(IMPOSSIBLE, f"{what} {path}: {errno_text(error.errno or 0)}", pointer)


def _sources(setup: Setup, plan: Plan) -> Iterator[Finding]:
    """Of mounts, as far as their paths mean on the host what they mean to pyrunc-init."""
    for one in plan.idmapped:
        yield from _missing(one.source, "the mount's source", one.pointer)
    later = set(setup.manager.cgroup.by_controller.values())  # made by `create`
    for step in plan.steps:
        if isinstance(step, steps.JoinNamespace) and step.flag & k.CLONE_NEWNS:
            return
        if not isinstance(step, steps.OpenTree) or not step.pointer.startswith("/mounts"):
            continue
        # What another mount brings is not there yet either.
        if step.path not in later and not step.path.startswith(f"{setup.rootfs}/"):
            yield from _missing(step.path, "the mount's source", step.pointer)


def _hooks(spec: Spec) -> Iterator[Finding]:
    """Those that `create` runs are looked up on the host, also for the container's namespaces."""
    hooks = spec.hooks
    for name in ("prestart", "createRuntime", "createContainer") if hooks else ():
        for index, hook in enumerate(getattr(hooks, name)):
            yield from _missing(hook.path, "the hook", f"/hooks/{name}/{index}/path")


def _user_namespace(plan: Plan) -> Iterator[Finding]:
    """What blocks a new user namespace, or must be replaced by one."""
    pointer = "/linux/namespaces"
    if not any(isinstance(step, steps.BecomeRoot) for step in plan.steps) and not _capable():
        text = 'only root may make a container without a user namespace (add {"type": "user"})'
        yield Finding(IMPOSSIBLE, text, pointer)
    made = (step for step in plan.steps if isinstance(step, steps.Unshare))
    if not any(step.flags & k.CLONE_NEWUSER for step in made):
        return
    if _setting("user/max_user_namespaces") == "0":
        text = "this host allows no new user namespaces (sysctl user.max_user_namespaces)"
        yield Finding(IMPOSSIBLE, text, pointer)
    if os.geteuid() == 0:
        return
    if _setting("kernel/unprivileged_userns_clone") == "0":
        text = "only root may make user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        yield Finding(IMPOSSIBLE, text, pointer)
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        text = "AppArmor lets only programs with a profile for it use user namespaces"
        yield Finding(DEGRADED, text, pointer)


def _capable() -> bool:
    """Whether this process has any capability."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return any(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))


def _setting(name: str) -> str:
    """A sysctl; "" where the kernel has none."""
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _maps(spec: Spec, plan: Plan) -> Iterator[Finding]:
    """An unprivileged user needs helpers for more than their own id."""
    syncs = (step for step in plan.steps if isinstance(step, steps.Sync))
    if not spec.linux or all(step.message != wire.Message.MAPS for step in syncs):
        return
    for maps, own, helper, pointer in (
        (spec.linux.gidMappings, os.getegid(), "newgidmap", "/linux/gidMappings"),
        (spec.linux.uidMappings, os.geteuid(), "newuidmap", "/linux/uidMappings"),
    ):
        if parent_setup.needs_helper(parent_setup.map_text(maps).split(), own):
            yield from _refused(partial(subids.path_of, helper, pointer))
