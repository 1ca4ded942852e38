#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A container of an ordinary user under the user's own systemd; prints "rootless: well" at the end.
set -eu
cat /proc/self/cgroup
work=$(mktemp -d)
trap 'pyrunc --root "$work/state" delete --force rootless-test; rm -rf "$work"' EXIT
cd "$work"
mkdir -p rootfs/bin rootfs/proc rootfs/dev rootfs/sys
cp /bin/busybox rootfs/bin/sh
pyrunc spec --rootless
python3 - <<'END'
import json
with open("config.json") as file:
    config = json.load(file)
config["process"] |= {"terminal": False, "args": ["sh", "-c", "while :; do sleep 1; done"]}
config["linux"]["cgroupsPath"] = "user.slice:test:rootless"
config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
with open("config.json", "w") as file:
    json.dump(config, file)
END
pyrunc --root "$work/state" --systemd-cgroup run -d rootless-test </dev/null >/dev/null 2>"$work/log" || {
    cat "$work/log"
    exit 1
}
systemctl --user is-active test-rootless.scope
group=/sys/fs/cgroup$(systemctl --user show -P ControlGroup test-rootless.scope)
cat "$group/memory.max" "$group/pids.max" "$group/cgroup.procs"
[ "$(cat "$group/memory.max")" = 67108864 ]
[ "$(cat "$group/pids.max")" = 20 ]
pyrunc --root "$work/state" state rootless-test
pyrunc --root "$work/state" kill rootless-test KILL
pyrunc --root "$work/state" delete --force rootless-test
[ ! -e "$group" ]
systemctl --user --quiet is-active test-rootless.scope && exit 1
echo "rootless: well"
