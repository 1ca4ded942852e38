# SPDX-License-Identifier: Apache-2.0
"""What an update makes of saved resources."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.spec.merge import merge, wanted


@pytest.mark.parametrize(
    ("saved", "update", "after", "change"),
    [
        # One of a pair keeps the other's saved value, and the kernel gets both.
        (
            {"cpu": {"quota": 1, "period": 2, "shares": 3}},
            {"cpu": {"quota": 9}},
            {"cpu": {"quota": 9, "period": 2, "shares": 3}},
            {"cpu": {"quota": 9, "period": 2}},
        ),
        ({}, {"cpu": {"period": 9}}, {"cpu": {"period": 9}}, {"cpu": {"period": 9}}),
        (
            {"memory": {"limit": 5, "swap": 7, "checkBeforeUpdate": True, "swappiness": 1}},
            {"memory": {"swap": 9}},
            {"memory": {"limit": 5, "swap": 9, "checkBeforeUpdate": True, "swappiness": 1}},
            {"memory": {"limit": 5, "swap": 9, "checkBeforeUpdate": True}},
        ),
        (
            {"memory": {"limit": 5, "swap": 7}},
            {"memory": {"reservation": 3}},
            {"memory": {"limit": 5, "swap": 7, "reservation": 3}},
            {"memory": {"reservation": 3}},
        ),
        # No limit on the part is none on the sum, unless the update sets one.
        (
            {"memory": {"limit": 5, "swap": 7}},
            {"memory": {"limit": -1}},
            {"memory": {"limit": -1}},
            {"memory": {"limit": -1}},
        ),
        (
            {"memory": {"limit": 5, "swap": 7}},
            {"memory": {"limit": -1, "swap": 9}},
            {"memory": {"limit": -1, "swap": 9}},
            {"memory": {"limit": -1, "swap": 9}},
        ),
        # An idle cgroup has no weight, also afterwards.
        ({"cpu": {"shares": 9}}, {"cpu": {"idle": 1}}, {"cpu": {"idle": 1}}, {"cpu": {"idle": 1}}),
        (
            {"cpu": {"shares": 9, "idle": 1}},
            {"cpu": {"idle": 0, "shares": 5}},
            {"cpu": {"shares": 5, "idle": 0}},
            {"cpu": {"idle": 0, "shares": 5}},
        ),
        # Lists are of devices, sizes and interfaces.
        (
            {"blockIO": {"weight": 5, "weightDevice": [{"major": 1, "minor": 0, "weight": 5}]}},
            {"blockIO": {"weightDevice": [
                {"major": 1, "minor": 0, "leafWeight": 6}, {"major": 2, "minor": 0, "weight": 7},
            ]}},
            {"blockIO": {"weight": 5, "weightDevice": [
                {"major": 1, "minor": 0, "weight": 5, "leafWeight": 6},
                {"major": 2, "minor": 0, "weight": 7},
            ]}},
            {"blockIO": {"weightDevice": [
                {"major": 1, "minor": 0, "leafWeight": 6}, {"major": 2, "minor": 0, "weight": 7},
            ]}},
        ),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}]},
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}]},
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}, {"pageSize": "1GB", "limit": 2}]},
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}]},
        ),
        (
            {"network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]}},
            {"network": {"priorities": [{"name": "eth0", "priority": 2}]}},
            {"network": {"classID": 1, "priorities": [
                {"name": "lo", "priority": 1}, {"name": "eth0", "priority": 2},
            ]}},
            {"network": {"priorities": [{"name": "eth0", "priority": 2}]}},
        ),
        (
            {"rdma": {"a": {"hcaHandles": 1, "hcaObjects": 2}}, "unified": {"x.y": "1"}},
            {"rdma": {"a": {"hcaHandles": 3}}, "unified": {"x.z": "2"}},
            {"rdma": {"a": {"hcaHandles": 3, "hcaObjects": 2}},
             "unified": {"x.y": "1", "x.z": "2"}},
            {"rdma": {"a": {"hcaHandles": 3}}, "unified": {"x.z": "2"}},
        ),
        ({"pids": {"limit": 1}}, {"pids": {"limit": 2}}, {"pids": {"limit": 2}},
         {"pids": {"limit": 2}}),
        ({"pids": {"limit": 1}}, {}, {"pids": {"limit": 1}}, {}),
    ],
)  # fmt: skip
def test_merge(saved: Any, update: Any, after: Any, change: Any) -> None:
    before = repr((saved, update))
    assert merge(saved, update) == (after, change)
    assert repr((saved, update)) == before


@pytest.mark.parametrize(
    ("update", "found"),
    [
        ({"devices": [{"allow": True}], "new": 1, "pids": {"limit": 0}}, {"pids": {"limit": 0}}),
        # Zeros and empty texts are what engines send for "not set" ...
        ({"cpu": {"shares": 0, "quota": 0, "cpus": "", "period": 5}}, {"cpu": {"period": 5}}),
        ({"memory": {"limit": 0, "swap": None}, "blockIO": {"weight": 0}}, {}),
        ({"pids": {}, "hugepageLimits": [], "unified": None, "network": {}}, {}),
        # ... but these are values.
        ({"cpu": {"idle": 0, "burst": 0}}, {"cpu": {"idle": 0, "burst": 0}}),
        ({"memory": {"swappiness": 0}}, {"memory": {"swappiness": 0}}),
        # What is not an object at all is for the check of the document.
        ({"cpu": 3, "memory": "x", "pids": False}, {"cpu": 3, "memory": "x", "pids": False}),
    ],
)
def test_only_what_means_something_is_wanted(update: Any, found: Any) -> None:
    assert wanted(update) == found
