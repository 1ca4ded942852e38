# SPDX-License-Identifier: Apache-2.0
"""`process`, names, sysctls and hooks inside the container, as steps; pure."""

from __future__ import annotations

from struct import pack

from pyrunc.errors import SpecError, json_pointer
from pyrunc.kernel import constants as k
from pyrunc.plan import namespaces, steps, wire
from pyrunc.plan.context import Context
from pyrunc.plan.scheduling import compile_scheduling
from pyrunc.plan.steps import Listener, LoaderCheck, Step
from pyrunc.spec.model import Capabilities, Hook, Process
from pyrunc.spec.names import CAPABILITIES
from pyrunc.spec.sysctl import sysctl_path

_BITS = {name: 1 << number for number, name in enumerate(CAPABILITIES)}
_DEFAULT_UMASK = 0o022
# keyctl(2): "search" for the owner, or for others where ids are mapped.
_OWNER_SEARCH = 0x00080000
_OTHER_SEARCH = 0x00000008


def needs_procfs(ctx: Context) -> bool:
    """Whether a step reads or writes below /proc once the container's mounts may cover it."""
    process = ctx.spec.process
    labels = process and (process.apparmorProfile or process.selinuxLabel)
    return bool(
        labels
        or ctx.options.no_pivot
        or (ctx.spec.linux and ctx.spec.linux.sysctl)
        or any(mount.may_be_long for mount in ctx.mounts)
    )


def joined_keyring(ctx: Context) -> list[Step]:
    """Join the keyring that the container has already."""
    return [_join_keyring(ctx)]


def keyring(ctx: Context) -> list[Step]:
    label = ctx.spec.process.selinuxLabel if ctx.spec.process else None
    key = _join_keyring(ctx)
    if not label:
        return [key]
    pointer = "/process/selinuxLabel"
    return ctx.because(
        "the key gets the program's label; keys that this process makes later must not",
        [_label("keycreate", None, label, pointer), key, _label("keycreate", None, "", pointer)],
    )


def _join_keyring(ctx: Context) -> Step:
    mapped = ctx.has_namespace("user")
    return steps.SessionKeyring(
        name=f"_ses.{ctx.options.container_id}",
        permissions=_OTHER_SEARCH if mapped else _OWNER_SEARCH,
    )


def console(ctx: Context, mount: bool = True) -> Step:
    process = ctx.spec.process
    assert process is not None
    size = process.consoleSize
    return steps.Console(
        socket=wire.CONSOLE,
        rows=size.height if size else 0,
        columns=size.width if size else 0,
        uid=process.user.uid,
        mount=mount,
        pointer="/process/terminal",
    )


def umask(ctx: Context) -> Step:
    process = ctx.spec.process
    mask = process.user.umask if process else None
    return steps.Umask(mask=_DEFAULT_UMASK if mask is None else mask, pointer="/process/user/umask")


def profile(ctx: Context) -> list[Step]:
    """AppArmor's profile, from the next execve on."""
    name = ctx.spec.process.apparmorProfile if ctx.spec.process else None
    if not name:
        return []
    return [_label("apparmor/exec", "exec", f"exec {name}", "/process/apparmorProfile")]


def joining_labels(ctx: Context) -> list[Step]:
    """Both labels of a process that joins a container, from its next execve on.

    A fork keeps them, so they are set before the first namespace is entered: afterwards
    nothing of the host's may be open, and they are set through its /proc.
    """
    label = ctx.spec.process.selinuxLabel if ctx.spec.process else None
    made = profile(ctx)
    return [*made, _label("exec", None, label, "/process/selinuxLabel")] if label else made


def _label(file: str, older: str | None, value: str, pointer: str) -> Step:
    return steps.Label(file=file, older=older, value=value, pointer=pointer)


def names(ctx: Context) -> list[Step]:
    made: list[Step] = []
    if ctx.spec.hostname:
        made.append(steps.Hostname(name=ctx.spec.hostname, pointer="/hostname"))
    if ctx.spec.domainname:
        made.append(steps.Domainname(name=ctx.spec.domainname, pointer="/domainname"))
    return made


def sysctls(ctx: Context) -> list[Step]:
    linux = ctx.spec.linux
    return [
        steps.Sysctl(
            path=f"sys/{sysctl_path(key)}",
            value=value,
            pointer=json_pointer("linux", "sysctl", key),
        )
        for key, value in (linux.sysctl if linux else {}).items()
    ]


def hooks(ctx: Context, name: str, wanted: tuple[Hook, ...]) -> list[Step]:
    """Hooks that run in the container's namespaces."""
    started = name == "startContainer"
    before, after = ctx.options.started_state if started else ctx.options.hook_state
    return [
        steps.RunHook(
            path=hook.path,
            args=hook.args or (hook.path,),
            env=hook.env or (),
            # runc: a startContainer hook without an environment of its own gets the process's.
            inherit=started and not hook.env,
            timeout=hook.timeout or 0,
            state_before=before,
            state_after=after,
            name=name,
            index=index,
            pointer=f"/hooks/{name}/{index}",
        )
        for index, hook in enumerate(wanted)
    ]


def drop_privileges(ctx: Context, last: list[Step]) -> list[Step]:
    """From the runtime's rights to the program's, and to its first instruction.

    `last` comes between the report that all is ready and the program.
    """
    process = ctx.spec.process
    assert process is not None
    program = ctx.options.seccomp
    confined = process.noNewPrivileges
    made = _as_runtime(ctx, process)
    made += [
        *ctx.because(
            "before setuid, while we may still change a file's owner",
            [_chown_stdio(process)],
        ),
        _ids(ctx, process),
        *ctx.because(
            "again: a change of ids clears the parent-death signal",
            [steps.ParentDeath(signal=k.SIGKILL)],
        ),
        *ctx.because(
            "as the container's user, if it was refused; then, too, checked to lie inside the "
            "container (CVE-2024-21626)",
            [_chdir(process, final=True)],
        ),
        *ctx.because(
            "after setuid, which has emptied the effective set",
            _capabilities(process.capabilities),
        ),
        *ctx.because(
            "as the user who will run it; an error still reaches the caller of `create`",
            [_find_program(ctx, process)],
        ),
        *ctx.because(
            "before a strict filter could forbid it; what stays open is neither directory nor "
            "program",
            [steps.CloseDescriptors()],
        ),
        steps.ParentDeath(signal=0),
    ]
    if program is not None and confined:
        made += ctx.because(
            "as late as possible: of our own calls the profile then has to allow only write, "
            "read, close and execve; the parent learns of it only after it is in force",
            [_seccomp(ctx, program)],
        )
    made += [
        steps.Sync(message=wire.Message.PARKED),
        *last,
        steps.Execute(pointer="/process/args/0"),
    ]
    return made


def start(ctx: Context) -> list[Step]:
    """What a container's first process waits for, and does, before its program."""
    wanted = ctx.spec.hooks.startContainer if ctx.spec.hooks else ()
    return [steps.WaitStart(), *hooks(ctx, "startContainer", wanted)]


def _as_runtime(ctx: Context, process: Process) -> list[Step]:
    """What needs the runtime's rights and no file of the container's user."""
    program = ctx.options.seccomp
    made: list[Step] = []
    if process.rlimits or process.oomScoreAdj is not None:
        made += ctx.because(
            "by the parent, which may raise them; after everything that a small limit could "
            "prevent, and before the ids change: the kernel requires the same uid, or "
            "CAP_SYS_RESOURCE",
            [steps.Sync(message=wire.Message.LIMITS, pointer="/process/rlimits")],
        )
    made += ctx.because(
        "before any filter: it reads the container's passwd with calls that a profile may not "
        "allow",
        [_environment(ctx, process)],
    )
    if process.noNewPrivileges:
        made.append(steps.NoNewPrivileges(pointer="/process/noNewPrivileges"))
    made += ctx.because(
        "while CAP_SYS_NICE is held, and before a filter could forbid the calls",
        compile_scheduling(process, ctx.spec.linux),
    )
    if process.selinuxLabel and not ctx.options.for_exec:
        made += ctx.because(
            "after every step to which this label could deny something, before the filter",
            [_label("exec", None, process.selinuxLabel, "/process/selinuxLabel")],
        )
    made += ctx.because(
        "as the runtime's user first: root may enter a directory that the user cannot; and before "
        "a filter could forbid getcwd",
        [_chdir(process, final=False)],
    )
    made += ctx.because(
        "while CAP_SETPCAP is held, and before a filter could answer in the kernel's place; the "
        "capabilities of this process itself stay",
        _bounding(process.capabilities),
    )
    if program is not None and not process.noNewPrivileges:
        made += ctx.because(
            "without no_new_privs the filter needs CAP_SYS_ADMIN, so before capabilities go",
            [_seccomp(ctx, program)],
        )
    return made


def _seccomp(ctx: Context, program: bytes) -> Step:
    listens = ctx.spec.linux and ctx.spec.linux.seccomp and ctx.spec.linux.seccomp.notifies
    listener = Listener.NONE
    if listens:
        listener = Listener.NAMED if ctx.facts.privileged else Listener.SENT
    return steps.Seccomp(
        program=program,
        flags=ctx.options.seccomp_flags,
        listener=listener,
        pointer="/linux/seccomp",
    )


def _chdir(process: Process, final: bool) -> Step:
    return steps.ChangeDirectory(path=process.cwd or "/", final=final, pointer="/process/cwd")


def _find_program(ctx: Context, process: Process) -> Step:
    filtered = ctx.options.seccomp is not None and not process.noNewPrivileges
    return steps.FindProgram(
        args=process.args,
        path=_search_path(process),
        loader=_loader(ctx, filtered),
        pointer="/process/args/0",
    )


def _environment(ctx: Context, process: Process) -> Step:
    """If a variable is given twice the last one wins."""
    variables: dict[str, str] = {}
    for entry in (*process.env, *ctx.options.environment):
        name, _, value = entry.partition("=")
        variables[name] = value
    given = bool(variables.get("HOME"))
    if not given:
        variables.pop("HOME", None)
        variables["HOME"] = "/"  # the last one: see the step
    return steps.Environment(
        variables=tuple(f"{name}={value}" for name, value in variables.items()),
        passwd=None if given else "/etc/passwd",
        uid=process.user.uid,
        pointer="/process/env",
    )


def _loader(ctx: Context, filtered: bool) -> LoaderCheck:
    """Whether to look for the program's loader.

    Not under a filter, which may kill a process for reads that the program would not do. A
    startContainer hook may still bring the loader.
    """
    if filtered:
        return LoaderCheck.NONE
    later = ctx.spec.hooks and ctx.spec.hooks.startContainer and not ctx.options.for_exec
    return LoaderCheck.REMEMBER if later else LoaderCheck.REFUSE


def _search_path(process: Process) -> str:
    path = ""
    for entry in process.env:
        if entry.startswith("PATH="):
            path = entry[5:]
    return path


def mask(names: tuple[str, ...]) -> int:
    """Capability names as bits; unknown ones were warned about when the spec was checked."""
    bits = 0
    for name in names:
        bits |= _BITS.get(name, 0)
    return bits


def _bounding(capabilities: Capabilities | None) -> list[Step]:
    # Without the property there are none, as with runc.
    keep = mask(capabilities.bounding) if capabilities else 0
    return [steps.DropBounding(keep=keep, pointer="/process/capabilities/bounding")]


def _chown_stdio(process: Process) -> Step:
    """The container's user must be able to open its streams again, by /dev/stdout. A file at 0, or
    one that cannot be written to, is the host's own, and keeps its owner."""
    return steps.ChownStdio(
        uid=process.user.uid, streams=0b111, files=0b110, pointer="/process/user/uid"
    )


def _ids(ctx: Context, process: Process) -> Step:
    user = process.user
    # The annotation keeps the caller's groups, and then no others are added (as in crun: engines
    # set both).
    groups = () if namespaces.keeps_groups(ctx) else user.additionalGids
    allowed = namespaces.sets_groups(ctx)
    if groups and not allowed:
        raise SpecError(
            "cannot set any additional groups in a rootless container",
            pointer="/process/user/additionalGids",
            hint="map more than one group (newgidmap, /etc/subgid)",
        )
    return steps.SetIds(
        uid=user.uid,
        gid=user.gid,
        groups=pack(f"={len(groups)}I", *groups),
        # Where setgroups is denied there are no groups to drop either.
        setgroups=allowed,
        pointer="/process/user",
    )


def _capabilities(capabilities: Capabilities | None) -> list[Step]:
    sets = capabilities or Capabilities()
    return [
        steps.SetCapabilities(
            effective=mask(sets.effective),
            permitted=mask(sets.permitted),
            inheritable=mask(sets.inheritable),
            pointer="/process/capabilities",
        ),
        steps.AmbientCapabilities(
            # The kernel raises no others; the check of the document has warned of them.
            mask=mask(sets.ambient) & mask(sets.permitted) & mask(sets.inheritable),
            pointer="/process/capabilities/ambient",
        ),
    ]
