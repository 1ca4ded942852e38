# SPDX-License-Identifier: Apache-2.0
"""`Container` itself: who removes it, how it warns, what its calls return."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

import pyrunc


@pytest.fixture
def null():
    with open("/dev/null", "r+b") as file:
        yield (file.fileno(),) * 3


@pytest.fixture
def create(runtime, bundle, null):
    bundle.args("/bin/sleep", "1000")

    def made(**given) -> pyrunc.Container:
        return pyrunc.Container.create(
            str(bundle.path), runtime.new_id(), root=str(runtime.root), stdio=null, **given
        )

    return made


def test_what_a_with_block_has_created_is_gone_after_it(create, runtime):
    with create() as container:
        assert container.status == "created"
    assert pyrunc.Container.list(root=str(runtime.root)) == []


def test_what_a_with_block_has_loaded_lives_on(create, runtime):
    with create() as container:
        container.start()
        with pyrunc.Container.load(container.id, root=str(runtime.root)) as loaded:
            assert loaded.status == "running"
        assert container.status == "running"
        # Its descriptor is let go all the same, and it can be asked again.
        assert loaded.status == "running"
        loaded.kill(9)
        assert container.wait(10).signal == 9


def test_an_odd_member_is_a_warning_of_python_or_the_callers(create, bundle):
    bundle.config["process"]["noNewPrivilegs"] = True
    bundle.write()
    with pytest.warns(pyrunc.PyruncWarning, match="noNewPrivilegs"), create():
        pass
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with create(warn=told.append):
            pass
    assert len(told) == 1
    assert "noNewPrivilegs" in told[0]


def test_a_warning_that_is_an_error_leaves_nothing(create, bundle, runtime):
    bundle.config["process"]["noNewPrivilegs"] = True
    bundle.write()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(pyrunc.PyruncWarning):
            create()
    assert pyrunc.Container.list(root=str(runtime.root)) == []


def test_run_tells_how_the_program_ended(runtime, bundle):
    program = (
        "import pyrunc, sys\n"
        "ended = pyrunc.Container.run(sys.argv[1], sys.argv[2], root=sys.argv[3])\n"
        "print(ended)\n"
    )
    for script, expected in (
        ("exit 3", "Exit(code=3, signal=0, reason='exited')"),
        ("kill -9 $$", "Exit(code=137, signal=9, reason='signaled')"),
    ):
        # As an ordinary process, not as pid 1, which no signal of its own ends.
        bundle.config["linux"]["namespaces"] = [
            one for one in bundle.config["linux"]["namespaces"] if one["type"] != "pid"
        ]
        bundle.shell(script)
        done = subprocess.run(
            [sys.executable, "-c", program, str(bundle.path), runtime.new_id(), str(runtime.root)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.stdout, done.returncode) == (expected + "\n", 0), done.stderr
    assert pyrunc.Container.list(root=str(runtime.root)) == []
