#!/bin/sh
# Builds the image and brings compose.yaml up with podman.
repo=$1
# shellcheck source=/dev/null
. "$repo/examples/internal/exampletest/podman.sh"
build docker beamrun-demo

podman-compose -p demo -f "$repo/examples/docker/compose.yaml" up -d --no-build
logs() { podman logs "demo_$1_1" 2>&1 | grep -q "$2"; }
wait_for logs one 'demo@one nodeup demo@two'
wait_for logs two 'demo@two nodeup demo@one'
wait_for podman healthcheck run demo_one_1
echo "== processes"
podman exec demo_one_1 ps -ww -eo user,pid,ppid,stat,args
echo "== stop"
begin=$(date +%s)
podman stop -t 10 demo_one_1
echo "took $(($(date +%s) - begin)) s"
wait_for logs two 'demo@two nodedown demo@one'
podman-compose -p demo -f "$repo/examples/docker/compose.yaml" stop
for name in one two; do
	podman inspect --format '{{.Name}} exit code {{.State.ExitCode}}' "demo_${name}_1"
	podman logs "demo_${name}_1"
done
