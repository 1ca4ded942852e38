# SPDX-License-Identifier: Apache-2.0
"""Run by the seed: compiles the modules that the command imports, for lives.py to load.

    seed STDLIB modules.py TREE PACKAGES OUT

In a process of its own, so that the compiler leaves nothing in the heap of the image. Nothing can
be imported once the image is written, so everything is: each of the package's modules, and all
that its import statements name, those within functions included. The code has no docstrings,
asserts, columns of tracebacks and paths of this machine.
"""

import ast
import marshal
import os
import sys
from encodings import aliases

# Not part of the command.
LEFT_OUT = {
    "pyrunc.__main__": "the command where there is no executable",
    "pyrunc.plan.header": "a separate program",
    "pyrunc.kernel.pyroute": "pyroute2 loads C libraries; network.py then uses kernel/netlink.py",
}
MORE = ("encodings.utf_8", "renew")


def sources(tree):
    """The package's modules, with their files."""
    for directory, below, files in os.walk(f"{tree}/pyrunc"):
        below.sort()
        for file in sorted(files):
            path = os.path.join(directory, file)
            name = os.path.relpath(path, tree)[:-3].replace("/", ".").removesuffix(".__init__")
            if file.endswith(".py") and name not in LEFT_OUT:
                yield name, path


def imported(node):
    """(module, name in it or "") of each import that is not only for type checkers."""
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        for other in node.orelse:
            yield from imported(other)
        return
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from ((node.module, alias.name) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def encodings(tree):
    """Modules of the encodings that the code names: Python imports them on first use."""
    for _, path in sources(tree):
        with open(path, "rb") as file:
            nodes = ast.walk(ast.parse(file.read(), path))
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            for name in named_encodings(call):
                normal = name.lower().replace("-", "_")
                yield "encodings." + aliases.aliases.get(normal, normal)


def named_encodings(call):
    """The texts in a call that name an encoding."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    named = [word.value for word in call.keywords if word.arg == "encoding"]
    named += call.args[:1] if method in ("encode", "decode") else []
    named += call.args[1:2] if getattr(call.func, "id", "") in ("str", "bytes") else []
    values = (getattr(one, "value", None) for one in named)
    return [value for value in values if isinstance(value, str)]


def import_all(tree):
    """Import all that the command can import.

    Raises:
        ImportError: something is missing here, and would be in the image.
    """
    wanted = dict.fromkeys((name, "") for name, _ in sources(tree))
    for _, path in sources(tree):
        with open(path, "rb") as file:
            wanted |= dict.fromkeys(imported(ast.parse(file.read(), path)))
    wanted |= dict.fromkeys((name, "") for name in MORE)
    wanted |= dict.fromkeys((name, "") for name in encodings(tree))
    for module, name in wanted:
        if module not in LEFT_OUT and f"{module}.{name}" not in LEFT_OUT:
            found = __import__(module, fromlist=["__name__"])
            if name and not hasattr(found, name):
                __import__(f"{module}.{name}")


def main():
    """Write the code of all that has been imported."""
    tree, packages, out = sys.argv
    here = f"{tree}/tools/static"
    library = sys.path[0]
    sys.path[1:] = [tree, here, packages]
    import_all(tree)
    code = {}
    for name, module in sorted(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if not origin.endswith(".py"):
            continue
        for top, place in ((library, "lib/"), (tree, ""), (here, ""), (packages, "packages/")):
            if origin.startswith(top + "/"):
                path = place + origin[len(top) + 1 :]
        with open(origin, "rb") as file:
            compiled = compile(file.read(), path, "exec", dont_inherit=True, optimize=2)
        code[name] = (origin.endswith("/__init__.py"), path, marshal.dumps(compiled))
    with open(out, "wb") as file:
        marshal.dump(code, file)
    print(f"modules: {len(code)} compiled", file=sys.stderr)
