# SPDX-License-Identifier: Apache-2.0
"""The same bundle under runc 1.1, crun 1.21 and pyrunc: the process inside must see the same.

known.RUNC and known_crun.CRUN are the lists of what may differ, with reasons: exactly that has to
differ.
"""

from __future__ import annotations

import os

import pytest

from tests.differential import differ
from tests.differential.cases import CASES
from tests.differential.known import OTHERS, RUNC
from tests.differential.known_crun import CRUN


class Runs:
    """One bundle under each runtime, once."""

    def __init__(self, pair, name, used):
        self.pair = pair
        self.name = name
        self.case = CASES[name]
        self.used = used  # the list -> its rows that applied
        self._seen = {}

    def __call__(self, runtime):
        if runtime not in self._seen:
            self._seen[runtime] = seen(self.pair, runtime, self.case)
        return self._seen[runtime]

    def status(self, runtime):
        [found] = [line for line in self(runtime)[0] if line.startswith("exit: ")]
        return int(found.removeprefix("exit: "))


def seen(pair, name, case):
    """What the probe, the exit code, the directory and the host afterwards say; and the message."""
    box = pair.box()
    case.change(box)
    box.write()
    runtime = pair.runtimes[name]
    runtime.prefix = case.prefix
    container_id = runtime.new_id()
    before = differ.host_mounts()
    reader, writer = os.pipe()
    os.close(writer)
    try:
        done = runtime("run", *case.options, "-b", str(box.path), container_id, check=False,
                       env=differ.ENVIRONMENT, stdin=reader)  # fmt: skip
    finally:
        os.close(reader)
    lines = [f"exit: {done.returncode}", *done.stdout.splitlines()]
    left = [*differ.tree(box.path), *pair.escaped(before)]
    return pair.normalise(lines, container_id) + left, done.stderr


@pytest.fixture(scope="module")
def used():
    """The name of a case -> the list -> its rows that applied."""
    return {}


@pytest.fixture(scope="module", params=CASES)
def runs(request, probe, template, crun, used):
    """The runs of one case; both tests of it use them, one after the other."""
    pair = differ.Pair(probe, template, differ.PROGRAMS | ({} if crun else differ.CRUN))
    try:
        yield Runs(pair, request.param, used.setdefault(request.param, {}))
    finally:
        pair.close()


def compare(runs, peer, known):
    """The peer's run, with the known differences in it, is pyrunc's. Whether it was a refusal."""
    (lines, message), (pyrunc, pyrunc_message) = runs(peer), runs("pyrunc")
    refusals = [row for row in known.rows(runs.name) if row.refuses]
    for row in refusals:
        statuses = {"peer": runs.status(peer), "pyrunc": runs.status("pyrunc")}
        assert row.peer in (message if row.refuses == "peer" else pyrunc_message)
        assert statuses.pop(row.refuses) == 1
        assert list(statuses.values()) == [0], pyrunc_message
    if not refusals:
        expected, runs.used[known] = known.rewritten(lines, runs.name)
        found = differ.differences(expected, pyrunc)
        assert not found, "\n".join([*found, message, pyrunc_message])
    return bool(refusals)


def test_same(runs):
    if compare(runs, "runc", RUNC):
        return
    (runc, runc_message), (_, pyrunc_message), case = runs("runc"), runs("pyrunc"), runs.case
    # The case is what its author meant, and the probe has run.
    assert runs.status("runc") == case.status, runc_message
    messages = ["level=error" in message for message in (runc_message, pyrunc_message)]
    assert messages == [case.status == 1] * 2, pyrunc_message
    if case.status == 0:
        assert len([line for line in runc if not line.startswith("left: ")]) > 90


def test_same_as_crun(runs, crun):
    if crun:
        pytest.skip(crun)
    compare(runs, "crun", CRUN)


@pytest.mark.parametrize("known", [RUNC, CRUN], ids=["runc", "crun"])
def test_the_list_is_used(known, crun, used):
    """A row that changed nothing is stale; rows name cases that exist."""
    for row in known.differences:
        assert set(row.cases) | set(row.unless) <= {*CASES, *OTHERS}, row.reason
        assert row.spec in (("both", "pyrunc") if known is CRUN else ("",)), row.reason
    assert len(CASES) >= 150
    if crun and known is CRUN:
        pytest.skip(crun)
    if len(used) < len(CASES):
        pytest.skip("only some of the cases have run")
    rows = {row for name in CASES for row in known.rows(name) if not row.refuses}
    stale = rows - set().union(*(used[name].get(known, []) for name in CASES))
    assert not stale, [row.reason for row in stale]
