. ./lib.sh
run status layer status
touch /run/power-off
