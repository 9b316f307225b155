# ruff: noqa: E501  # a row is a line
"""What is known of commands that change nothing that lasts: one row each, with its reason.

An expression is matched in full against the command's line (`Call.line`); unknown pieces of it
are U+0000, which only `.`, `A` and `\\S` let through. Commands that could run others or write
files by some option have expressions that leave these options no room.
"""

from __future__ import annotations

import re

from layer.audit.ruling import Call, Ruling
from layer.audit.state import Guard, GuardKind
from layer.audit.verdict import Verdict
from layer.frozen import dataclass

_ANY = r"( .*)?"
_NAME = r"[A-Za-z0-9_.@:+-]+"


@dataclass(frozen=True, slots=True)
class Row:
    """Commands that look like this, what they are, and why."""

    expression: str
    verdict: Verdict
    reason: str
    status: bool | None = None
    asks: GuardKind = GuardKind.OTHER


def _harmless(
    expression: str,
    reason: str,
    status: bool | None = None,
    asks: GuardKind = GuardKind.OTHER,
) -> Row:
    return Row(expression, Verdict.HARMLESS, reason, status, asks)


def _live(expression: str, reason: str) -> Row:
    return Row(expression, Verdict.LIVE_ONLY, reason, None)


def _never(expression: str, reason: str) -> Row:
    return Row(expression, Verdict.NOT_APPLICABLE, reason, None)


_ACCOUNT = GuardKind.ACCOUNT
_READS = "it only reads"
_RESTARTS = "it acts on the running system; the new tree starts with the next boot"

ROWS = (
    # --- the shell's own
    _harmless(r"(:|true)( .*)?", "it does nothing", True),
    _harmless(r"false", "it does nothing", False),
    _harmless(r"echo( .*)?", "it only prints", True),
    _harmless(r"printf (?!-)[^\0]\S*( .*)?", "it only prints", True),
    _harmless(r"(cd|pwd|sleep|wait|type|times)( .*)?", "it changes this shell alone"),
    _harmless(r"umask( [0-7]+)?", "it changes this shell alone", True),
    _harmless(r"ulimit( .*)?", "it changes this shell alone"),
    # --- tools that read and print
    _harmless(
        r"(cat|grep|egrep|fgrep|cut|tr|head|tail|wc|basename|dirname|readlink|realpath|stat|ls"
        r"|cmp|diff|md5sum|sha1sum|sha256sum|uname|nproc|arch|seq|expr|pidof|pgrep|ps|logname|tty"
        r"|whoami|groups|du|df|mountpoint|findmnt|ischroot|runlevel|selinuxenabled|locale"
        r"|aa-enabled|lsb_release|rev|tac|comm|join|paste|fold|nl|od|tput|lsmod|modinfo)( .*)?",
        _READS,
    ),
    _harmless(r"(getent|id)( .*)?", _READS, asks=_ACCOUNT),
    _harmless(r"(sort|uniq)( -[A-Za-np-z0-9]+)*", _READS),
    _harmless(r"(hostname|date)( -[fsdIu]| \+\S*)?(?<! -s)", _READS),
    _harmless(r"dpkg-architecture( -[aiq]\S+)+", _READS),
    _harmless(r"which( .*)?", _READS, asks=GuardKind.TOOL),
    _harmless(r"find(?!.* -(exec|ok|delete|fprint|fls))( [^\0 ]+)*", _READS),
    _harmless(
        r"sed( -n| -r| -E)*( -e)? \^?(s(?P<d>[/,|#:!@])(?:(?!(?P=d))[^\n])*(?P=d)(?:(?!(?P=d))[^\n])*"
        r"(?P=d)[gpI0-9]*|[0-9$]*[pdq]|/(\\[^\n]|[^/\\\n])*/[pd])( [^-\0 ][^ ]*)*",
        "it prints a changed copy",
    ),
    _harmless(
        r"[gm]?awk( -F ?\S+)? (?!-)(?!.*(system|getline|[|>@]))[^\0 ]+( [^-\0 ][^ ]*)*", _READS
    ),
    _harmless(r"mktemp( -[dqu]| -t \S+| /tmp/[^/ ]+)*", "a file that does not last"),
    _harmless(
        r"rm( -[rfRv]+| -- ?)* /(tmp|run|var/run|var/tmp)/(?!\S*\.\.(/|$| ))[\w.+/-]+",
        "what is there does not last",
    ),
    _harmless(
        r"rm( -[rfRv]+| --)*( /var/cache/(?!\S*\.\.(/|$| ))[\w+-][\w.+/-]*)+", "it empties a cache"
    ),
    # --- systemd and services
    _harmless(
        r"systemctl( --\S+| -q)* (is-\S+|show|status|cat|list-\S+|show-environment)( .*)?", _READS
    ),
    _live(
        r"systemctl( --[a-z=-]+| -q)* (start|stop|restart|reload|try-restart|reload-or-restart"
        r"|try-reload-or-restart|reload-or-try-restart|condrestart|daemon-reload|daemon-reexec|kill"
        r"|reset-failed|isolate|set-property --runtime)( .*)?",
        _RESTARTS,
    ),
    _live(
        r"/usr/lib/systemd/systemd-update-helper (system|user)-(reload|restart|reload-restart)\S*"
        r"( .*)?",
        _RESTARTS,
    ),
    _live(
        r"/usr/lib/systemd/systemd-update-helper mark-\S+-units( .*)?",
        "it marks services for a restart",
    ),
    _live(r"(deb-systemd-invoke|invoke-rc\.d|service)( .*)?", _RESTARTS),
    _live(r"/etc/init\.d/[\w.-]+ (start|stop|restart|reload|force-reload|try-restart)", _RESTARTS),
    _live(r"udevadm (trigger|control|settle)( .*)?", "the running udev reads its rules anew"),
    _live(r"(kill|pkill|killall)( .*)?", "it acts on running processes"),
    _live(r"(/usr/lib/systemd/systemd-sysctl|sysctl (-p|--system)|modprobe|rmmod)( .*)?", _RESTARTS),
    _live(r"/usr/lib/systemd/systemd-binfmt( .*)?", _RESTARTS),
    _live(r"firewall-cmd( --quiet| --reload){1,2}", "the running firewall reads its rules anew"),
    _live(
        r"dbus-send(?=.* --system)( --(system|print-reply|type=method_call|dest=org\.freedesktop\.DBus))+"
        r" /\S* org\.freedesktop\.DBus\.ReloadConfig",
        "the running bus reads its configuration anew; it reads it at boot anyway",
    ),
    _live(r"telinit [uq]", _RESTARTS),
    _live(
        r"/usr/share/update-notifier/notify-reboot-required",
        "it tells the desktop that runs; the new tree starts with the next boot",
    ),
    _harmless(r"touch /(var/)?run/reboot-required", "what is there does not last"),
    _live(r"load_policy( -q)?", "the running kernel reads the policy; a boot does that anyway"),
    _live(
        r"fixfiles -C /var/lib/rpm-state/[\w.-]+ restore",
        "it labels the running system; the tree is labelled by its own policy",
    ),
    _live(r"setupcon( -k| -f| --force| --keyboard-only| --font-only)*", "it sets the running console"),
    # --- rpm's world
    _harmless(r"touch /run/rpm-[\w.@+-]+", "openSUSE's note for the scripts that follow"),
    _harmless(
        r"(cp -f /etc/selinux/\S+/contexts/files/file_contexts|touch|rm -f)"
        r" /var/lib/rpm-state(/(?!\.)[\w.-]+)*/?",
        "a note for the scripts that follow; rpm forgets it after the transaction",
    ),
    _harmless(r"appstreamcli refresh(-cache)?( --force)?", "a cache in /var, made anew when it is old"),
    _harmless(r"chkstat(?=.* --warn)( -[ne]| --warn| --system| /[\w./+-]+)+", "it only warns"),
    _harmless(r"rpm -q[afil]*( [a-zA-Z0-9_][\w.+-]*)*", _READS),
    # --- Debian's helpers
    _harmless(r"dpkg --compare-versions .*", "it compares two versions"),
    _harmless(
        r"(dpkg-query|dpkg (-s|-l|-L|-S|--status|--list|--listfiles|--search|--print-\S+"
        r"|--assert-\S+|--validate-\S+|--get-selections))( .*)?",
        _READS,
    ),
    _harmless(r"dpkg-divert( --\S+)* --(list|listpackage|truename)( .*)?", _READS),
    _harmless(
        r"deb-systemd-helper( --quiet| --user)* (was-enabled|debian-installed|is-enabled) \S+", _READS
    ),
    _harmless(
        r"deb-systemd-helper( --quiet| --user)* update-state \S+",
        "Debian's own note of which links it made; systemd does not read it",
    ),
    _harmless(
        r"deb-systemd-helper( --quiet| --user)* unmask \S+",
        "it takes back a mask that only removing the package leaves",
    ),
    _never(
        r"dpkg-maintscript-helper (rm_conffile|mv_conffile|symlink_to_dir|dir_to_symlink) .* -- "
        r"(configure|install|triggered) ''",
        "it acts on what an older version has left, and there is none: dpkg-maintscript-helper(1)",
    ),
    _harmless(r"dpkg-maintscript-helper supports \S+", _READS),
    _harmless(
        r"ucfr( --force| -f)? [a-z0-9][a-z0-9.+-]* /etc/\S+",
        "ucf's note of whose file it is, which it reads when a package is purged",
    ),
    _harmless(
        r"dpkg-trigger( --no-await| --by-package=\S+)* \S+",
        "it asks dpkg to run the script of another package, which is judged by itself",
    ),
    _harmless(
        r"db_\w+( .*)?", "debconf's questions: they set nothing outside debconf's own database"
    ),
    _harmless(
        r"py3?(compile|clean)( .*)?|pypy3?compile( .*)?",
        "byte-code is a cache; Python works without it",
    ),
    _harmless(
        r"python3\.[0-9]+ -E -S( -O)? /usr/lib/python3\.[0-9]+/py_compile\.py( .*)?",
        "byte-code is a cache; Python works without it",
    ),
    _harmless(r"update-menus", "menus are a cache; the tool makes them anew when it is called"),
)  # fmt: skip

# What is read into the script by `.`, with what it does and the variables that it sets.
SOURCED: dict[str, tuple[str, tuple[str, ...]]] = {
    "/usr/share/debconf/confmodule": (
        "debconf: questions get their defaults, as without a terminal",
        ("RET",),
    ),
    "/etc/selinux/config": ("it holds two settings", ("SELINUX", "SELINUXTYPE")),
}

_LONGEST = 4000  # characters: beyond any real command, before expressions take long
_COMPILED = tuple((re.compile(row.expression, re.DOTALL), row) for row in ROWS)


def rule_by_row(call: Call) -> Ruling | None:
    """What the rows say of a command, None where none of them knows it."""
    line = call.line
    if len(line) > _LONGEST:
        return None
    for expression, row in _COMPILED:
        if expression.fullmatch(line):
            status = row.status
            if line.startswith("dpkg --compare-versions "):
                status = _compared(call.texts[1:])
            about = call.texts[-1] if call.texts and call.words[-1].is_known else ""
            return Ruling(row.verdict, row.reason, "", status, Guard(row.asks, about))
    return None


# What dpkg says where one side is "": earlier than all, or with -nl later than all.
_EMPTY_LEFT = {
    "lt": True, "le": True, "eq": False, "ne": True, "ge": False, "gt": False,
    "lt-nl": False, "le-nl": False, "ge-nl": True, "gt-nl": True,
}  # fmt: skip


def _compared(texts: tuple[str, ...]) -> bool | None:
    """A first installation has no version before it: dpkg(1), --compare-versions."""
    if len(texts) == 3 and texts[0] == "" and texts[2] and "\0" not in texts[2]:
        return _EMPTY_LEFT.get(texts[1])
    return None
