# SPDX-License-Identifier: Apache-2.0
"""All rows of the contract."""

from __future__ import annotations

from tests.contract import rows_errors, rows_output

# A name that two of them have would hide a row.
ROWS = rows_errors.ROWS | rows_output.ROWS
assert len(ROWS) == len(rows_errors.ROWS) + len(rows_output.ROWS)
