# The newer base, for this boot.
. ./lib.sh

echo "news=$(cat /usr/share/demo-news)"
echo "settled=$(systemctl show --property=Result,ActiveState,ConditionResult layer-settle.service | paste -s -d ' ')"
deployments
