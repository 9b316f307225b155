# The newer base and the layers.
. ./lib.sh

facts
edits
serve
run upgrade layer upgrade -y --unchanged-exit-77
echo "timer=$(systemctl is-enabled layer-cleanup.timer)"
run cleanup systemctl start layer-cleanup.service
journalctl --unit layer-cleanup.service --output=cat --no-pager
layer history --json | python3 history.py
touch /run/power-off
