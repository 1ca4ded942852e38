# SPDX-License-Identifier: Apache-2.0
"""Errors that say what failed, where, and what to do: one line, and nothing left behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from pyrunc import Container, UsageError
from tests.lib import support
from tests.lib.support import put


def line(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one line that was said."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def small(tmp_path):
    """A filesystem of a few pages, in a mount of its own."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_no_space_for_the_state(runtime, bundle, small):
    runtime.root = small
    (small / "filler").write_bytes(b"x" * (60 << 10))
    name = runtime.new_id()
    said = line(runtime("create", "-b", str(bundle.path), name, check=False))
    assert "no space left on device" in said
    assert f"{small}/{name}/" in said
    assert os.listdir(small) == ["filler"]
    assert not support.cgroups_named(name)


def test_no_space_for_an_update(runtime, bundle, small):
    runtime.root = small
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    before = runtime.state(name)
    free = os.statvfs(small).f_bavail * os.statvfs(small).f_bsize
    (small / "filler").write_bytes(b"x" * free)
    said = line(runtime("update", "--pids-limit", "77", name, check=False))
    assert "no space left on device" in said
    assert f"{small}/{name}/" in said
    (small / "filler").unlink()
    assert runtime.state(name) == before
    runtime("delete", "-f", name)


def test_a_state_root_that_is_read_only(runtime, bundle, small):
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    runtime.root = small
    said = line(runtime("create", "-b", str(bundle.path), "one", check=False))
    assert f"make {small}/one: mkdir: read-only file system" in said


@pytest.mark.parametrize("command", ["state", "list", "ps", "spec -b", "features"])
def test_an_answer_that_cannot_be_written(runtime, bundle, tmp_path, command):
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    words = [*command.split()]
    if command in ("state", "ps"):
        words.append(name)
    if command == "spec -b":
        words = ["help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [runtime.program, "--root", str(runtime.root), *words],
            check=False, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert "write to standard output" in line(done)
    assert "no space left on device" in done.stderr


def test_no_config(runtime, bundle):
    (bundle.path / "config.json").unlink()
    said = line(runtime("run", "-b", str(bundle.path), runtime.new_id(), check=False))
    assert f"JSON specification file config.json not found (in {bundle.path}" in said
    assert "pyrunc spec" in said


@pytest.mark.parametrize("command", ["run", "create"])
def test_an_image_and_a_command(runtime, command):
    """Who is used to an engine."""
    said = line(runtime(command, "alpine", "sh", check=False))
    assert "a bundle is run, not an image" in said
    assert "pyrunc spec" in said


@pytest.mark.parametrize(("typed", "meant"), [("strt", "start"), ("creat", "create"), ("rm", "")])
def test_an_unknown_command(runtime, typed, meant):
    said = line(runtime(typed, check=False), 3)
    assert f"No help topic for '{typed}'" in said
    assert ("did you mean" in said) == bool(meant)
    assert meant in said


def test_delete_of_a_running_one(runtime, bundle):
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    assert "--force" in line(runtime("delete", name, check=False))


def test_an_ordinary_user_without_a_place(runtime, bundle, tmp_path):
    for path in (tmp_path, *tmp_path.parents, bundle.path):
        if str(path).startswith("/tmp/"):
            os.chmod(path, 0o755)
    os.chmod(bundle.path / "config.json", 0o644)
    done = subprocess.run(
        ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "env", "-i",
         runtime.program, "run", "-b", str(bundle.path), "one"],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "XDG_RUNTIME_DIR" in line(done)
    assert "--root" in done.stderr


def test_a_string_in_the_place_of_words(runtime, bundle):
    """Its letters would be taken for arguments."""
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    container = Container.load(name, root=str(runtime.root))
    for call in (container.exec, container.popen):
        with pytest.raises(TypeError, match=r"\['echo', 'hi'\]"):
            call("echo hi")  # type: ignore[arg-type]


def test_an_environment_as_a_dict(runtime, bundle):
    """As subprocess takes it."""
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    container = Container.load(name, root=str(runtime.root))
    done = container.exec(["env"], env={"ONE": "1=2", "TWO": ""}, capture_output=True)
    assert b"ONE=1=2\n" in done.stdout
    assert b"TWO=\n" in done.stdout


def test_the_library_does_not_speak_of_options(runtime, bundle):
    bundle.config["process"]["terminal"] = True
    bundle.write()
    with pytest.raises(UsageError) as caught:
        Container.create(str(bundle.path), runtime.new_id(), root=str(runtime.root))
    assert "--" not in str(caught.value)


@pytest.mark.parametrize("kind", ["container", "process"])
def test_a_destructor_says_nothing(runtime, bundle, kind):
    """Of what has been closed already, at any time, there is nobody to tell."""
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    held = Container.load(name, root=str(runtime.root))
    process = held.popen(["true"])
    thing = held if kind == "container" else process
    process.wait()
    os.close(thing.fileno())
    said: list[object] = []
    sys.unraisablehook, before = said.append, sys.unraisablehook
    try:
        del thing
        if kind == "container":
            del held
        else:
            del process
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert not said


@pytest.mark.parametrize("call", ["socketpair", "waitid", "memfd_create", "pipe2"])
@pytest.mark.parametrize("command", ["create", "exec"])
def test_a_call_of_the_runtime_that_fails(runtime, bundle, tmp_path, call, command):
    """The line names the step, not the errno alone."""
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    words = ["exec", name, "true"]
    if command == "create":
        name = runtime.new_id()
        words = ["create", "-b", str(bundle.path), name]
    with open(os.devnull, "r+b") as null, open(tmp_path / "errors", "wb") as errors:
        done = subprocess.run(
            ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:error=ENFILE:when=1",
             runtime.program, "--root", str(runtime.root), *words],
            check=False, stdin=null, stdout=null, stderr=errors, text=True, timeout=60,
        )  # fmt: skip
    if done.returncode == 0:
        return  # the call is not made here
    done.stderr = (tmp_path / "errors").read_text()
    said = line(done, 255 if command == "exec" else 1)
    assert "too many open files in system" in said
    assert call in said
    if command == "create":
        assert not (runtime.root / name).exists()
