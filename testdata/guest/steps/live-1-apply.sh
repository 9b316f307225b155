# Packages are used before any reboot; one that changes the C library is not.
. ./lib.sh

view() {
    echo "htop-$1=$(htop --version 2>/dev/null | head -n 1)"
    layer status --json >/run/status.json
    echo "status.json-$1=$?"
    python3 status.py </run/status.json | sed "s/^json/json-$1/"
}

serve
mkdir -p /etc/yum.repos.d
cat >/etc/yum.repos.d/demo.repo <<'REPO'
[demo]
name=Demonstration
baseurl=http://127.0.0.1:8000/rpms
enabled=1
gpgcheck=0
REPO
# Somebody works on, with a file of /usr open.
sh -c 'exec 9</usr/share/demo-news; exec sleep 5000' >/dev/null 2>&1 &
worker=$!
view before
# A service with mounts of its own, which is to stay where it is.
run pin layer apply-live --pin systemd-udevd.service
pinned=$(systemctl show --property=MainPID --value systemd-udevd.service)
run htop layer install -y --apply-live htop
view live
echo "htop-of-pinned=$(ls /proc/$pinned/root/usr/bin/htop 2>/dev/null || echo none)"
run reset layer apply-live --reset
view reset
begun=$(now)
layer apply-live >/run/said 2>&1
echo "status.apply=$?"
htop --version >/dev/null
echo "usable=$(echo "$begun $(now)" | awk '{ printf "%.1f", $2 - $1 }')"
sed -n 's/^Live now; /swap=/p' /run/said
echo "worker=$(kill -0 $worker && echo alive)"
# A service, which is to keep what it sees when it starts.
run always layer apply-live --pin-always demo-daemon.service
run daemon layer install -y --apply-live demo-daemon
run start systemctl start demo-daemon.service
echo "daemon=$(systemctl is-active demo-daemon.service)"
run verify systemd-analyze verify --man=no demo-daemon.service
main=$(systemctl show --property=MainPID --value demo-daemon.service)
echo "daemon-runs-as=$(stat -c %U /proc/$main)"
echo "demod-owns=$(stat -c %U:%G:%a /usr/share/demo-daemon/key)"
echo "demod-state=$(stat -c %U:%G:%a /var/lib/demo-daemon/seed /run/demo-daemon | paste -s -d ' ')"
run strace layer install -y --apply-live strace
echo "strace=$(strace -V | head -n 1)"
echo "strace-of-daemon=$(ls /proc/$main/root/usr/bin/strace 2>/dev/null || echo none)"
view more
# Another C library.
run libc layer override replace -y ./libc6.rpm
layer apply-live --allow-replacement >/run/said 2>&1
echo "status.refused=$?"
grep 'C library' /run/said | sed 's/^/refused=/'
view refused
run back layer override reset -y libc6
view back
kill $worker
