# It is reported. Then the newer base is tried for one boot.
. ./lib.sh

deployments
run status layer status
serve
run deploy layer deploy -y --once 2
layer status
