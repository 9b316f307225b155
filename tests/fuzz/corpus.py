"""What each parser is given first: real files, and the fixtures of every format."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.test_architecture import ROOT

FOUND = Path(__file__).parent / "found"
FORMATS = ROOT / "testdata/formats"
_TREE = b"""\
ref = "demo/1/x86_64/base"
version = "12"
repositories = ["a"]
packages = ["b", "c"]
arch = "x86_64"
default-target = "multi-user.target"
scriptlets = "warn"
accept-unscripted = ["x"]
documentation = false
install-weak-deps = true
[kernel]
package = "linux"
initramfs = "dracut"
arguments = ["root=/dev/vda", "quiet"]
[[users]]
name = "core"
id = 1000
comment = "Core"
home = "/var/home/core"
shell = "/bin/bash"
[ids]
daemon = 300
"""
_SETTINGS = b"""\
scriptlets = "warn"
automatic-updates = "check"
recycle = "never"
keep = 3
install-weak-deps = true
"""
_REPO = b"""\
[main]
gpgcheck=1
proxy=http://proxy:3128
[a-1]
name=A $releasever
baseurl=file:///srv/a/$basearch
  https://example.org/${releasever:-1}/
metalink=https://example.org/metalink?x=1
mirrorlist=https://example.org/list
enabled=1
gpgcheck=yes
repo_gpgcheck=0
gpgkey=file:///etc/pki/key
priority=5
cost=500
metadata_expire=1.5h
excludepkgs=a,b*
includepkgs=c
timeout=30
minrate=1k
throttle=50%
bandwidth=2M
retries=3
ip_resolve=4
proxy=_none_
proxy_username=me
sslverify=false
sslcacert=/etc/ca.pem
username=x
password=y
skip_if_unavailable=1
"""
_PATHS = (
    b"f /usr/bin/x\nd /usr/lib/x\nl /usr/bin/y\tx\nf /etc/x.conf\nd /var/lib/x\nfg /var/log/x",
    b"f /boot/vmlinuz-6.1\nf /opt/x/y\nl /lib/z\t../../opt/x\nf /lib/systemd/system/x.service",
    b"l /var/run/x\t/run/x\nf /usr/local/bin/a\nd /home/x\nf /srv/www\nd /run/x\nf /root/.x",
)
_SHELL = (
    b'if [ "$1" = 1 ]; then\n  systemctl daemon-reload || :\nfi\nldconfig\n',
    b"getent group x >/dev/null || groupadd -r x\nuseradd -r -g x -d / -s /sbin/nologin x\n",
    b'case "$1" in a) update-alternatives --install /usr/bin/vi vi /usr/bin/vim 50;; esac\n',
    b"for f in a b; do\n  [ -e /etc/$f ] && chown root:x /etc/$f\ndone\ncat >/x <<E\nhello\nE\n",
    b"set -e\nf() { local a=${1%.*}; echo \"${a#x}\" | sed 's/a/b/'; }\nf x.y\n",
    b"while read l; do :; done\nexit 0\n",
)
_LUA = (
    b'local st = posix.stat("/usr/bin/x")\nif st and st.type == "directory" then\n'
    b'  os.rename("/usr/bin/x", "/usr/bin/x.old")\nend\n',
    b"for _, f in ipairs({1, 2}) do print(f .. 'x') end\nrpm.execute('/sbin/ldconfig')\n",
)
_COMPS = b"""<?xml version="1.0"?><comps>
<group><id>core</id><name>Core</name><name xml:lang="de">Kern</name><uservisible>true</uservisible>
<packagelist><packagereq type="mandatory">bash</packagereq>
<packagereq type="conditional" requires="x">y</packagereq></packagelist></group>
<environment><id>server</id><name>Server</name><grouplist><groupid>core</groupid></grouplist>
<optionlist><groupid>core</groupid></optionlist></environment></comps>
"""
_ADMIN = b"auto\n/usr/bin/editor\nm\n/usr/share/m\n\n/usr/bin/nano\n40\n/usr/share/nano\n"
_PLAIN: dict[str, tuple[bytes, ...]] = {
    "treefile": (_TREE,),
    "settings": (_SETTINGS,),
    "kargs": (b'kargs = ["root=/dev/vda", "quiet"]\nmatch-architectures = ["x86_64"]\n',),
    "repositories": (_REPO,),
    "paths": _PATHS,
    "scriptlet": _SHELL,
    "lua": _LUA,
    "groups": (_COMPS,),
    "admin": (_ADMIN,),
    "sysusers": (b'u x 200:x "A \\"b\\"" /var/lib/x /bin/sh\ng y -\nm x y\n#c\nu! z -\n',),
    "tmpfiles": (b'd /var/lib/x 0755 x x -\nL "/var/a b" - - - - /usr/c\nz /run/\\x41\n',),
    "glob": (b"usr/lib/**/{kernel}/*.ko\nusr/lib/a/b/c.ko", b"usr/share/{x}/**\nusr/share/a/b"),
    "nevra": (b"a-b-1:2.3~4-5.fc40.x86_64", b"a-1-1.noarch"),
}
# Which fixtures of testdata/formats a parser reads.
_FIXTURES = {
    "origin": "origin-*",
    "journal": "live-*",
    "plan": "plan-*",
    "lock": "lock-*",
    "commit": "derived-commit-*",
    "history": "history-*",
    "update": "cached-update-*",
    "offers": "alternatives-*",
    "id-map": "ids-*",
}


@cache
def corpus(target: str) -> tuple[bytes, ...]:
    """The inputs to begin with, what was found before included; sorted."""
    files = sorted((FOUND / target).glob("*")) if (FOUND / target).is_dir() else []
    if target in _FIXTURES:
        files += sorted(FORMATS.glob(_FIXTURES[target]))
    if target == "trigger":
        files += sorted((ROOT / "triggers").glob("*.toml"))
    given = _PLAIN.get(target, ())
    return (*given, *(file.read_bytes() for file in files))
