# SPDX-License-Identifier: Apache-2.0
"""What all tests share: bundles, runtimes, cgroups, the command under test."""
