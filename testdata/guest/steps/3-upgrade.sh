# Without the layers. They come again, and then a newer base under them.
. ./lib.sh

facts
edits
serve
run install layer install -y strace demo-daemon demo-catalog
run check layer upgrade --check
run upgrade layer upgrade -y --reboot
echo "system=$(systemctl is-system-running)"
