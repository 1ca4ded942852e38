# SPDX-License-Identifier: Apache-2.0
"""How large a file, a function, a signature and a nesting may be, in Python and in C."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
LINES, FUNCTION, NESTING, PARAMETERS = 400, 60, 3, 6
GENERATED = {
    "csrc/init/plan_wire.h",
    "pyrunc/kernel/_core.c",
    "pyrunc/kernel/_seccomp.c",
}


def found(pattern: str, *directories: str) -> list[Path]:
    paths = [path for name in directories for path in sorted((TOP / name).rglob(pattern))]
    assert paths
    return [path for path in paths if name_of(path) not in GENERATED]


def name_of(path: Path) -> str:
    return str(path.relative_to(TOP))


PYTHON = found("*.py", "pyrunc", "tools", "oci-conformance")
C = found("*.[ch]", "csrc", "oci-conformance", "tools")
CDEF = found("*.cdef", "csrc")


@pytest.mark.parametrize("path", [*PYTHON, *C, *CDEF], ids=name_of)
def test_files_fit_in_a_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


# --- Python ----------------------------------------------------------------------------------


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller sees."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    rest = [one for one in (given.vararg, given.kwarg) if one is not None]
    return len([one for one in (*named, *rest) if one.arg not in ("self", "cls")])


def nesting(statements: list[ast.stmt]) -> int:
    """How many blocks lie in each other; `elif` is no deeper than its `if`."""
    return max((blocks(one) for one in statements), default=0)


def blocks(statement: ast.stmt) -> int:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 0
    inner = [getattr(statement, name, []) for name in ("body", "finalbody")]
    inner += [part.body for name in ("handlers", "cases") for part in getattr(statement, name, [])]
    other = getattr(statement, "orelse", [])
    chained = isinstance(statement, ast.If) and len(other) == 1 and isinstance(other[0], ast.If)
    deepest = max(1 + nesting(body) for body in [*inner, *([] if chained else [other])])
    if not any((*inner, other)):
        return 0
    return max(deepest, blocks(other[0])) if chained else deepest


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_functions(path: Path) -> None:
    wrong = {}
    for function in functions(path):
        assert function.end_lineno
        measured = {
            "lines": (function.end_lineno - function.lineno + 1, FUNCTION),
            "nesting": (nesting(function.body), NESTING),
            "parameters": (parameters(function), PARAMETERS),
        }
        for what, (number, most) in measured.items():
            if number > most:
                wrong[f"{function.name}: {what}"] = number
    assert not wrong


def test_python_is_measured() -> None:
    (function,) = ast.parse("""
def f(self, a, /, b, *c, d=1, **e):
    if a:
        pass
    elif b:
        for x in c:
            with x:
                def inner():
                    while True:
                        pass
    else:
        try:
            pass
        finally:
            pass
""").body
    assert isinstance(function, ast.FunctionDef)
    assert (parameters(function), nesting(function.body)) == (5, 3)


# --- C ---------------------------------------------------------------------------------------

# Comments, strings, characters, lines of the preprocessor.
_NOISE = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^\s*#[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_TOKEN = re.compile(r"\w+|[^\s\w]")
_FUNCTION = re.compile(r"^\w[^;{}=]*?(\w+)\(([^;{}]*)\)\s*\{$(.*?)^\}", re.M | re.S)


class Statements:
    """How deep the statements of a C function lie in each other."""

    def __init__(self, body: str) -> None:
        self.tokens = [*_TOKEN.findall(body), "}"]
        self.at = 0

    def block(self) -> int:
        deepest = 0
        while self.tokens[self.at] != "}":
            deepest = max(deepest, self.statement())
        self.at += 1
        return deepest

    def statement(self) -> int:
        word = self.tokens[self.at]
        self.at += 1
        if word == "{":
            return self.block()
        if word in ("if", "for", "while", "switch"):
            self.skip_to(")")
            return self.controlled(word)
        if word in ("else", "do"):
            return 1 + self.statement()
        if word in ("case", "default"):
            self.skip_to(":")
            return 0
        self.at -= 1
        self.skip_to(";")
        return 0

    def controlled(self, word: str) -> int:
        deepest = 1 + self.statement()
        if word == "if" and self.tokens[self.at] == "else":
            self.at += 1
            chained = self.tokens[self.at] == "if"
            deepest = max(deepest, self.statement() + (not chained))
        return deepest

    def skip_to(self, end: str) -> None:
        """Past a token that is in no bracket of this expression."""
        depth = 0
        while True:
            token = self.tokens[self.at]
            self.at += 1
            depth += (token in "([{") - (token in ")]}")
            if depth == 0 and token == end:
                return


def c_functions(text: str) -> Iterator[tuple[str, dict[str, int]]]:
    text = _NOISE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    for match in _FUNCTION.finditer(text):
        name, arguments, body = match.groups()
        given = arguments.count(",") + 1 if arguments.strip() not in ("", "void") else 0
        yield (
            name,
            {
                "lines": match.group().count("\n") + 1,
                "nesting": Statements(body).block(),
                "parameters": given,
            },
        )


# Functions that stand in for those of a library, with its signatures.
FOREIGN = {"ffi_prep_closure: parameters", "ffi_prep_closure_loc: parameters"}


@pytest.mark.parametrize("path", C, ids=name_of)
def test_c_functions(path: Path) -> None:
    most = {"lines": FUNCTION, "nesting": NESTING, "parameters": PARAMETERS}
    wrong = {
        f"{name}: {what}": number
        for name, measured in c_functions(path.read_text())
        for what, number in measured.items()
        if number > most[what]
    }
    assert wrong.keys() <= FOREIGN, wrong


def test_c_is_measured() -> None:
    source = """
static int one(int a, char *const b[], struct c d)
{
    int x[] = {1, 2}; /* for ( { */
    if (a)
        while (b[0] && ")"[0])
            switch (a) {
            case 1: {
                do
                    x[0] = (struct c){1}.d;
                while (a);
                break;
            }
            default:
                break;
            }
    else if (x[0]) {
        return 1;
    } else {
        return 2;
    }
}
"""
    assert dict(c_functions(source)) == {"one": {"lines": 21, "nesting": 4, "parameters": 3}}
    assert sum(1 for path in C for _ in c_functions(path.read_text())) > 200
