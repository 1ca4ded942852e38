# SPDX-License-Identifier: Apache-2.0
"""The same bundle under runc 1.1 and pyrunc: the process inside must see the same.

known.DIFFERENCES is the one list of what may differ, with reasons: exactly that has to differ.
"""

from __future__ import annotations

import os

import differ
import pytest
from cases_process import CASES
from known import BUGS, DIFFERENCES, OTHERS, expected, rewritten, rows


def seen(pair, name, case):
    """What the probe, the exit code and the directory afterwards say; and the message."""
    box = pair.box()
    case.change(box)
    box.write()
    runtime = pair.runtimes[name]
    runtime.prefix = case.prefix
    container_id = runtime.new_id()
    reader, writer = os.pipe()
    os.close(writer)
    try:
        done = runtime("run", *case.options, "-b", str(box.path), container_id, check=False,
                       env=differ.ENVIRONMENT, stdin=reader)  # fmt: skip
    finally:
        os.close(reader)
    lines = [f"exit: {done.returncode}", *done.stdout.splitlines()]
    return pair.normalise(lines, container_id) + differ.tree(box.path), done.stderr


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=BUGS[name]))
        if name in BUGS
        else name
        for name in CASES
    ],
)
def test_same(pair, name):
    case = CASES[name]
    runc, runc_message = seen(pair, "runc", case)
    pyrunc, pyrunc_message = seen(pair, "pyrunc", case)
    refusals = [row for row in rows(name) if row.refused]
    if refusals:
        assert refusals[0].runc in runc_message
        assert "exit: 1" in runc
        assert "exit: 0" in pyrunc, pyrunc_message
        assert not pyrunc_message
        return
    found = differ.differences(expected(runc, name), pyrunc)
    assert not found, "\n".join([*found, pyrunc_message])
    # The case is what its author meant, and the probe has run.
    assert f"exit: {case.status}" in runc, runc_message
    messages = ["level=error" in message for message in (runc_message, pyrunc_message)]
    assert messages == [case.status == 1] * 2, pyrunc_message
    if case.status == 0:
        assert len([line for line in runc if not line.startswith("left: ")]) > 90


def test_the_list_is_used(pair):
    """Rows for everywhere show in the default bundle; rows and bugs name cases that exist."""
    _, used = rewritten(seen(pair, "runc", CASES["default"])[0], "default")
    for row in rows("default"):
        assert row.cases or row in used, row.reason
    for row in DIFFERENCES:
        assert set(row.cases) | set(row.unless) <= {*CASES, *OTHERS}, row.reason
    assert set(BUGS) <= {*CASES, *OTHERS}
    assert len(CASES) >= 100
