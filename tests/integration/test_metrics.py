# SPDX-License-Identifier: Apache-2.0
"""`pyrunc metrics` of real containers."""

from __future__ import annotations

import pyrunc


def test_all_containers_below_a_root(runtime, bundle):
    assert runtime("metrics").stdout.endswith("# EOF\n")
    bundle.args("sleep", "1000").write()
    running = runtime.create(bundle)
    runtime("start", running)
    created = runtime.create(bundle)
    done = runtime("metrics")
    lines = done.stdout.splitlines()
    assert (done.stderr, lines[-1]) == ("", "# EOF")
    for container, status in ((running, "running"), (created, "created")):
        assert f'pyrunc_container{{id="{container}",pyrunc_container="{status}"}} 1' in lines
        assert f'pyrunc_tasks{{id="{container}"}} 1' in lines
    runtime("kill", running, "KILL")
    said = pyrunc.metrics(str(runtime.root)).splitlines()
    assert f'pyrunc_container{{id="{created}",pyrunc_container="created"}} 1' in said


def test_a_container_that_cannot_be_read_spares_the_others(runtime, bundle):
    bundle.args("sleep", "1000").write()
    good, broken = runtime.create(bundle), runtime.create(bundle)
    state = runtime.root / broken / "state.json"
    kept = state.read_bytes()
    state.write_text("{")
    try:
        done = runtime("metrics")
        assert f'id="{good}"' in done.stdout
        assert broken not in done.stdout
        assert done.stderr.startswith(f"load container {broken}: ")
    finally:
        state.write_bytes(kept)
