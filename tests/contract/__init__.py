# SPDX-License-Identifier: Apache-2.0
"""The command line that engines rely on, row by row, with runc, pyrunc and crun."""
