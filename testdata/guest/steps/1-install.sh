# A pristine machine: an admin changes /etc, layers packages, changes more, and reboots.
. ./lib.sh

facts
echo "first-password=$(password)"
serve
mkdir -p /etc/yum.repos.d
cat >/etc/yum.repos.d/demo.repo <<'REPO'
[demo]
name=Demonstration
baseurl=http://127.0.0.1:8000/rpms
enabled=1
gpgcheck=0
[more]
name=More
baseurl=http://127.0.0.1:8000/more
enabled=1
gpgcheck=0
REPO
echo before >/etc/edited-before
run install layer install -y strace demo-daemon demo-catalog
run overlay layer usroverlay
touch /usr/x
run again layer usroverlay
facts
# What is staged is finished at shutdown, with all that is changed until then.
echo after >/etc/edited-after
echo '# by the admin' >>/etc/hosts
run useradd useradd --create-home --base-dir /var/home --shell /bin/bash admin
su admin -c 'touch ~/kept'
echo root:rotated >/run/password
run chpasswd chpasswd </run/password
edits
