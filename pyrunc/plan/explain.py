# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan in words, for people and as JSON values; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pyrunc.plan import steps, symbols, wire
from pyrunc.plan.steps import Step
from pyrunc.plan.symbols import Value
from pyrunc.plan.wire import Message

Names = dict[int, str]

FIXED: Names = {
    wire.PLAN: "the plan",
    wire.SYNC: "the socket to the creator",
    wire.FIFO: "the start fifo",
    wire.ROOT: "the root filesystem",
    wire.OLD_ROOT: "the host's root",
    wire.PROCFS: "a procfs of its own",
    wire.HOOK_OUTPUT: "the output of hooks",
    wire.CONSOLE: "the console socket",
}


class PlanLine(NamedTuple):
    """A step in words.

    Attributes:
        number: from 1 on.
        step: its name.
        arguments: its fields, with symbolic flags, octal modes and names for registers.
        text: all that as a phrase.
        pointer: of the property that asked for it, "" where it is pyrunc's own.
        why: it stands where it does.
    """

    number: int
    step: str
    arguments: dict[str, Value]
    text: str
    pointer: str
    why: str


def lines(made: Sequence[Step], names: Names, reasons: Sequence[str] = ()) -> list[PlanLine]:
    """Steps in words.

    Args:
        made: in order.
        names: of the registers that the creator fills.
        reasons: of each, or none.
    """
    known = FIXED | names
    found = []
    for number, step in enumerate(made, 1):
        why = reasons[number - 1] if reasons else ""
        values = {name: _value(step, name, kind, known) for name, kind in step.FIELDS}
        words = _WORDS[type(step)]
        shown = {name: _shown(value) for name, value in values.items()}
        text = words.format(**shown) if isinstance(words, str) else words(step, shown)
        found.append(PlanLine(number, step.NAME, values, text, step.pointer, why))
        _name_result(step, known)
    return found


def _name_result(step: Step, known: Names) -> None:
    """What a register holds from now on."""
    if isinstance(step, steps.OpenTree | steps.OpenInside) and step.result != wire.ROOT:
        known[step.result] = _word(step.path)
    elif isinstance(step, steps.MakeFilesystem | steps.LongFilesystem):
        known[step.result] = f"the {_word(step.fstype)}"
    elif isinstance(step, steps.Attach):
        known[step.mount] = _word(step.target)


def _value(step: Step, name: str, kind: str, known: Names) -> Value:
    if kind == wire.REGISTER:
        register = getattr(step, name)
        return known.get(register, f"descriptor {register}")
    return symbols.read(step, name)


def _word(text: str) -> str:
    """A text as it is; quoted where a terminal would not show what it is."""
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


def _shown(value: Value) -> str:
    if isinstance(value, list):
        return " ".join(repr(one) if " " in one else _word(one) for one in value) or "none"
    return _word(value) if isinstance(value, str) else str(value)


_SYNCS = {
    Message.MAPS: "wait until the creator has written the id maps",
    Message.CGROUP: "wait until the creator has put this process into its cgroup",
    Message.CLOCKS: "wait until the creator has written the offsets of the clocks",
    Message.NETWORK: "wait until the creator has moved the network devices here",
    Message.HOOKS: "wait until the creator has run the hooks prestart and createRuntime",
    Message.LIMITS: "wait until the creator has set resource limits and oom_score_adj",
    Message.PARKED: "report that all is ready, and wait until the creator has saved the state",
}
_RULES = {
    steps.TargetRule.ANYWHERE: "",
    steps.TargetRule.PLAIN_DIRECTORY: ", which must be a plain directory",
    steps.TargetRule.LISTED_BELOW_PROC: ", a file of procfs that may be covered",
    steps.TargetRule.PROCFS_ROOT: ", which must be a plain directory, and it the root of a procfs",
}
_LOADERS = {
    steps.LoaderCheck.NONE: "",
    steps.LoaderCheck.REFUSE: "; its interpreter must be there",
    steps.LoaderCheck.REMEMBER: "; a hook may still bring its interpreter",
}
_LISTENERS = {
    steps.Listener.NONE: "",
    steps.Listener.NAMED: "; the creator takes its listener",
    steps.Listener.SENT: "; send the creator its listener",
}
Shown = dict[str, str]


def _if(condition: object, text: str) -> str:
    return text if condition else ""


def _propagation(step: steps.Propagation, v: Shown) -> str:
    where = '"/" of this mount namespace' if step.whole else v["mount"]
    return f"make {where} {v['flag']}{_if(step.recursive, ', and all mounts below it')}"


def _opened(step: steps.OpenTree | steps.OpenInside, v: Shown) -> str:
    what = "tree of mounts" if step.recursive else "mount"
    inside = ", a path inside the container" if isinstance(step, steps.OpenInside) else ""
    to = _if(step.result == wire.ROOT, ", the root filesystem")
    return f"clone the {what} at {v['path']}{inside}{to}"


def _filesystem(step: steps.MakeFilesystem | steps.LongFilesystem, v: Shown) -> str:
    words = [
        f"make the filesystem {v['fstype']}",
        _if(step.source is not None, f"source {v['source']}"),
    ]
    words += [_if(step.options, f"options {v['options']}")]
    words += [_if(step.attributes, f"attributes {v['attributes']}")]
    if isinstance(step, steps.MakeFilesystem):
        words += [_if(step.mode_of is not None, f"the mode of {v['mode_of']}")]
    else:
        long = f"or by mount(2) of {v['data']} at {v['target']} for a moment"
        words += [long, _if(step.flags, f"flags {v['flags']}")]
    return ", ".join(filter(None, words))


def _mount_attributes(step: steps.MountAttributes, v: Shown) -> str:
    locked = _if(step.fallback, f" (only {v['fallback']} where flags are locked)")
    return (
        f"on {v['mount']} {_changes(step, v)}{locked}"
        f"{_if(step.recursive, ', and on all mounts below it')}"
    )


def _changes(step: steps.MountAttributes | steps.Remount, v: Shown) -> str:
    words = [_if(step.set, f"set {v['set']}"), _if(step.clear, f"clear {v['clear']}")]
    return ", ".join(filter(None, words)) or "change nothing"


def _covered(step: steps.ReadOnlyPath | steps.MaskPath, v: Shown) -> str:
    path = v["path"] if step.base == wire.ROOT else v["base"] + v["path"]
    return f"make {path} read-only" if isinstance(step, steps.ReadOnlyPath) else f"mask {path}"


def _console(step: steps.Console, v: Shown) -> str:
    size = _if(step.rows or step.columns, f" of {v['rows']} rows and {v['columns']} columns")
    return (
        f"make a terminal{size} for uid {v['uid']}{_if(step.mount, ', also as /dev/console')}; "
        f"send its master to {v['socket']}"
    )


def _ids(step: steps.SetIds, v: Shown) -> str:
    groups = f"groups {v['groups']}" if step.setgroups else "the groups stay"
    return f"become uid {v['uid']}, gid {v['gid']}, {groups}"


def _chown_stdio(step: steps.ChownStdio, v: Shown) -> str:
    streams, files = (
        " ".join(str(fd) for fd in range(3) if mask >> fd & 1) or "none"
        for mask in (step.streams, step.files)
    )
    return (
        f"give stdio to uid {v['uid']}: what is a pipe, a socket or a terminal of {streams}, and "
        f"a file to write to of {files}"
    )


def _environment(step: steps.Environment, v: Shown) -> str:
    home = f"; HOME is what the container's {v['passwd']} says of uid {v['uid']}, if it does"
    return f"set the environment {v['variables']}{_if(step.passwd is not None, home)}"


def _hook(step: steps.RunHook, v: Shown) -> str:
    env = "the program's" if step.inherit else v["env"]
    limit = _if(step.timeout, f", within {v['timeout']} s")
    what = f"{v['path']}, arguments {v['args']}, environment {env}{limit}"
    state = f"state {step.state_before}PID{step.state_after}"
    return f"run the hook {v['name']} {v['index']}: {what}, {state}"


def _seccomp(step: steps.Seccomp, v: Shown) -> str:
    flags = _if(step.flags, f", flags {v['flags']}")
    return f"load the seccomp filter of {v['program']}{flags}{_LISTENERS[step.listener]}"


# Each step's words: what is in braces is a field, shown as `_value` reads it.
_WORDS: dict[type[Step], str | Callable[[Any, Shown], str]] = {
    steps.ParentDeath: lambda s, v: (
        f"die by {v['signal']} when the creator dies" if s.signal else "outlive the creator"
    ),
    steps.Dumpable: lambda s, _: (
        f"let {'' if s.value else 'no '}other processes trace this one and open its /proc files"
    ),
    steps.Sync: lambda s, v: _SYNCS.get(s.message, f"report {v['message']}"),
    steps.JoinCgroups: "join {count} cgroup hierarchies",
    steps.JoinNamespace: "join the namespaces {kind} of {ns} ({flag})",
    steps.Unshare: "make namespaces: {flags}",
    steps.Fork: "go on in a child, whose parent is the creator as well",
    steps.BecomeRoot: lambda s, _: (
        f"become uid 0 and gid 0 of the user namespace{_if(s.setgroups, ', and drop all groups')}"
    ),
    steps.NewSession: lambda s, v: (
        f"leave the caller's session{_if(s.ending, '; end by ' + v['ending'])}"
    ),
    steps.SessionKeyring: "join the session keyring {name}: {permissions}",
    steps.LoopbackUp: "bring the interface lo up",
    steps.Propagation: _propagation,
    steps.OpenTree: _opened,
    steps.OpenInside: _opened,
    steps.AttachRoot: lambda s, v: (
        f"attach the root filesystem at {v['path']}"
        f"{_if(s.elsewhere, ', or on top of / where that is out of reach')}"
    ),
    steps.PrivateParent: lambda s, v: (
        f"make the mount that {v['path']} lies on private{_if(s.root, ', even if it is /')}"
    ),
    steps.OpenProcfs: lambda s, v: (
        f"make a procfs that nothing can cover{_if(s.hosts, ', or else open ' + v['hosts'])}"
    ),
    steps.MakeFilesystem: _filesystem,
    steps.LongFilesystem: _filesystem,
    steps.MountAttributes: _mount_attributes,
    steps.Attach: lambda s, v: f"mount {v['mount']} at {v['target']}{_RULES[s.rule]}",
    steps.MakeDirectory: "make the directory {path}, mode {mode}",
    steps.MakeFile: "make the file {path}",
    steps.MakeNode: "make the {kind} {path}, {major}:{minor}, mode {mode}, owner {uid}:{gid}",
    steps.Symlink: lambda s, v: (
        f"make {v['path']} a link to {v['target']}{_if(s.replace, ', whatever is there')}"
    ),
    steps.Pivot: "make the root filesystem / and let go of the host's (pivot_root)",
    steps.OpenRoot: "open the root filesystem at {path}",
    steps.ChangeRoot: lambda s, v: (
        f"chroot to {v['path']}{_if(s.move, ', after its mount was moved onto /')}"
    ),
    steps.NullStdio: "point stdio at the container's /dev/null where it is the host's",
    steps.Console: _console,
    steps.ReadOnlyPath: _covered,
    steps.MaskPath: _covered,
    steps.CopyUp: lambda s, v: (
        f"copy what is at {v['path']} into {v['mount']}{_if(s.mode, ', and its mode')}"
    ),
    steps.Remount: lambda s, v: f"on the mount at {v['path']} {_changes(s, v)}",
    steps.Hostname: "set the host name {name}",
    steps.Domainname: "set the domain name {name}",
    steps.Sysctl: "write {value} to {path}",
    steps.Umask: "set the umask {mask}",
    steps.NoNewPrivileges: "allow no new privileges (PR_SET_NO_NEW_PRIVS)",
    steps.DropBounding: "drop all capabilities from the bounding set but: {keep}",
    steps.ChownStdio: _chown_stdio,
    steps.ChangeDirectory: lambda s, v: (
        f"change the directory to {v['path']}, "
        + ("which must be inside the container" if s.final else "or try again as the user")
    ),
    steps.SetIds: _ids,
    steps.SetCapabilities: (
        "have capabilities: effective {effective}; permitted {permitted}; inheritable {inheritable}"
    ),
    steps.AmbientCapabilities: "raise ambient capabilities: {mask}",
    steps.Scheduler: "schedule by {attributes}",
    steps.Affinity: "run on the processors {processors}",
    steps.IoPriority: "set the I/O priority {value}",
    steps.Personality: "set the personality {domain}",
    steps.MemoryPolicy: "set the memory policy {mode}, nodes {nodes}",
    steps.Label: lambda s, v: (
        f"write {_word(s.value)} to attr/{v['file']}{_if(s.older, ' or attr/' + v['older'])}"
    ),
    steps.Environment: _environment,
    steps.FindProgram: lambda s, v: (
        f"find the program, arguments {v['args']}, path {_word(s.path)}{_LOADERS[s.loader]}"
    ),
    steps.RunHook: _hook,
    steps.Seccomp: _seccomp,
    steps.SendDirectory: "send the creator the directory {path}",
    steps.InheritDescriptors: "leave the program {count} descriptors, from {first} on",
    steps.CloseDescriptors: "close all descriptors but stdio and those that are the program's",
    steps.WaitStart: "wait for `start`",
    steps.Execute: "execute the program",
}
