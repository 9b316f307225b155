# The other stateroot: its own /var, and the first one's /home, which can be written to.
. ./lib.sh

echo "var=$(cat /var/mark 2>/dev/null || echo another)"
echo "home=$(cat /home/kept)"
run write touch /home/written
echo "unit=$(systemctl show --property=Result,ActiveState,ConditionResult layer-home.service | paste -s -d ' ')"
echo "sysroot=$(touch /sysroot/written 2>/dev/null && echo writable || echo read-only)"
deployments
touch /run/power-off
