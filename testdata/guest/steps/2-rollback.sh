# The layers are there. The admin changes more, and goes back, with what was changed.
. ./lib.sh

facts
edits
echo second >/etc/edited-second
run rollback layer rollback -y --keep-etc
