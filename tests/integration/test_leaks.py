# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind by any call of the library or any command, where it works and where it
fails; and a test that none of them is forgotten here."""

from __future__ import annotations

import contextlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc.cli.table import COMMANDS
from tests.lib import support

ROUNDS = 4


class World:
    """A container that runs, and what a process or a command could leave."""

    def __init__(self, runtime: support.Runtime, bundle: support.Bundle, scratch: Path) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.scratch = scratch
        self.root = str(runtime.root)
        self.null = os.open(os.devnull, os.O_RDWR)
        self.running = self.create()
        self.running.start()

    def create(self, **given: Any) -> pyrunc.Container:
        return pyrunc.Container.create(
            str(self.bundle.path), self.runtime.new_id(), root=self.root,
            stdio=(self.null, self.null, self.null), **given,
        )  # fmt: skip

    def left(self) -> dict[str, object]:
        """All that may not grow."""
        task = Path("/proc/self/task")
        children = [(task / one / "children").read_text() for one in os.listdir(task)]
        known = {"init", str(self.running.pid)}
        return {
            "descriptors": sorted(os.listdir("/proc/self/fd")).__len__(),
            "threads": len(os.listdir(task)),
            "children": sorted(set(" ".join(children).split()) - known),
            "containers": sorted(n for n in os.listdir(self.root) if n[0] not in ":."),
            "cgroups": sorted(p for name in self.runtime.ids for p in support.cgroups_named(name)),
            "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
            "files": sorted(os.listdir(self.scratch)),
        }


@pytest.fixture
def world(runtime, bundle, tmp_path) -> Iterator[World]:
    bundle.args("/bin/sleep", "1000")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = World(runtime, bundle, scratch)
    yield made
    made.running.delete(force=True)
    os.close(made.null)


# --- the library -----------------------------------------------------------------------------


def _life(world: World) -> None:
    with world.create() as container:
        container.start()
        container.kill(9)
        container.wait(20)


def _stopped(world: World, call: Callable[[pyrunc.Container], object]) -> None:
    """On a container that has ended, which most calls refuse."""
    with world.create() as container:
        container.start()
        container.kill(9)
        container.wait(20)
        with contextlib.suppress(pyrunc.PyruncError):
            call(container)


def _paused(world: World) -> None:
    world.running.pause()
    world.running.resume()


def _run(world: World, method: str = "run", *image: str) -> None:
    """In a process of its own: it is for the main thread, and takes the streams."""
    world.bundle.args("/bin/true")
    call = f"pyrunc.Container.{method}(*sys.argv[1:], root={world.root!r})"
    line = [sys.executable, "-c", f"import pyrunc, sys; {call}"]
    subprocess.run(
        [*line, str(world.bundle.path), world.runtime.new_id(), *image],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    world.bundle.args("/bin/sleep", "1000")


def _restore(world: World) -> None:
    with contextlib.suppress(pyrunc.PyruncError):
        pyrunc.Container.restore(
            str(world.bundle.path), world.runtime.new_id(), "/nosuch", root=world.root,
            stdio=(world.null,) * 3,
        )  # fmt: skip


def _popen(world: World) -> None:
    with world.running.popen(["cat"], stdin=pyrunc.PIPE, stdout=pyrunc.PIPE) as process:
        process.communicate(b"x")
        process.wait()
    with contextlib.suppress(pyrunc.PyruncError):
        world.running.popen(["/nosuch"], stdin=pyrunc.PIPE)


def _exec(world: World) -> None:
    world.running.exec(["/bin/true"], capture_output=True, timeout=20)
    with contextlib.suppress(TimeoutError):
        world.running.exec(["/bin/sleep", "100"], timeout=0.2)


def _exec_foreground(world: World) -> None:
    program = (
        "import pyrunc, sys\n"
        "pyrunc.Container.load(sys.argv[1], root=sys.argv[2]).exec_foreground(['/bin/true'])\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, world.running.id, world.root],
        stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60,
    )  # fmt: skip


def _events(world: World) -> None:
    with world.running.events(interval=0.05) as events:
        next(iter(events))


def _create(world: World) -> None:
    world.create().delete(force=True)
    for wrong in ({"pid_file": "/nosuch/pid"}, {"limits": pyrunc.Limits(cpuset_cpus="9999")}):
        with contextlib.suppress(pyrunc.PyruncError):
            world.create(**wrong)


def _load(world: World) -> None:
    with pyrunc.Container.load(world.running.id, root=world.root) as loaded:
        loaded.fileno()
    with contextlib.suppress(pyrunc.PyruncError):
        pyrunc.Container.load("nosuch", root=world.root)


LIBRARY: dict[str, Callable[[World], object]] = {
    "create": _create,
    "run": _run,
    "restore": _restore,
    "run_restored": lambda world: _run(world, "run_restored", "/nosuch"),
    "checkpoint": lambda world: _stopped(world, lambda one: one.checkpoint(str(world.scratch))),
    "load": _load,
    "list": lambda world: pyrunc.Container.list(root=world.root),
    "start": _life,
    "kill": lambda world: _stopped(world, lambda one: one.kill(9)),
    "wait": lambda world: _stopped(world, lambda one: one.wait(0)),
    "delete": _life,
    "fileno": _load,
    "pause": _paused,
    "resume": lambda world: _stopped(world, lambda one: one.resume()),
    "update": lambda world: world.running.update(pyrunc.Limits(pids=99)),
    "inspect": lambda world: world.running.inspect(),
    "stats": lambda world: world.running.stats(),
    "events": _events,
    "processes": lambda world: world.running.processes(),
    "popen": _popen,
    "exec": _exec,
    "exec_foreground": _exec_foreground,
}


def _grows(world: World, act: Callable[[], object]) -> None:
    act()  # what is made once, and kept, is there now
    before = world.left()
    for _ in range(ROUNDS):
        act()
    assert world.left() == before


@pytest.mark.parametrize("name", LIBRARY)
def test_a_call_of_the_library_leaves_nothing(world, name):
    if name in ("run_restored", "restore", "checkpoint") and not shutil.which("criu"):
        pytest.skip("needs criu")
    _grows(world, lambda: LIBRARY[name](world))


def test_every_call_of_the_library_is_asked():
    public = {
        name
        for name, _ in inspect.getmembers(pyrunc.Container, callable)
        if not name.startswith("_")
    }
    assert public == set(LIBRARY)


# --- the commands ----------------------------------------------------------------------------

# Lines of each command, one that works if it can here and one that fails; {} is the container
# that runs, NEW one that is made and removed around it.
LINES: dict[str, tuple[tuple[str, ...], ...]] = {
    "checkpoint": (("nosuch",), ("--image-path", "/proc/nosuch/image", "{}")),
    "completion": (("bash",), ("nosuch",)),
    "create": (("-b", "BUNDLE", "NEW"), ("-b", "/nosuch", "NEW")),
    "delete": (("--force", "nosuch"), ("{}",)),
    "events": (("--stats", "{}"), ("nosuch",)),
    "exec": (("{}", "/bin/true"), ("{}", "/nosuch")),
    "features": ((),),
    "inspect": (("{}",), ("nosuch",)),
    "kill": (("{}", "0"), ("nosuch",)),
    "list": ((), ("-f", "nosuch")),
    "man": ((), ("nosuch",)),
    "metrics": ((),),
    "pause": (("nosuch",),),
    "plan": (("-b", "BUNDLE"), ("-b", "/nosuch")),
    "ps": (("{}",), ("nosuch",)),
    "restore": (("-b", "BUNDLE", "--image-path", "/nosuch", "NEW"),),
    "resume": (("{}",), ("nosuch",)),
    "run": (("-d", "-b", "BUNDLE", "NEW"), ("-b", "/nosuch", "NEW")),
    "spec": (("-b", "SCRATCH"), ("-b", "/proc/nosuch")),
    "start": (("NEW",), ("nosuch",)),
    "state": (("{}",), ("nosuch",)),
    "update": (("--pids-limit", "77", "{}"), ("--pids-limit", "x", "{}")),
    "validate": (("-b", "BUNDLE"), ("-b", "/nosuch")),
    "wait": (("nosuch",),),
}


def _line(world: World, command: str, words: tuple[str, ...]) -> None:
    new = world.runtime.new_id()
    made = {"BUNDLE": str(world.bundle.path), "SCRATCH": str(world.scratch), "NEW": new}
    if command == "start" and "NEW" in words:
        world.runtime.create(world.bundle, new)
    line = [made.get(word, word.format(world.running.id)) for word in words]
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            [support.PYRUNC, "--root", world.root, command, *line],
            stdin=null, stdout=null, stderr=null, check=False, timeout=60 * support.SLOW,
        )  # fmt: skip
    if "NEW" in words:
        world.runtime("delete", "--force", new)
    for name in os.listdir(world.scratch):
        os.unlink(world.scratch / name)


@pytest.mark.parametrize("command", LINES)
def test_a_command_leaves_nothing(world, command):
    for words in LINES[command]:
        _grows(world, lambda words=words: _line(world, command, words))


def test_every_command_is_asked():
    assert set(COMMANDS) - {"help"} == set(LINES)
