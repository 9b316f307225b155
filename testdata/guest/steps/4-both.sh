# The newer base and the layers.
. ./lib.sh

facts
edits
serve
run upgrade layer upgrade -y --unchanged-exit-77
run cleanup layer cleanup -b -r
touch /run/power-off
