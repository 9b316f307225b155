# The update service stages the newer base, and what it staged fails at shutdown.
. ./lib.sh

serve
mkdir -p /etc/layer
echo 'automatic-updates = "stage"' >/etc/layer/layer.toml
run service systemctl start layer-automatic-updates.service
journalctl --unit layer-automatic-updates.service --output=cat --no-pager
deployments
# The kernel of what is staged is lost.
unshare --mount sh -c '
    mount -o remount,rw /sysroot
    booted=$(sed "s/.*ostree=\([^ ]*\).*/\1/" /proc/cmdline)
    for deployment in /sysroot/ostree/deploy/guest/deploy/*.0; do
        [ "$deployment" -ef "/sysroot$booted" ] || rm "$deployment"/usr/lib/modules/*/vmlinuz
    done
'
echo "broken=$?"
