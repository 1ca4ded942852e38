# SPDX-License-Identifier: Apache-2.0
"""docs/conformance.md, of outcomes that `run --format json` has stored on one host after another:

suite/document.py FILE... > ../docs/conformance.md
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import outcomes
from unheld import UNHELD

HERE = Path(__file__).resolve().parent
HEAD = """\
<!-- Generated: oci-conformance/suite/document.py FILE... > docs/conformance.md -->
# Conformance

What the runtime specification (1.3.0, Linux) asks for, which case of `oci-conformance/` holds it,
and what came of it. `oci-conformance/run --runtime PATH` repeats it for any runtime, as root;
`make test-conformance` also shows that broken runtimes are caught. An outcome is *kept*,
**broken**, *lenient* (taken with a warning, or by a decision that is named), or - (the host lacks
what it needs). Explanations come from `oci-conformance/explained.toml`. The tables are made of what
`oci-conformance/run --format json` prints on each host, by `oci-conformance/suite/document.py`.
"""


def examined(made: dict[str, Any]) -> outcomes.Examined:
    """A runtime's part of a stored document."""
    found = {name: outcomes.Outcome(**one) for name, one in made.pop("outcomes").items()}
    return outcomes.Examined(**made, outcomes=found)


def document(hosts: list[tuple[str, list[outcomes.Examined]]]) -> str:
    runtimes = [one for _, some in hosts for one in some]
    outcomes.explain(runtimes, HERE.parent / "explained.toml")
    cases = outcomes.all_cases(runtimes)
    lines = [HEAD, "## Outcomes", ""]
    lines += [
        "| host | runtime | cases | kept | lenient | broken | not run |",
        "|---|---|---|---|---|---|---|",
    ]
    for host, some in hosts:
        for one in some:
            counts = " | ".join(
                str(one.count(kind)) for kind in ("kept", "lenient", "broken", "not run")
            )
            lines.append(f"| {host} | {one.name} {one.version} | {len(one.outcomes)} | {counts} |")
    lines += ["", "## Not kept", ""]
    lines += ["| runtime | case | outcome | why |", "|---|---|---|---|"]
    rows: dict[str, None] = {}  # one for the hosts that agree
    for host, some in hosts:
        for one in some:
            rows |= dict.fromkeys(_not_kept(host, one))
    lines += rows
    lines += ["", "## Clauses", ""]
    heads = " | ".join(f"{one.name} {host.split()[-1]}" for host, some in hosts for one in some)
    lines += [f"| clause | where | what it asks for | cases | {heads} |",
              "|---|---|---|---|" + "---|" * len(runtimes)]  # fmt: skip
    by_clause = defaultdict(list)
    for case in cases:
        by_clause[case.clause].append(case)
    for clause, group in sorted(by_clause.items()):
        cells = " | ".join(_cell(one, [case.case for case in group]) for one in runtimes)
        first = group[0]
        lines.append(f"| `{clause}` | {first.place} | {first.text} | {len(group)} | {cells} |")
    lines += ["", "## Clauses that no case holds", "", "| clause | where | why |", "|---|---|---|"]
    lines += [f"| {text} | {place} | {why} |" for place, text, why in UNHELD]
    return "\n".join(lines) + "\n"


def _not_kept(host: str, runtime: outcomes.Examined) -> Iterator[str]:
    for name, outcome in sorted(runtime.outcomes.items()):
        if outcome.outcome != "kept":
            why = outcome.seen if outcome.outcome == "not run" else outcome.why
            who = f"all, {host}" if outcome.outcome == "not run" else runtime.name
            yield f"| {who} | `{name}` | {outcome.outcome} | {why} |"


def _cell(runtime: outcomes.Examined, names: list[str]) -> str:
    """ "kept", or how many of the cases are what."""
    kinds = [runtime.outcomes[name].outcome for name in names if name in runtime.outcomes]
    words = []
    for kind in ("kept", "lenient", "broken", "not run"):
        if count := kinds.count(kind):
            word = {"broken": "**broken**", "not run": "-"}.get(kind, kind)
            words.append(word if count == len(kinds) else f"{count} {word}")
    return ", ".join(words)


def main() -> None:
    hosts = []
    for name in sys.argv[1:]:
        made = json.loads(Path(name).read_text())
        hosts.append((made["host"], [examined(one) for one in made["runtimes"]]))
    sys.stdout.write(document(hosts))


if __name__ == "__main__":
    main()
