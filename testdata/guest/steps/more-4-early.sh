# The older base again. A file of /etc is to be there before the root is.
. ./lib.sh

echo "news=$(cat /usr/share/demo-news)"
deployments
cat >/etc/early-init <<'INIT'
#!/bin/sh
printf 'boot-marker: test=early=%s\r\n' "$0"
exec /init
INIT
chmod 755 /etc/early-init
run track layer initramfs-etc -y --track /etc/early-init
