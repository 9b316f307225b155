# It is reported.
. ./lib.sh

deployments
run status layer status
touch /run/power-off
