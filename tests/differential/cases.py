# SPDX-License-Identifier: Apache-2.0
"""All cases of the comparison with peers."""

from __future__ import annotations

from tests.differential import cases_isolation, cases_kernel, cases_mounts, cases_process
from tests.differential.case import Case

MODULES = (cases_process, cases_kernel, cases_isolation, cases_mounts)
CASES: dict[str, Case] = {}
for _module in MODULES:
    assert not CASES.keys() & _module.CASES.keys(), _module.__name__
    CASES |= _module.CASES
