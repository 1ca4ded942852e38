# SPDX-License-Identifier: Apache-2.0
"""The same bundles under runc, crun and pyrunc."""
