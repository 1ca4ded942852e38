# SPDX-License-Identifier: Apache-2.0
"""Each command in each state: all cells of the table in docs/contract.md."""

from __future__ import annotations

import json

import pytest

from tests.contract import table
from tests.contract.matrix import (
    AFTER,
    AFTER_IN,
    DNE,
    STATES,
    cells,
    now,
    put,
    told,
    verdict,
    wanted_of,
)
from tests.lib import support


@pytest.mark.parametrize(
    ("kind", "command", "state"),
    [
        *(("runtime", *cell) for cell in cells()),
        # What is true for the contract has to be true for runc.
        *(("runc", *cell) for cell in cells(support.EVERY)),
    ],
)
def test_each_command_in_each_state(request, bundle, kind, command, state, tmp_path):
    runtime = request.getfixturevalue(kind)
    name = put(runtime, bundle.args("/bin/sleep", "100"), state)
    code, text = told(runtime, command, name, bundle, tmp_path)
    assert verdict(runtime.program, command, state, name, code, text) == ""
    wanted = wanted_of(runtime.program, command, state)
    if wanted is None and command in AFTER and (state, command) != ("stopped", "kill --all KILL"):
        support.in_time(lambda: now(runtime, name) == AFTER[command])
    elif wanted is None and (state, command) in AFTER_IN:
        support.in_time(lambda: now(runtime, name) == AFTER_IN[state, command])
    elif wanted and state not in ("none", "half-made"):
        assert now(runtime, name) == state


@pytest.mark.skipif(table.lacks_crun() != "", reason=table.lacks_crun() or "-")
@pytest.mark.parametrize(("command", "state"), cells(support.EVERY))
def test_crun_differs_where_the_table_says(bundle, command, state, tmp_path):
    known = json.loads(table.CRUN_STATES.read_text())
    assert table.crun_in(bundle, command, state, tmp_path) == known[f"{command} | {state}"]


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
