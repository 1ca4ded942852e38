# SPDX-License-Identifier: Apache-2.0
"""A user's program: mypy refuses a keyword that no call has, and so does the call."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pyrunc
from pyrunc import keywords

CONTAINER = "container = pyrunc.Container.load('c')\n"
# A right call of everything public that takes keywords; {} is where a wrong one goes.
CALLS = {
    "create": "pyrunc.Container.create('b', 'c', root='/r', pid_file='p'{})",
    "run": "code: int | None = pyrunc.Container.run('b', 'c', keep=True, stdio=(0, 1, 2){}).code",
    "restore": "pyrunc.Container.restore('b', 'c', 'i', criu={{'shell_job': True}}{})",
    "run_restored": "pyrunc.Container.run_restored('b', 'c', 'i', notify=True{})",
    "load": "pyrunc.Container.load('c', root='/r'{})",
    "list": "pyrunc.Container.list(pattern='x'{})",
    "start": "container.start(notify_socket='n'{})",
    "kill": "container.kill(9, all_processes=True{})",
    "wait": "container.wait(timeout=1.0{})",
    "delete": "container.delete(force=True, warn=print{})",
    "update": "container.update(pyrunc.Limits(pids=9), warn=print{})",
    "events": "container.events(interval=1.0{})",
    "popen": "container.popen(['x'], env={{'A': 'b'}}, stdout=pyrunc.PIPE{})",
    "exec": "container.exec(['x'], timeout=3, check=True, cwd='/'{})",
    "exec_foreground": "container.exec_foreground(['x'], terminal=True{})",
    "checkpoint": "container.checkpoint('i', leave_running=True{})",
    "plan": "plan: pyrunc.Plan = pyrunc.plan('b', no_pivot=True, limits=pyrunc.Limits(pids=1){})",
    "Limits": "pyrunc.Limits(pids=1, memory_max=1 << 20{})",
}


def checked(tmp_path: Path, lines: list[str]) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text("import pyrunc\n" + CONTAINER + "\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental",
         "--cache-dir", str(tmp_path / "cache"), str(program)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"MYPYPATH": str(Path(pyrunc.__file__).parent.parent), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if "program.py" in line and "error" in line]


def test_mypy_takes_what_is_right_and_refuses_a_misspelt_keyword_of_every_call(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mypy")
    assert checked(tmp_path, [line.format("") for line in CALLS.values()]) == []
    wrong = checked(tmp_path, [line.format(", tiemout=3") for line in CALLS.values()])
    assert len(wrong) == len(CALLS), "\n".join(wrong)
    assert all("tiemout" in line for line in wrong)


def test_every_public_method_with_keywords_is_among_them() -> None:
    methods = {
        name
        for name, found in inspect.getmembers(pyrunc.Container, callable)
        if not name.startswith("_")
        and any(
            parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
            for parameter in inspect.signature(found).parameters.values()
        )
    }
    assert methods <= set(CALLS)


@pytest.mark.parametrize("call", ["create", "run", "restore", "run_restored"])
def test_a_misspelt_keyword_is_refused_before_anything_is_done(call: str) -> None:
    image = ("/image",) if "restore" in call else ()
    with pytest.raises(TypeError, match=rf"{call}\(\) got an unexpected keyword argument 'rooot'"):
        getattr(pyrunc.Container, call)("/nosuch", "c", *image, rooot="/r")


@pytest.mark.parametrize("call", ["popen", "exec", "exec_foreground", "checkpoint", "update"])
def test_so_is_one_of_a_container_that_runs(call: str) -> None:
    container = pyrunc.Container("/nosuch", "c")
    with pytest.raises(TypeError, match=rf"{call}\(\) got an unexpected keyword argument"):
        getattr(container, call)({} if call == "update" else "/i", timeuot=1)


def test_what_is_odd_is_pythons_warning_unless_the_caller_wants_it_otherwise() -> None:
    with pytest.warns(pyrunc.PyruncWarning, match="^odd$"):
        keywords.warn_by({})("odd")
    told: list[str] = []
    keywords.warn_by({"warn": told.append})("odd")
    assert told == ["odd"]
