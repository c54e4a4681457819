#!/bin/sh
# Builds the image, brings compose.yaml up with podman, kills a container and starts it again.
repo=$1
# shellcheck source=/dev/null
. "$repo/examples/internal/exampletest/podman.sh"
build cluster beamrun-cluster

compose() { podman-compose -p demo -f "$repo/examples/cluster/compose.yaml" "$@"; }
# tells HOST CHANGE PEER [TIMES]: the host's node has told that of the peer's, as often in all
tells() { test "$(podman logs "demo_$1.example_1" 2>&1 | grep -c "^app@$1.example $2 app@$3.example")" -eq "${4:-1}"; }

compose up -d --no-build
for pair in "1 2" "1 3" "2 1" "2 3" "3 1" "3 2"; do wait_for tells "host${pair% *}" nodeup "host${pair#* }"; done
wait_for podman healthcheck run demo_host1.example_1
echo "== processes"
podman exec demo_host1.example_1 ps -ww -eo user,pid,ppid,stat,args
podman kill -s KILL demo_host2.example_1
for host in host1 host3; do wait_for tells $host nodedown host2; done
podman start demo_host2.example_1
for host in host1 host3; do wait_for tells $host nodeup host2 2; done
echo "== mesh again"
compose stop
