# SPDX-License-Identifier: Apache-2.0
"""Each command in each state: the table, and how a cell is tried."""

from __future__ import annotations

import shutil

from tests.lib import support

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
# Success where CRIU is to be had; tests/guest/test_criu.py has more of it.
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
    "create": "created", "checkpoint --image-path IMAGE": "none",
    "run --detach": "running", "delete": "none", "delete --force": "none",
}  # fmt: skip
# An init that waits for its start ends by what its program may well ignore as pid 1.
AFTER_IN = {("created", "kill TERM"): "stopped", ("created", "kill --all TERM"): "stopped"}


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


def cells(every=1):
    """Commands with states; every so manieth, for hosts that are slow."""
    return [(command, state) for command in TABLE for state in STATES][::every]


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


def wanted_of(program, command, state):
    """What stderr has to say: None is success, "" anything that is not about the state."""
    wanted = TABLE[command][STATES.index(state)]
    if wanted != CRIU:
        return wanted
    # The guest's CRIU knows its kernel; runc's own way to it is not ours to test.
    return None if support.GUEST and program != "runc" and shutil.which("criu") else ""


def verdict(program, command, state, name, code, text):
    """What is wrong with the outcome of a cell, or ""."""
    text = text.replace('\\"', '"')
    # runc warns of what it could not freeze.
    text = "".join(x for x in text.splitlines(True) if "level=warning" not in x)
    wanted = wanted_of(program, command, state)
    if wanted == "":
        good = "cannot be checkpointed" not in text
    elif wanted is None:
        good = (code, text) == (0, "")
    else:
        words = wanted.format(state if "cannot be" in wanted else name)
        good = code == (255 if command == "exec" else 1) and words in text
    return "" if good else f"exit {code}: {text.strip()}"
