#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A runtime that does one thing wrong: broken.py FAULT RUNTIME ARGUMENTS...

It changes config.json before the true runtime's `create` reads it, or what is said to that
runtime, or what it answers. The suite has to catch each of them (tests/integration/
test_conformance.py): a suite that every runtime passes proves nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

# Run with -I, which leaves the directory of the program out.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import FAULTS, LIES


def option(arguments: list[str], name: str) -> str | None:
    return arguments[arguments.index(name) + 1] if name in arguments else None


def create(fault: str, runtime: str, arguments: list[str]) -> int:
    """With another config.json, only for this one call."""
    path = (option(arguments, "--bundle") or ".") + "/config.json"
    try:
        with open(path) as file:
            text = file.read()
        config = json.loads(text)
        FAULTS[fault][0](config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return subprocess.call([runtime, *arguments])
    try:
        with open(path, "w") as file:
            json.dump(config, file)
        return subprocess.call([runtime, *arguments])
    finally:
        with open(path, "w") as file:
            file.write(text)


def main() -> int:
    fault, runtime, *arguments = sys.argv[1:]
    verbs = ("create", "start", "state", "kill", "delete")
    verb = next((word for word in arguments if word in verbs), "")
    if fault in LIES:
        return LIES[fault][0](verb, runtime, arguments)
    if verb == "create":
        return create(fault, runtime, arguments)
    return subprocess.call([runtime, *arguments])


if __name__ == "__main__":
    sys.exit(main())
