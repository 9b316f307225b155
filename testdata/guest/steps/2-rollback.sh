# The layers are there. The admin changes more, and goes back, with what was changed.
. ./lib.sh

facts
edits
echo "overlay=$(ls /usr/x 2>/dev/null || echo gone)"
echo second >/etc/edited-second
run rollback layer rollback -y --keep-etc
