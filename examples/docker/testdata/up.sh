#!/bin/sh
# Builds the image and brings compose.yaml up with podman, in namespaces that end with this script, without a network to
# the outside: up.sh REPOSITORY GOROOT GOMODCACHE GOCACHE. The current folder, an empty one, takes all that podman writes.
set -eu
repo=$1 goroot=$2 modules=$3 cache=$4 dir=$PWD

ip link set lo up
mount -t tmpfs tmpfs /run
# crun knows no mix of both versions, which some machines have
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

export TMPDIR="$dir" HOME="$dir" BUILDAH_ISOLATION=chroot
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
cat >containers.conf <<EOF
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
# the content of the base images
volumes = ["/usr/bin:/usr/bin:ro", "/usr/lib:/usr/lib:ro", "/usr/lib64:/usr/lib64:ro"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "$dir/tmp"
[network]
network_backend = "netavark"
network_config_dir = "$dir/networks"
EOF
cat >storage.conf <<EOF
[storage]
driver = "vfs"
graphroot = "$dir/storage"
runroot = "$dir/run"
EOF

mkdir -p base/usr/bin base/usr/lib base/usr/lib64 base/usr/local/bin base/usr/local/go base/go/pkg/mod base/cache \
	base/dev base/etc base/proc base/run base/sys
mkdir -m 1777 base/tmp base/var base/var/tmp
for name in bin lib lib64; do ln -s usr/$name base/$name; done
sed -n 's/^FROM \([^ ]*\).*/\1/p' "$repo/examples/docker/Dockerfile" | while read -r image; do
	tar -C base -c . | podman import --quiet --change 'ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin' \
		--change 'ENV GOMODCACHE=/go/pkg/mod' --change 'ENV GOCACHE=/cache' --change 'ENV GOPROXY=off' - "$image"
done
podman build --pull=never --format docker --volume "$goroot:/usr/local/go:ro" --volume "$modules:/go/pkg/mod:ro" \
	--volume "$cache:/cache" -t beamrun-demo -f "$repo/examples/docker/Dockerfile" "$repo"

podman-compose -p demo -f "$repo/examples/docker/compose.yaml" up -d --no-build
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		test $tries -lt 100 || { podman logs demo_one_1; podman logs demo_two_1; exit 1; }
		sleep 0.2
	done
}
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
