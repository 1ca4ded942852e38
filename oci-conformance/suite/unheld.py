# SPDX-License-Identifier: Apache-2.0
"""Clauses without a case: where they stand, what they ask for, why there is none."""

UNHELD: list[tuple[str, str, str]] = [
    ("runtime.md, Scope of a Container", "who created a container may use every operation",
     "the suite runs as one user"),
    ("runtime.md, Lifecycle", "a warning does not change the flow", "no input makes all warn"),
    ("runtime.md, Lifecycle", "an error leaves the environment as before",
     "held for state and cgroups only: the rest of a host cannot be compared while others use it"),
    ("config.md, Linux Process", "apparmorProfile, selinuxLabel",
     "needs a kernel with these modules, and a policy"),
    ("config-linux.md, Mount label", "mountLabel", "needs SELinux"),
    ("config.md, Mounts", "idmap, ridmap", "not yet written: needs a filesystem that maps"),
    ("config.md, Linux Process", "execCPUAffinity", "is for exec, which is no operation"),
    ("config.md, Linux Process", "SCHED_FIFO, SCHED_RR, SCHED_DEADLINE",
     "real-time groups of cgroup v1 refuse them on many hosts"),
    ("config-linux.md, Network Devices", "a device is moved", "needs a device to take away"),
    ("config-linux.md, Seccomp", "SCMP_ACT_NOTIFY, the container process state",
     "needs an agent; not yet written"),
    ("config-linux.md, Seccomp", "SCMP_ACT_TRACE", "needs a tracer"),
    ("config-linux.md, Control groups", "hugepageLimits, rdma, blockIO throttling, realtime",
     "needs hardware or a controller that hosts seldom have"),
    ("config-linux.md, IntelRdt", "closID, schemata, monitoring", "needs the hardware"),
    ("config-linux.md, Memory policy", "mode, nodes, flags", "needs a NUMA machine to tell"),
    ("features.md", "the features document", "is no operation of the specification's command line"),
]  # fmt: skip
