#!/bin/sh
# certs.sh DIR HOST...
# Makes a folder DIR/HOST for each host, with all that its nodes need to speak TLS. HOST is what stands after the @ of their names,
# a host's name or an IP address. The certificate authority that signs for all of them is in DIR, and is made the first time.
set -eu

fail() {
	echo "certs.sh: $1" >&2
	exit 1
}
[ $# -ge 2 ] || fail "usage: $0 DIR HOST..."
template=$(cd "$(dirname "$0")" && pwd)/ssl_dist.conf
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
case $dir in *[!A-Za-z0-9/._@+-]*) fail "$dir: choose a folder with a plain name; it goes into Erlang's options" ;; esac
for host; do
	case $host in "" | ca.pem | ca.key | [!A-Za-z0-9:]* | *[!A-Za-z0-9.:-]*) fail "$host: that is no host" ;; esac
	[ ! -e "$dir/$host" ] || fail "$dir/$host is there already; nothing was changed"
done
umask 077
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

run() { "$@" 2>"$tmp/log" || fail "$(cat "$tmp/log")"; }

# request OPTION...: a new key in $tmp/key, and in $tmp/out what asks for a certificate (with -x509: one that the key signs itself)
request() {
	run openssl req -new -config "$tmp/config" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/key" -out "$tmp/out" "$@"
	chmod 400 "$tmp/key"
}

# config NAMES: one of our own, for the machine's may add what it likes
config() {
	cat >"$tmp/config" <<-C
		[req]
		distinguished_name = none
		[none]
		[ca]
		basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign
		subjectKeyIdentifier = hash
		[host]
		basicConstraints = critical, CA:false
		keyUsage = critical, digitalSignature
		extendedKeyUsage = serverAuth, clientAuth
		authorityKeyIdentifier = keyid
		subjectAltName = $1
	C
}

if [ ! -e "$dir/ca.key" ] && [ ! -e "$dir/ca.pem" ]; then
	config DNS:none
	request -x509 -extensions ca -days 3650 -subj "/CN=Erlang nodes of $(uname -n)"
	mv "$tmp/out" "$dir/ca.pem"
	mv "$tmp/key" "$dir/ca.key"
fi
for host; do
	case $host in
	*:*) names=IP:$host,DNS:$host ;;
	*[!0-9.]*) names=DNS:$host ;;
	*) names=IP:$host,DNS:$host ;;
	esac
	config "$names"
	request -subj "/CN=Erlang nodes"
	run openssl x509 -req -in "$tmp/out" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
		-sha256 -days 825 -extfile "$tmp/config" -extensions host -out "$tmp/cert"
	sed "s|\"DIR|\"$dir/$host|g" "$template" >"$tmp/conf"
	mkdir "$dir/$host"
	cp "$dir/ca.pem" "$dir/$host/"
	mv "$tmp/key" "$dir/$host/key.pem"
	mv "$tmp/cert" "$dir/$host/cert.pem"
	mv "$tmp/conf" "$dir/$host/ssl_dist.conf"
	echo "$dir/$host: copy it to the same place on $host, for the user of its nodes (chown -R), and start them with"
	echo "    -proto_dist inet_tls -ssl_dist_optfile $dir/$host/ssl_dist.conf"
done
echo "$dir/ca.key: keep it off the other hosts; who has it can let any node in"
