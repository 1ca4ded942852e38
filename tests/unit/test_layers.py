# SPDX-License-Identifier: Apache-2.0
"""The house rules, held by reading the sources."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import pyrunc

PACKAGE = Path(pyrunc.__file__).parent
TOP = PACKAGE.parent
CSRC = TOP / "csrc"
# `os.path` for string functions, and for the place of a file of the package's own.
OS_PATH_ONLY = {"pyrunc/spec/check.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(TOP))


PYTHON = sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, under its full name."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            # `from pyrunc import cgroups` imports pyrunc.cgroups.
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, *packages: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in packages)


def files(*rooms: str) -> list[Path]:
    found = [path for path in PYTHON if path.relative_to(PACKAGE).parts[0] in rooms]
    assert found
    return found


EFFECTS = (
    "os", "posix", "socket", "_socket", "subprocess", "signal", "_signal", "fcntl", "select",
    "shutil", "time", "threading", "pathlib", "io", "ctypes", "pyrunc.lifecycle",
    "pyrunc.cgroups", "pyrunc.cli", "pyrunc.observe", "pyrunc.container",
)  # fmt: skip


@pytest.mark.parametrize("path", files("spec", "plan"), ids=name_of)
def test_spec_and_plan_have_no_means_to_act(path: Path) -> None:
    allowed = {"os.path"} if name_of(path) in OS_PATH_ONLY else set()
    bad = {name for name in imports(path) - allowed if within(name, *EFFECTS)}
    assert not bad
    calls = {node.func.id for node in ast.walk(tree(path)) if is_call_of_a_name(node)}
    assert not calls & {"open", "exec", "eval", "__import__", "input", "breakpoint"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "os" or node.attr == "path"


def is_call_of_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def type_checked_only(path: Path) -> set[str]:
    """Imports below `if TYPE_CHECKING:`: they do not happen."""
    found = set()
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.If) or ast.unparse(node.test) != "TYPE_CHECKING":
            continue
        for inner in node.body:
            if isinstance(inner, ast.ImportFrom):
                found |= {f"{inner.module}.{alias.name}" for alias in inner.names}
                found.add(str(inner.module))
    return found


ROOMS = {
    # room: what of pyrunc it may use at run time
    "spec": ("pyrunc.spec", "pyrunc.errors", "pyrunc.jsontext"),
    "plan": (
        "pyrunc.plan",
        "pyrunc.spec",
        "pyrunc.host.facts",
        "pyrunc.errors",
        "pyrunc.kernel.constants",
    ),
    "kernel": ("pyrunc.kernel", "pyrunc.errors"),
    "host": ("pyrunc.host", "pyrunc.errors", "pyrunc.kernel"),
}


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_may_use_of_the_others(room: str) -> None:
    for path in files(room):
        used = {name for name in imports(path) if name.startswith("pyrunc.")}
        # A name imported from an allowed module is not a module, and allowed with it.
        wrong = {
            name
            for name in used - type_checked_only(path)
            if not within(name, *ROOMS[room]) and name != "pyrunc.kernel"
        }
        assert not wrong, f"{name_of(path)} uses {sorted(wrong)}"
        if room in ("spec", "plan"):
            exact = {name for name in used if within(name, "pyrunc.kernel")}
            assert exact <= (
                {"pyrunc.kernel", "pyrunc.kernel.constants"} if room == "plan" else set()
            )


@pytest.mark.parametrize(("core", "owner"), [("_core", "calls.py"), ("_seccomp", "seccomp.py")])
def test_one_module_knows_the_c_core(core: str, owner: str) -> None:
    module = f"pyrunc.kernel.{core}"
    users = [path for path in PYTHON if any(within(name, module) for name in imports(path))]
    assert users == [PACKAGE / "kernel" / owner]


def test_nothing_lower_imports_the_command_line() -> None:
    for path in PYTHON:
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not [name for name in imports(path) if within(name, "pyrunc.cli")], path
    assert not [p for p in files("plan") if any(within(n, "pyrunc.cgroups") for n in imports(p))]


# What the command line does to the world by itself: relative paths, its own files, its end.
CLI_EFFECTS = {
    "create.py": {"os.chdir", "os.getcwd", "os.environ.get", "os.getpid"},
    "events.py": {"os.write"},
    "log.py": {"os.open", "os.write"},
    "main.py": {"os._exit"},
    "run.py": {"os.environ.get"},
    "start.py": {"os.environ.get"},
    "spec.py": {"os.geteuid", "os.getegid", "os.open", "os.fdopen"},
    "update.py": {"os.open", "os.dup", "os.read", "os.close"},
}


def os_calls(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith("os.") and not called.startswith("os.path."):
                found.add(called)
    return found


def test_the_command_line_holds_no_effects_but_its_own() -> None:
    found = {path.name: calls for path in files("cli") if (calls := os_calls(path))}
    assert found == CLI_EFFECTS


def test_no_exception_is_caught_without_a_name() -> None:
    for path in PYTHON:
        for node in ast.walk(tree(path)):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), name_of(path)


@pytest.mark.parametrize("path", files("container.py", "lifecycle", "kernel"), ids=name_of)
def test_library_code_leaves_the_process_as_it_is(path: Path) -> None:
    """A threaded program may run fifty containers at once."""
    forbidden = {"os.chdir", "os.fchdir", "os.umask", "os.chroot", "os.fork", "os.setsid"}
    forbidden |= {"os.putenv", "os.unsetenv", "os.setuid", "os.setgid", "os.environ.update"}
    assert not os_calls(path) & forbidden
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Global), f"{path}:{node.lineno}"


# --- C ---------------------------------------------------------------------------------------

_TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.DOTALL)


def string_literals(source: str) -> list[str]:
    return [token for token in _TOKENS.findall(source) if token.startswith('"')]


def test_c_literals_are_told_from_comments() -> None:
    source = 'x = "a\\"/*b"; /* "/proc" */ y = \'"\'; // "/proc/2"\nz = "/proc/3";'
    assert string_literals(source) == ['"a\\"/*b"', '"/proc/3"']


def test_init_names_nothing_below_proc() -> None:
    """An image can lay anything over a path in /proc (CVE-2019-16884, CVE-2025-31133)."""
    sources = sorted((CSRC / "init").glob("*.[ch]"))
    assert len(sources) > 10
    for path in sources:
        named = [text for text in string_literals(path.read_text()) if "/proc" in text]
        assert not named, f"{name_of(path)}: {named}"


def test_init_names_no_terminal() -> None:
    """CVE-2025-52565: /dev/pts/0 may lead to anything; the master knows its peer."""
    sources = sorted((CSRC / "init").glob("*.[ch]"))
    named = {text for path in sources for text in string_literals(path.read_text())
             if "pts" in text}  # fmt: skip
    assert named == {'"/dev/pts/ptmx"'}


# --- the package -----------------------------------------------------------------------------


def test_every_public_name_can_be_imported() -> None:
    assert len(pyrunc.__all__) > 10
    for name in pyrunc.__all__:
        found = getattr(pyrunc, name)
        if name == "__version__":
            assert isinstance(found, str)
        else:
            assert found.__name__ == name if not name.isupper() else isinstance(found, int)


def test_every_exception_is_public_and_in_the_one_tree() -> None:
    tree = ast.get_docstring(ast.parse((TOP / "pyrunc" / "errors.py").read_text())) or ""
    found = {cls for cls in _below(pyrunc.PyruncError) if ".cli." not in cls.__module__}
    names = {cls.__name__ for cls in found if not cls.__name__.startswith("_")}
    assert names <= set(pyrunc.__all__)
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", tree)] == []


def _below(cls: type) -> set[type]:
    return {cls} | {lower for one in cls.__subclasses__() for lower in _below(one)}
