#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A busybox container's own view, then the life of a container command by command.
set -eu
pyrunc=$1
work=$(mktemp -d)
id="demo-$$"
cleanup() {
    "$pyrunc" delete --force "$id" || true
    rm -rf "$work"
}
trap cleanup EXIT INT TERM

rootless=""
if [ "$(id -u)" != 0 ]; then
    rootless=--rootless
    export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}"
fi

mkdir -p "$work/rootfs/bin"
cp "$(command -v busybox)" "$work/rootfs/bin/"
for applet in sh hostname id mount ps sleep; do ln -s busybox "$work/rootfs/bin/$applet"; done
(cd "$work" && "$pyrunc" spec $rootless)
sed -i 's/"terminal": true/"terminal": false/; s/"hostname": "runc"/"hostname": "pyrunc-demo"/' \
    "$work/config.json"
cp "$work/config.json" "$work/template.json"

program() { # the JSON list of its arguments
    sed "s|\"sh\"|$1|" "$work/template.json" >"$work/config.json"
}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "pyrunc run: what a container sees of itself"
program '"sh", "-c", "echo hostname: $(hostname); id; echo; mount; echo; ps"'
"$pyrunc" run --bundle "$work" "$id" </dev/null

program '"sleep", "1000"'
say "pyrunc create --bundle ... $id"
"$pyrunc" create --bundle "$work" "$id" </dev/null >/dev/null 2>&1
say "pyrunc state $id"
"$pyrunc" state "$id" && echo
say "pyrunc start $id"
"$pyrunc" start "$id"
"$pyrunc" list
say "pyrunc kill $id KILL"
"$pyrunc" kill "$id" KILL
while "$pyrunc" state "$id" | grep -q '"running"'; do sleep 0.05; done
"$pyrunc" state "$id" && echo
say "pyrunc delete $id"
"$pyrunc" delete "$id"
"$pyrunc" list
