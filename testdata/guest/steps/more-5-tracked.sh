# The tracked file ran as the first program of all: the kernel was told to take it. Then another
# stateroot is made, which has this one's /home.
. ./lib.sh

deployments
mkdir -p /var/home
echo mine >/var/home/kept
echo first >/var/mark
serve
run init layer init --stateroot second --share-home guest
run rebase layer rebase -y --stateroot second demo:demo/12/x86_64/guest
