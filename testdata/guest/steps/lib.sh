# For the steps: each command's exit status and time, and what a test wants to know.

now() {
    date +%s.%N
}

# run NAME COMMAND...: all that the command prints, then how it ended.
run() {
    name=$1
    shift
    begun=$(now)
    "$@"
    echo "status.$name=$?"
    echo "seconds.$name=$(echo "$begun $(now)" | awk '{ printf "%.1f", $2 - $1 }')"
}

# The second disk, as a server on the network would offer it.
serve() {
    python3 -m http.server 8000 --bind 127.0.0.1 --directory /run/served >/dev/null 2>&1 &
    server=$!
    trap 'kill -KILL $server' EXIT # it would ignore what the driver ignores
    until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8000))' 2>/dev/null; do
        sleep 0.2
    done
}

# What is true of the machine that runs.
facts() {
    echo "strace=$(strace -V 2>/dev/null | head -n 1)"
    echo "news=$(cat /usr/share/demo-news)"
    echo "demod=$(id -u demod 2>/dev/null || echo none)"
    echo "demod-in-tree=$(awk '$1 == "u" && $2 == "demod" { print $3 }' /usr/lib/sysusers.d/00-layer-ids.conf)"
    echo "demod-owns=$(stat -c %u:%U:%G:%a /usr/share/demo-daemon/key 2>/dev/null || echo none)"
    echo "demod-reads=$(su -s /bin/sh demod -c 'cat /usr/share/demo-daemon/key' 2>/dev/null || echo none)"
    echo "demod-state=$(stat -c %U:%G:%a /var/lib/demo-daemon/seed 2>/dev/null || echo none)"
    echo "catalog=$(journalctl --list-catalog 5d9b2f0e4a3c4f7c8e1d6b7a90c2f314 2>/dev/null || echo none)"
    echo "daemon=$(systemctl is-active demo-daemon.service)"
    touch /usr/written 2>/dev/null && echo "usr=writable" || echo "usr=read-only"
    touch /sysroot/written 2>/dev/null && echo "sysroot=writable" || echo "sysroot=read-only"
    deployments
}

deployments() {
    layer status --json >/run/status.json
    echo "status.json=$?"
    python3 status.py </run/status.json
}

# What is left of what an admin changed.
edits() {
    for name in before after second; do
        echo "edited-$name=$(cat "/etc/edited-$name" 2>/dev/null || echo none)"
    done
    echo "hosts=$(tail -n 1 /etc/hosts)"
    echo "admin=$(id -u admin 2>/dev/null || echo none)"
    echo "home=$(stat -c %U /var/home/admin/kept 2>/dev/null || echo none)"
    echo "password=$(password)"
}

# Not root's password itself, but whether it is another.
password() {
    awk -F: '$1 == "root" { print $2 }' /etc/shadow | sha256sum | cut -c 1-16
}
