# SPDX-License-Identifier: Apache-2.0
"""Puts what pyrunc-init reports into words: (step, syscall, errno, reason) to an exception.

pyrunc-init sends numbers, and the name of a loader that only it can read; all other objects are
read from the plan, which the parent trusts.
"""

from __future__ import annotations

import errno
import sys

from pyrunc.errors import ExecError, HookError, PyruncError, StartError, errno_text
from pyrunc.lifecycle.report import Report
from pyrunc.plan import steps
from pyrunc.plan.steps import Step

_SCHED_DEADLINE = 6
# Step class -> (what was done, which of its fields it was done to).
_VERBS: dict[str, tuple[str, str]] = {
    "join_cgroups": ("join the cgroup", ""),
    "join_namespace": ("join namespace", "kind"),
    "unshare": ("make namespaces", ""),
    "fork": ("fork into the namespaces", ""),
    "become_root": ("become root of the user namespace", ""),
    "session_keyring": ("join session keyring", "name"),
    "loopback_up": ("bring up lo", ""),
    "propagation": ("set mount propagation", ""),
    "open_tree": ("open mount source", "path"),
    "open_inside": ("open mount source", "path"),
    "attach_root": ("attach the root filesystem", ""),
    "private_parent": ("make private the mount below", "path"),
    "open_procfs": ("make a procfs", ""),
    "make_filesystem": ("make filesystem", "fstype"),
    "long_filesystem": ("make filesystem", "fstype"),
    "mount_attributes": ("set mount attributes", ""),
    "attach": ("mount on", "target"),
    "make_directory": ("make directory", "path"),
    "make_node": ("make device", "path"),
    "symlink": ("make link", "path"),
    "pivot": ("pivot to the root filesystem", ""),
    "open_root": ("open the root filesystem", "path"),
    "change_root": ("change to the root filesystem", "path"),
    "null_stdio": ("re-open /dev/null", ""),
    "console": ("set up the terminal", ""),
    "read_only_path": ("make read-only", "path"),
    "mask_path": ("mask", "path"),
    "copy_up": ("copy up", "path"),
    "remount": ("remount", "path"),
    "hostname": ("set hostname", "name"),
    "domainname": ("set domainname", "name"),
    "sysctl": ("write sysctl", "path"),
    "seccomp": ("load the seccomp filter", ""),
    "drop_bounding": ("drop bounding capabilities", ""),
    "chown_stdio": ("give stdio to uid", "uid"),
    "set_ids": ("set ids", "uid"),
    "set_capabilities": ("set capabilities", ""),
    "ambient_capabilities": ("set ambient capabilities", ""),
    "scheduler": ("set the scheduler", ""),
    "send_directory": ("open", "path"),
    "make_file": ("make the mount point", "path"),
    "affinity": ("set the processors", ""),
    "io_priority": ("set the I/O priority", ""),
    "personality": ("set the personality", ""),
    "memory_policy": ("set the memory policy", ""),
    "label": ("apply", "value"),
    "run_hook": ("run hook", "path"),
}
_REASONS = {
    "bad_plan": "pyrunc-init does not accept the plan: is it of another version?",
    "not_a_directory": "must be mounted on ordinary directory",
    "inside_proc": "cannot be mounted because it is inside /proc",
    "not_procfs": "cannot be mounted because it is not of type proc",
    "on_rootfs": "a mount cannot cover the root filesystem: no path would lead to it",
    "wrong_device": "there is a file that is not this device",
    "not_covered": "something else has been mounted there in the meantime",
    "not_null": "the container's /dev/null is not the null device",
    "not_devpts": "/dev/pts/ptmx is not that of a devpts",
    "locked_flags": "cannot clear locked flags",
}


def exception_for(report: Report, plan: tuple[Step, ...], hook_output: bytes) -> PyruncError:
    """The exception for a failed step.

    Args:
        report: what pyrunc-init sent.
        plan: the steps, one of which it names.
        hook_output: what the hooks in the container have printed so far.
    """
    step = plan[report.step]
    if report.call in ("mmap", "fcntl"):  # before the first step
        return StartError("load the plan", report.call, report.errno)
    if isinstance(step, steps.FindProgram):
        return _program(step.args[0], report)
    if isinstance(step, steps.RunHook):
        return _hook(step, report, hook_output)
    if isinstance(step, steps.ChangeDirectory):
        return _directory(step, report)
    verb, field = _VERBS.get(step.NAME, (step.NAME.replace("_", " "), ""))
    thing = str(getattr(step, field)) if field else ""
    if isinstance(step, steps.ReadOnlyPath | steps.MaskPath):
        thing = _mount_point(plan, step.base) + thing
    if report.reason == "bad_plan":
        verb, thing = "load the plan", ""
    if report.reason != "none":
        text = _REASONS.get(report.reason, report.reason)
        return _start_error(f'{verb} "{thing}": {text}' if thing else f"{verb}: {text}", step)
    if isinstance(step, steps.MakeFilesystem | steps.LongFilesystem) and report.call == "fsconfig":
        option = _option(step, report.value)
        thing = f"{thing} with the option {option}" if option else thing
    error = StartError(verb, report.call, report.errno, thing, pointer=step.pointer)
    _improve(error, report, plan, step)
    return error


def _improve(error: StartError, report: Report, plan: tuple[Step, ...], step: Step) -> None:
    """Add what the errno does not say: another path, another property."""
    number = report.errno
    if isinstance(step, steps.Scheduler) and number == errno.EPERM:
        error.hint = _deadline_hint(step)
    elif isinstance(step, steps.OpenTree | steps.OpenInside):
        # Engines match these words when a bind source is missing.
        text = errno_text(number)
        error.message = f'error mounting "{step.path}": stat {step.path}: {text}'
    elif isinstance(step, steps.Attach) and number == errno.ENOTDIR:
        # Docker's own hint to the user depends on "not a directory".
        source = _source(plan, step)
        error.message = (
            f'error mounting "{source}" to rootfs at "{step.target}": {errno_text(number)}'
        )
        error.hint = "one is a directory and the other is not"
    elif isinstance(step, steps.BecomeRoot) and number == errno.EINVAL:
        kind = "gid" if report.call == "setresgid" else "uid"
        error.message = f"{error.step}: {kind} 0 of the container is not mapped"
        error.pointer = f"/linux/{kind}Mappings"
        error.hint = 'an entry with "containerID": 0 is needed'


def _mount_point(plan: tuple[Step, ...], register: int) -> str:
    """Where the filesystem in a register is mounted; "" for the root itself."""
    for step in plan:
        if isinstance(step, steps.Attach) and step.mount == register:
            return step.target
    return ""


def _source(plan: tuple[Step, ...], wanted: Step) -> str:
    for step in plan:
        if step.pointer != wanted.pointer:
            continue
        if isinstance(step, steps.OpenTree | steps.OpenInside):
            return step.path
        if isinstance(step, steps.MakeFilesystem | steps.LongFilesystem):
            return step.source or step.fstype
    return wanted.pointer


def _start_error(message: str, step: Step) -> StartError:
    error = StartError(step.NAME, "", errno.EINVAL, pointer=step.pointer)
    error.message = message
    error.hint = ""
    return error


def _option(step: steps.MakeFilesystem | steps.LongFilesystem, index: int) -> str:
    return f'"{step.options[index]}"' if 0 <= index < len(step.options) else ""


def _deadline_hint(step: steps.Scheduler) -> str:
    if int.from_bytes(step.attributes[4:8], sys.byteorder) != _SCHED_DEADLINE:
        return ""
    return (
        "SCHED_DEADLINE needs every processor of the host: does a cpuset leave some out"
        " (linux.resources.cpu.cpus)?"
    )


def _program(name: str, report: Report) -> ExecError:
    """As Go's os/exec words it; docker and podman derive exit codes from these texts."""
    if report.reason == "no_loader":
        # Engines map "no such file or directory" to exit code 127.
        text = f'exec: "{name}": its interpreter {report.text} is not there: '
        return ExecError(text + errno_text(errno.ENOENT), errno.ENOENT, name)
    if report.errno == errno.ENOENT and "/" not in name:
        reason = "executable file not found in $PATH"
    elif report.errno == errno.ENOENT:
        reason = f"stat {name}: {errno_text(errno.ENOENT)}"
    else:
        reason = errno_text(report.errno)
    return ExecError(f'exec: "{name}": {reason}', report.errno, name)


def _hook(step: steps.RunHook, report: Report, output: bytes) -> HookError:
    text = output.decode(errors="replace").strip()
    reasons = {
        "hook_status": f"exit status {report.value}",
        "hook_signal": f"signal {report.value}",
        "hook_timeout": f"hook ran past specified timeout of {step.timeout}s",
    }
    reason = reasons.get(report.reason) or f"fork/exec {step.path}: {errno_text(report.errno)}"
    return HookError(step.name, step.index, f"{reason}, output: {text}" if text else reason)


def _directory(step: steps.ChangeDirectory, report: Report) -> StartError:
    if report.reason == "cwd_outside":
        return _start_error(
            "current working directory is outside of container mount namespace root", step
        )
    reason = errno_text(report.errno)
    return _start_error(f'chdir to cwd ("{step.path}") set in config.json failed: {reason}', step)
