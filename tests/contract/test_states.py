# SPDX-License-Identifier: Apache-2.0
"""Each command in each state: the table of cli-contract section 6, all cells in one place."""

from __future__ import annotations

import shutil

import pytest
import support

STATES = ("none", "half-made", "created", "running", "paused", "stopped")
DNE = "container does not exist"
EXISTS = "container with given ID already exists"
NOT_PAUSED, NOT_RUNNING = "container not paused", "container not running"
EVENTS = "container with id {} is not running"
DELETE = "cannot delete container {} that is not stopped: "
STARTED = "cannot start an already running container"
PAUSED_START = "cannot start a container in the paused state"
STOPPED_START = "cannot start a container that has stopped"
PAUSED_EXEC = "cannot exec in a paused container (use --ignore-paused to override)"
STOPPED_EXEC = "cannot exec in a stopped container"
CHECKPOINT = "Container cannot be checkpointed in {} state"
# Whoever is to be checkpointed meets CRIU next, which is not to be had on every host.
CRIU = "?"
# Command -> the message in each of STATES; None is success.
TABLE = {
    "create": (None, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS),
    "run --detach": (None, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS),
    "start": (DNE, DNE, None, STARTED, PAUSED_START, STOPPED_START),
    "state": (DNE, DNE, None, None, None, None),
    "kill TERM": (DNE, DNE, None, None, None, NOT_RUNNING),
    "kill KILL": (DNE, DNE, None, None, None, NOT_RUNNING),
    "kill --all KILL": (DNE, DNE, None, None, None, None),
    "exec": (DNE, DNE, None, None, PAUSED_EXEC, STOPPED_EXEC),
    "pause": (DNE, DNE, None, None, NOT_RUNNING, NOT_RUNNING),
    "resume": (DNE, DNE, NOT_PAUSED, NOT_PAUSED, None, NOT_PAUSED),
    "update --pids-limit 77": (DNE, DNE, None, None, None, NOT_RUNNING),
    "ps": (DNE, DNE, None, None, None, None),
    "events --stats": (DNE, DNE, None, None, None, EVENTS),
    "checkpoint --image-path IMAGE": (DNE, DNE, CHECKPOINT, CRIU, CRIU, CHECKPOINT),
    "delete": (DNE, DNE, None, DELETE, DELETE, None),
    "delete --force": (None, None, None, None, None, None),
    # The forms of the commands above that have texts of their own.
    "ps --format json": (DNE, DNE, None, None, None, None),
    "kill 0": (DNE, DNE, None, None, None, NOT_RUNNING),
    "kill --all TERM": (DNE, DNE, None, None, None, None),
    "kill 9999": (DNE, DNE, *["unable to signal init: invalid argument"] * 3, NOT_RUNNING),
    "kill -1": (DNE, DNE, *["unable to signal init: invalid argument"] * 3, NOT_RUNNING),
    "kill nosuch": (DNE, DNE, *['unknown signal "nosuch"'] * 4),
    "restore --image-path IMAGE": ("no such file or directory", *[EXISTS] * 5),
}
# The state afterwards, of the commands that change one.
AFTER = {
    "start": "running", "pause": "paused", "kill KILL": "stopped", "kill --all KILL": "stopped",
    "create": "created", "run --detach": "running", "delete": "none", "delete --force": "none",
}  # fmt: skip


def line(command, name, bundle, image):
    """The id stands behind the options, and before a signal or a program."""
    words = command.replace("IMAGE", str(image)).split()
    if words[0] in ("create", "run", "restore"):
        words += ["-b", str(bundle.path)]
    if words[0] == "kill":
        return (*words[:-1], name, words[-1])
    return (*words, name, "/bin/true") if words[0] == "exec" else (*words, name)


def put(runtime, bundle, state):
    if state == "half-made":
        name = runtime.new_id()
        (runtime.root / name).mkdir(parents=True)
        return name
    return support.put(runtime, bundle, state)


@pytest.fixture(params=["runtime", "runc"])
def either(request):
    """Both runtimes; what is true for the contract has to be true for runc."""
    return request.getfixturevalue(request.param)


def told(runtime, command, name, bundle, tmp_path):
    """Exit code and stderr, without pipes that a container would inherit."""
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("w+b") as err:
        process = runtime.spawn(
            *line(command, name, bundle, tmp_path / "i"), stdout=out, stderr=err
        )
        code = process.wait(60 * support.SLOW)
    return code, (tmp_path / "err").read_text()


def now(runtime, name):
    done = runtime("state", name, check=False)
    return "none" if done.returncode else runtime.state(name)["status"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", TABLE)
def test_each_command_in_each_state(either, bundle, command, state, tmp_path):
    wanted = TABLE[command][STATES.index(state)]
    if wanted == CRIU and (either.program == "runc" or shutil.which("criu") is None):
        wanted = ""
    name = put(either, bundle.args("/bin/sleep", "100"), state)
    code, text = told(either, command, name, bundle, tmp_path)
    text = text.replace('\\"', '"')
    if either.program == "runc":  # it warns of what it could not freeze
        text = "".join(x for x in text.splitlines(True) if "level=warning" not in x)
    if wanted in ("", CRIU):  # not for the state: whatever CRIU says
        assert "cannot be checkpointed" not in text
        return
    if wanted is None:
        assert (code, text) == (0, "")
        if command in AFTER and (state, command) != ("stopped", "kill --all KILL"):
            support.in_time(lambda: now(either, name) == AFTER[command])
    else:
        assert code == (255 if command == "exec" else 1)
        assert wanted.format(state if "cannot be" in wanted else name) in text
        if state not in ("none", "half-made"):
            assert now(either, name) == state


@pytest.mark.parametrize("state", STATES)
def test_kill_in_a_shared_pid_namespace(runtime, bundle, state, tmp_path):
    """SIGKILL is for all processes; a stopped container's leftovers are killed, exit 0."""
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [ns for ns in spaces if ns["type"] != "pid"]
    bundle.shell("sleep 100 & sleep 100 & wait")
    if state == "stopped":
        name = put(runtime, bundle, "running")
        support.in_time(lambda: runtime("ps", "-f", "json", name).stdout.count(",") >= 2)
        runtime("kill", name, "TERM")
        support.in_time(lambda: now(runtime, name) == "stopped")
        assert runtime("ps", "-f", "json", name).stdout != "null\n"
    else:
        name = put(runtime, bundle, state)
    code, text = told(runtime, "kill KILL", name, bundle, tmp_path)
    if state in ("none", "half-made"):
        assert (code, DNE in text) == (1, True)
        return
    assert (code, text) == (0, "")
    support.in_time(lambda: runtime("ps", "-f", "json", name).stdout == "null\n")
