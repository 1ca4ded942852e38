# SPDX-License-Identifier: Apache-2.0
"""pyrunc with the real kernel."""
