# What was live is there for good, and nothing is left of how.
. ./lib.sh

facts
echo "htop=$(htop --version | head -n 1)"
echo "left=$(ls -d /sysroot/ostree/layer-live /var/lib/layer/live* 2>/dev/null | paste -s -d ' ')"
echo "settled=$(systemctl show --property=Result,ActiveState layer-settle.service | paste -s -d ' ')"
mount | grep -c ' on /usr ' | sed 's/^/mounts=/'
layer config-diff | sed 's/^/config=/'
touch /run/power-off
