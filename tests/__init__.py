# SPDX-License-Identifier: Apache-2.0
"""The tests, as packages: helpers are imported by their full names."""
