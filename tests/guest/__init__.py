# SPDX-License-Identifier: Apache-2.0
"""The guest, a machine of its own, and the tests that need it."""
