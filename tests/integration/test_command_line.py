# SPDX-License-Identifier: Apache-2.0
"""What the command line adds: signals by name, --regex, log levels, --config, help,
completions and manual pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import pyrunc
from pyrunc.cli.table import COMMANDS, GLOBAL
from tests.lib import support

KEYS = {"level", "msg", "time"}


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("RTMIN", signal.SIGRTMIN), ("rtmin+1", signal.SIGRTMIN + 1), ("SIGRTMAX", signal.SIGRTMAX),
        ("sigRTMAX-2", signal.SIGRTMAX - 2), (str(signal.SIGRTMIN + 3), signal.SIGRTMIN + 3),
        ("usr1", signal.SIGUSR1), ("SigUsr2", signal.SIGUSR2), ("+10", signal.SIGUSR1),
    ],
)  # fmt: skip
def test_signals_by_name(runtime, bundle, text, number):
    bundle.config["linux"]["namespaces"] = [
        ns for ns in bundle.config["linux"]["namespaces"] if ns["type"] != "pid"
    ]
    bundle.args("/bin/sleep", "100")
    name = runtime.new_id()
    process = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path), name],
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20 * support.SLOW
        while runtime("state", name, check=False).returncode or (
            runtime.state(name)["status"] != "running"
        ):
            assert time.monotonic() < deadline
        runtime("kill", name, text)
        assert process.wait(20 * support.SLOW) == 128 + number
    finally:
        process.kill()
        process.wait()


def test_names_of_signals_are_those_of_any_libc(runtime):
    """musl has no SIGCLD; by --regex a name is looked at though there is no container."""
    for name in ("CLD", "IOT", "POLL", "STKFLT", "PWR", "RTMAX"):
        runtime("kill", "--regex", "nosuch", name)
    done = runtime("kill", "--regex", "nosuch", "CLDX", check=False)
    assert (done.returncode, 'unknown signal \\"CLDX\\"' in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "text", ["RTMIN+99", "RTMAX-99", "RTMIN+", "RTMIN-1", "_DFL", "", "9" * 30]
)
def test_signals_that_are_none(runtime, bundle, text):
    name = runtime.create(bundle)
    done = runtime("kill", name, text, check=False)
    assert done.returncode == 1
    assert f'msg="unknown signal \\"{text}\\""' in done.stderr


def test_regex(runtime, bundle):
    bundle.args("/bin/sleep", "100")
    prefix = runtime.new_id()
    names = [f"{prefix}-{kind}-{turn}" for kind in ("web", "db") for turn in (1, 2)]
    runtime.ids += names
    for name in names:
        runtime.create(bundle, name)
        runtime("start", name)
    assert pyrunc.Container.list(root=str(runtime.root), pattern="-db-") == sorted(names[2:])
    runtime("kill", "--regex", "web-[12]$", "KILL")
    for name in names[:2]:
        runtime.until(name, "stopped")
    assert {runtime.state(name)["status"] for name in names[2:]} == {"running"}
    # What cannot be deleted is told in one record, and does not spare the others.
    log = runtime.root / "log"
    done = runtime("--log", str(log), "--log-format=json", "delete", "--regex", "", check=False)
    assert done.returncode == 1
    (record,) = records(log)
    assert record["msg"].startswith("could not delete 2 of 4 containers: ")
    assert all(f"{name}: cannot delete container" in record["msg"] for name in names[2:])
    assert runtime("list", "-q").stdout.split() == sorted(names[2:])
    runtime("delete", "-f", "-r", "db-")
    assert runtime("list", "-q").stdout == ""
    # Nothing found is no error, and no regular expression is one.
    runtime("delete", "--regex", "nothing")
    runtime("kill", "--regex", "nothing", "KILL")
    done = runtime("delete", "--regex", "(", check=False)
    assert done.returncode == 1
    assert r'msg="invalid regular expression \"(\": ' in done.stderr


def test_regex_takes_half_made_ones_along(runtime, bundle):
    (runtime.root / "half-made").mkdir(parents=True)
    runtime("delete", "--force", "--regex", "half")
    assert not (runtime.root / "half-made").exists()


def test_another_config(runtime, bundle, tmp_path):
    """The bundle is where the root filesystem is; relative to the caller is the file."""
    bundle.config["root"]["path"] = "rootfs"
    bundle.shell("echo from the file")
    other = tmp_path / "other.json"
    (bundle.path / "config.json").rename(other)
    name = runtime.new_id()
    done = runtime("run", "-b", str(bundle.path), "--config", "other.json", name, cwd=tmp_path)
    assert done.stdout == "from the file\n"
    runtime.create(bundle, name, "-f", str(other))
    saved = json.loads((runtime.root / name / "state.json").read_text())
    assert saved["config"] == str(other)
    assert saved["bundle"] == str(bundle.path)
    runtime("delete", name)
    done = runtime("run", "-b", str(bundle.path), "-f", "/no.json", name, check=False)
    assert "runc run failed: JSON specification file /no.json not found" in done.stderr
    other.write_text("{")
    done = runtime("run", "-b", str(bundle.path), "-f", str(other), name, check=False)
    assert f"{other}: not valid JSON" in done.stderr


def test_no_config_in_the_state_of_others(runtime, bundle):
    name = runtime.create(bundle)
    assert "config" not in json.loads((runtime.root / name / "state.json").read_text())


def test_levels(runtime, bundle, tmp_path):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    log = tmp_path / "log"
    file = ("--log", str(log), "--log-format", "json")
    for options in ((), ("--log-level", "warning"), ("--log-level=error",), ("--debug=false",)):
        log.unlink(missing_ok=True)
        done = runtime(*file, *options, "kill", name, "nosuch", check=False)
        assert done.stderr == 'unknown signal "nosuch"\n'
        (record,) = records(log)
        assert set(record) == KEYS
    log.unlink()
    for options in (("--debug",), ("--log-level", "debug")):
        log.unlink(missing_ok=True)
        runtime(*file, *options, "kill", name, "nosuch", check=False)
        found = records(log)
        assert [r["level"] for r in found] == ["debug"] * (len(found) - 1) + ["error"]
        assert len(found) > 1
        for record in found:
            assert list(record) == sorted(KEYS | {"file", "func"})
    # Without a file, as text.
    done = runtime("--debug", "kill", name, "0")
    assert 'level=debug msg="signal 0 to ' in done.stderr
    assert ' func=pyrunc.cli.kill.run file="kill.py:' in done.stderr
    # A warning is one from the level on that asks for it.
    warned = "Kernel memory settings are ignored"
    assert warned in runtime("update", "--kernel-memory=1g", name).stderr
    assert runtime("--log-level=error", "update", "--kernel-memory=1g", name).stderr == ""
    log.unlink()
    assert runtime(*file, "update", "--kernel-memory=1g", name).stderr == ""
    assert log.read_text() == ""
    runtime(*file, "--debug", "update", "--kernel-memory=1g", name)
    assert warned in log.read_text()
    done = runtime("--log-level", "loud", "list", check=False)
    assert (done.returncode, "invalid log-level: loud" in done.stderr) == (1, True)


def test_secrets_are_not_logged(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    done = runtime("--debug", "exec", "-e", "PASSWORD=xyzzy", name, "/bin/nosuch", check=False)
    assert "level=debug" in done.stderr
    assert "xyzzy" not in done.stderr


def test_cgroup_managers(runtime, bundle):
    done = runtime("--cgroup-manager", "xx", "run", "-b", str(bundle.path), "c", check=False)
    assert done.returncode == 1
    assert "invalid cgroup-manager: xx (one of cgroupfs, systemd, disabled)" in done.stderr
    # podman gives both; the newer option counts.
    name = runtime.new_id()
    options = ("--systemd-cgroup", "--cgroup-manager=cgroupfs")
    runtime(*options, "run", "--keep", "-b", str(bundle.path), name)
    assert support.cgroups_named(name)
    runtime("delete", name)


def test_each_command_has_help(runtime):
    everything = runtime("help").stdout
    assert runtime().stdout == everything
    for command, row in COMMANDS.items():
        text = runtime(command, "--help").stdout
        assert runtime("help", command).stdout == text
        assert text.startswith(f"NAME:\n   pyrunc {command} - {row.help}\n")
        assert f"   {command} " in everything
        for option in row.options:
            assert f"--{option.name}" in text
    done = runtime("help", "nosuch", check=False)
    assert (done.returncode, "No help topic for 'nosuch'" in done.stderr) == (3, True)


def test_wrong_counts_and_flags(runtime):
    """stdout has runc's first line and the command's help."""
    for line, first, message in (
        (("kill",), "Incorrect Usage.", '"kill" requires a minimum of 1 argument(s)'),
        (("kill", "a", "b", "c"), "Incorrect Usage.", "requires a maximum of 2 argument(s)"),
        (("pause",), "Incorrect Usage.", '"pause" requires exactly 1 argument(s)'),
        (
            ("update", "--nosuch", "c"),
            "Incorrect Usage: flag provided but not defined: -nosuch",
            "flag provided but not defined: -nosuch",
        ),
        (
            ("update", "c", "--memory"),
            "Incorrect Usage: flag needs an argument: -memory",
            "flag needs an argument: -memory",
        ),
    ):
        done = runtime(*line, check=False)
        assert done.returncode == 1
        assert done.stdout.startswith(f"{first}\n\nNAME:\n   pyrunc {line[0]} - ")
        assert message in done.stderr.replace('\\"', '"')


COMPLETE = r"""
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pyrunc; printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """Completes a line as an interactive bash does."""
    script = tmp_path_factory.mktemp("bash") / "pyrunc"
    made = subprocess.run([support.PYRUNC, "completion", "bash"], check=True, capture_output=True)
    script.write_bytes(made.stdout)

    def complete(*words):
        done = subprocess.run(
            ["bash", "--norc", "-uc", f". {script}\n{COMPLETE}", "bash", support.PYRUNC, *words],
            check=True, capture_output=True, text=True, cwd=script.parent, timeout=60,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("cre",), ["create"]),
        (("",), sorted(COMMANDS)),
        (("--cgroup",), ["--cgroup-manager"]),
        (("--cgroup-manager", "d"), ["disabled"]),
        (("--root", "/x", "--log", "y", "pau"), ["pause"]),
        (("list", "--format", ""), ["json", "table"]),
        (("list", "-f", "j"), ["json"]),
        (("events", "--int"), ["--interval"]),
        (("update", "--memory", ""), ["pyrunc"]),  # a file, the only one there
        (("update", "--cpu-quota", ""), []),
        (("kill", "c", "KI"), ["KILL"]),
        (("kill", "-a", "c", "KI"), ["KILL"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
        (("help", "che"), ["checkpoint"]),
        (("man", "-"), ["--help", "-h"]),
        (("nosuch", "x"), []),
        (("list", ""), []),
    ],
)
def test_bash_completes(bash, words, wanted):
    assert sorted(bash(*words)) == wanted


def test_bash_completes_ids_and_every_option(bash, runtime, bundle):
    name = runtime.create(bundle)
    for command, row in COMMANDS.items():
        if row.arguments.startswith("<container-id>"):
            assert bash("--root", str(runtime.root), command, "pyrunc-") == [name]
        names = [f"--{option.name}" for option in row.options] + ["--help"]
        assert sorted(bash(command, "--")) == sorted(names)
    assert sorted(bash("--")) == sorted(f"--{option.name}" for option in GLOBAL)
    # An option's value is no argument.
    root = ("--root", str(runtime.root))
    assert bash(*root, "update", "--memory", "64m", "pyrunc-") == [name]
    assert bash(*root, "update", name, "pyrunc-") == []


@pytest.mark.parametrize("shell", ["fish", "zsh"])
def test_the_other_shells_name_everything(runtime, tmp_path, shell):
    text = runtime("completion", shell).stdout
    for command, row in COMMANDS.items():
        assert command in text
        for option in row.options:
            spelled = f"-l {option.name} " if shell == "fish" else f"--{option.name}"
            assert spelled in text
    assert "list -q" in text
    if program := shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(text)
        subprocess.run([program, "--no-execute", str(script)], check=True)
    done = runtime("completion", "tcsh", check=False)
    assert (done.returncode, "no completions for" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_manual_pages(runtime, command):
    page = runtime("man", *([command] if command else [])).stdout
    lines = page.splitlines()
    name = f"pyrunc\\-{command}" if command else "pyrunc"
    assert lines[0].startswith(f'.TH {name.upper()} 8 "" "pyrunc {pyrunc.__version__}')
    sections = [line[4:] for line in lines if line.startswith(".SH ")]
    assert sections[:2] == ["NAME", "SYNOPSIS"]
    assert sections[-1] == "SEE ALSO"
    assert f"{name} \\- " in page
    options = COMMANDS[command].options if command else GLOBAL
    for option in options:
        spelled = option.name.replace("-", "\\-")
        assert f"\\fB\\-\\-{spelled}\\fR" in page
    # Nothing but the macros that are used starts with a dot, and no text is a request by chance.
    macros = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert macros <= {".TH", ".SH", ".TP", ".PP", ".B", ".BR", ".I"}
    if groff := shutil.which("groff"):
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-P-c"],
            input=page, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.stderr == ""
        # Bold letters are struck over themselves.
        assert "--help" in re.sub(".\b", "", done.stdout)


def test_a_page_that_is_none(runtime):
    done = runtime("man", "nosuch", check=False)
    assert (done.returncode, done.stdout) == (3, "")


def test_a_closed_pipe_is_no_traceback(runtime):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [runtime.program, "man"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
