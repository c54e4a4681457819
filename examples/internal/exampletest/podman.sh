#!/bin/sh
# Sourced by the examples' up.sh REPOSITORY GOROOT GOMODCACHE GOCACHE, see Compose: makes podman ready in namespaces that end with
# the script, without a network to the outside. The current folder, an empty one, takes all that podman writes.
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

# build EXAMPLE IMAGE: from its Dockerfile, on stand-ins for the base images
build() {
	dockerfile=$repo/examples/$1/Dockerfile
	sed -n 's/^FROM \([^ ]*\).*/\1/p' "$dockerfile" | while read -r image; do
		tar -C base -c . | podman import --quiet --change 'ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin' \
			--change 'ENV GOMODCACHE=/go/pkg/mod' --change 'ENV GOCACHE=/cache' --change 'ENV GOPROXY=off' - "$image"
	done
	podman build --pull=never --format docker --volume "$goroot:/usr/local/go:ro" --volume "$modules:/go/pkg/mod:ro" \
		--volume "$cache:/cache" -t "$2" -f "$dockerfile" "$repo"
}

wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		test $tries -lt 100 || { podman ps -aq | xargs -n 1 podman logs; exit 1; }
		sleep 0.2
	done
}
