# SPDX-License-Identifier: Apache-2.0
"""No module imports another that imports it: not within a function, not for a type checker."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pyrunc

PACKAGE = Path(pyrunc.__file__).parent


def modules(package: Path) -> dict[str, Path]:
    """The modules of a package, by their full names."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Those of the known modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = names & known.keys()
            # `from pyrunc.plan import wire` needs of the package only that module.
            found |= submodules if len(submodules) == len(names) else {*submodules, node.module}
    return found & known.keys()


def first_cycle(package: Path) -> list[str]:
    """The modules of a cycle, the first one again at the end; none is []."""
    known = modules(package)
    graph = {name: imports(path, known) for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_package_has_no_import_cycle() -> None:
    assert first_cycle(PACKAGE) == []


@pytest.mark.parametrize(
    "text",
    ["import p.a", "from p import a", "from p.a import x", "def f():\n    from p.a import x"],
)
def test_a_cycle_is_found_wherever_it_hides(tmp_path: Path, text: str) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("if TYPE_CHECKING:\n    from p.b import y\n")
    (package / "b.py").write_text(text)
    assert sorted(set(first_cycle(package))) == ["p.a", "p.b"]
    (package / "b.py").write_text("import os")
    assert first_cycle(package) == []
