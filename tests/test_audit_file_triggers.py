"""What the audit says of file triggers, as Fedora's and openSUSE's packages have them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from layer.audit.file_triggers import ROWS
from layer.audit.judge import audit_package, coverage
from layer.audit.verdict import Audit, Verdict
from layer.model import Nevra, Scriptlet
from tests.test_audit import TRIGGERS, header
from tests.test_audit_lua import LDCONFIG, LETTERS

FORKED = """\
if posix.access("/run/systemd/system") then
    pid = posix.fork()
    if pid == 0 then
        assert({})
    elseif pid > 0 then
        posix.wait(pid)
    end
end
"""
SUSE_MANDB = """\
if type(rpm.execute) == "function" then
   execute = rpm.execute
else
  function execute(path, ...)
    local pid = posix.fork()
    if not pid then
       error(path .. ": fork failed: " .. posix.errno() .. "\\n")
    elseif pid == 0 then
       assert(posix.exec(path, ...))
    else
       posix.wait(pid)
    end
  end
end
stat = posix.stat("/var/cache/man/index.db")
if stat then
    execute("/usr/bin/mandb", "--quiet")
else
    domkdir = false
    stat = posix.stat("/var/cache/man")
    if not stat then
        domkdir = true
    elseif not (stat.type == "directory") then
        domkdir = true
        os.remove("/var/cache/man")
    end
    if domkdir then
        posix.mkdir("/var/cache/man")
        posix.chown("/var/cache/man", "man", "man")
    end
    execute("/usr/bin/mandb", "--quiet", "--create")
end
"""
SUSE_INFO = """\
while read file ; do
  case "$file" in
  *.info|*.info.gz) /usr/bin/install-info --info-dir=/usr/share/info "$file" ;;
  esac
done
"""
# As the test distribution has them, of Debian's.
DEBIAN_MANDB = """\
set -- triggered "/usr/man /usr/share/man"
catdir=/var/cache/man
ensure_catdir () {
    if [ ! -d $catdir ]; then
        install -d -o man -g man -m 0755 $catdir
    fi
}
run_mandb () {
    if [ ! -e /var/lib/man-db/auto-update ]; then
        return 0
    fi
    local message="$1"
    shift
    [ "$message" ] && echo "$message" >&2
    if command -v setpriv >/dev/null; then
        setpriv --reuid man --regid man --init-groups -- /usr/bin/mandb "$@" || true
    else
        runuser -u man -- /usr/bin/mandb "$@" || true
    fi
}
if [ "$1" = triggered ]; then
    ensure_catdir
    run_mandb "" -pq
    exit 0
fi
"""
DEBIAN_SYSTEMD = """\
set -- triggered "/usr/lib/systemd/catalog /usr/lib/binfmt.d"
_systemctl() {
    if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
        systemctl "$@"
    fi
}
if ! _systemctl -q is-active binfmt-support.service; then
    _systemctl try-restart systemd-binfmt.service || true
fi
"""
DEBIAN_FONTS = """\
mkdir -p /var/cache/fontconfig
fc-cache -s -v 1>/var/log/fontconfig.log 2>&1 || printf "fc-cache failed.\n"
"""
DEBIAN_DBUS = """\
[ -S /var/run/dbus/system_bus_socket ] || exit 0
dbus-send --print-reply --system --type=method_call \\
    --dest=org.freedesktop.DBus \\
    / org.freedesktop.DBus.ReloadConfig > /dev/null || true
"""
LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
FONTS = ("/usr/share/fonts", "/usr/share/X11/fonts/Type1", "/usr/local/share/fonts")


@dataclass(frozen=True)
class Case:
    """A package's script for files at places, and its heaviest class: see `LETTERS`."""

    package: str
    places: tuple[str, ...]
    body: str
    expected: str
    slot: str = "transfiletriggerin"

    @property
    def interpreter(self) -> str:
        """Lua where the body is that."""
        return "<lua>" if "posix." in self.body or "rpm.execute" in self.body else "/bin/sh"


def _forked(call: str) -> str:
    return FORKED.format(call)


CASES = (
    Case("systemd", ("/usr/lib/sysusers.d",), _forked('posix.execp("systemd-sysusers")'), "c"),
    Case("systemd", ("/usr/lib/sysusers.d/",), 'assert(rpm.execute("systemd-sysusers"))', "c"),
    Case(
        "systemd",
        ("/usr/lib/tmpfiles.d",),
        _forked('posix.execp("systemd-tmpfiles", "--create")'),
        "c",
    ),
    Case(
        "systemd",
        ("/usr/lib/sysctl.d",),
        _forked('posix.exec("/usr/lib/systemd/systemd-sysctl")'),
        "c",
    ),
    Case(
        "systemd",
        ("/usr/lib/binfmt.d",),
        _forked('posix.exec("/usr/lib/systemd/systemd-binfmt")'),
        "c",
    ),
    Case(
        "systemd",
        ("/usr/lib/systemd/catalog/",),
        'assert(rpm.execute("journalctl", "--update-catalog"))',
        "c",
    ),
    Case(
        "systemd-udev",
        ("/usr/lib/udev/hwdb.d",),
        _forked('posix.execp("systemd-hwdb", "update")'),
        "c",
    ),
    Case(
        "systemd-udev",
        ("/usr/lib/udev/rules.d",),
        _forked('posix.execp("udevadm", "control", "--reload")'),
        "c",
    ),
    Case(
        "systemd",
        ("/usr/lib/systemd/system/", "/etc/systemd/system/"),
        'assert(rpm.execute("/usr/lib/systemd/systemd-update-helper", "system-reload-restart"))',
        "l",
    ),
    Case(
        "systemd",
        ("/usr/lib/systemd/user", "/etc/systemd/user"),
        _forked('posix.exec("/usr/lib/systemd/systemd-update-helper", "user-reload-restart")'),
        "l",
    ),
    Case("glibc-common", LIBRARIES, "/sbin/ldconfig", "c"),
    Case("glibc-common", LIBRARIES, LDCONFIG, "c"),
    Case("fontconfig", FONTS, "HOME=/root /usr/bin/fc-cache -s", "c"),
    Case(
        "glib2",
        ("/usr/lib64/gio/modules",),
        "gio-querymodules-64 /usr/lib64/gio/modules &> /dev/null || :",
        "c",
    ),
    Case(
        "glib2",
        ("/usr/share/glib-2.0/schemas",),
        "glib-compile-schemas /usr/share/glib-2.0/schemas &> /dev/null || :",
        "c",
    ),
    Case(
        "gdk-pixbuf2",
        ("/usr/lib64/gdk-pixbuf-2.0/2.10.0/loaders",),
        "gdk-pixbuf-query-loaders-64 --update-cache",
        "c",
    ),
    Case(
        "gtk3",
        ("/usr/lib64/gtk-3.0/3.0.0/immodules",),
        "gtk-query-immodules-3.0-64 --update-cache &>/dev/null || :",
        "c",
    ),
    Case(
        "hicolor-icon-theme",
        ("/usr/share/icons/hicolor",),
        "gtk-update-icon-cache --force /usr/share/icons/hicolor &>/dev/null || :",
        "c",
    ),
    Case(
        "shared-mime-info",
        ("/usr/share/mime",),
        "update-mime-database -n /usr/share/mime &> /dev/null ||:",
        "c",
    ),
    Case(
        "shared-mime-info",
        ("/usr/share/mime",),
        'export PKGSYSTEM_ENABLE_FSYNC=0\n/usr/bin/update-mime-database "/usr/share/mime"',
        "c",
        "filetriggerin",
    ),
    Case(
        "desktop-file-utils",
        ("/usr/share/applications",),
        "update-desktop-database &> /dev/null || :",
        "c",
    ),
    Case(
        "desktop-file-utils",
        ("/usr/share/applications",),
        "/usr/bin/suse-update-mime-defaults || true",
        "?",
        "filetriggerin",
    ),
    Case(
        "man-db",
        ("/usr/share/man",),
        "if [ -x /usr/bin/systemd-run -a -x /usr/bin/systemctl ]; then\n"
        "    /usr/bin/systemd-run /usr/bin/systemctl start man-db-cache-update &>/dev/null\nfi\n",
        "c",
    ),
    Case("man-db", ("/usr/share/man",), SUSE_MANDB, "c"),
    Case(
        "info",
        ("/usr/share/info",),
        '[ -f /usr/share/info/dir ] && create_arg="" || create_arg="--create"\n'
        "/sbin/fix-info-dir $create_arg /usr/share/info/dir &>/dev/null\n",
        "c",
    ),
    Case("info", ("/usr/share/info",), SUSE_INFO, "c", "filetriggerin"),
    Case(
        "vim-common",
        ("/usr/share/vim/vimfiles/doc",),
        'vim -c ":helptags /usr/share/vim/vimfiles/doc" -c :q &> /dev/null || :',
        "c",
    ),
    Case(
        "ibus",
        ("/usr/share/ibus/component",),
        "[ -x /usr/bin/ibus ] && \\\n  env -i /usr/bin/ibus write-cache --system &>/dev/null || :",
        "h",
    ),
    Case("cronie", ("pam",), "/bin/systemctl try-restart crond.service || :", "l", "triggerin"),
    Case("man-db", ("/usr/man", "/usr/share/man", "/opt/man"), DEBIAN_MANDB, "c"),
    Case("systemd", ("/usr/lib/systemd/catalog", "/usr/lib/binfmt.d"), DEBIAN_SYSTEMD, "l"),
    Case("fontconfig", ("/usr/share/fonts", "/usr/share/texmf/fonts"), DEBIAN_FONTS, "c"),
    Case("dbus", ("/usr/share/dbus-1/system.d",), DEBIAN_DBUS, "l"),
    Case("appstream", ("/usr/share/app-info/xml",), "appstreamcli refresh-cache --source=os", "h"),
    # Nothing of layer's does these.
    Case("dbus", ("/usr/share/dbus-1/system.d",), "dbus-send --system --dest=x / x.y.Z", "?"),
    Case("man-db", ("/usr/share/man",), "runuser -u man -- /usr/bin/other -pq", "?"),
    Case("fontconfig", ("/usr/share/fonts",), "fc-cache -s > /var/lib/fonts.log", "?"),
    Case("graphviz", ("/usr/lib64/graphviz",), "/usr/bin/dot -c 2>/dev/null || :", "?"),
    Case("texlive", ("/usr/share/texmf-dist",), "/usr/bin/mktexlsr 2>/dev/null || :", "?"),
    Case(
        "qt5-qtwebengine",
        ("/usr/share/myspell",),
        'while read f; do qwebengine_convert_dict "$f" /usr/share/x.bdic; done',
        "?",
        "filetriggerin",
    ),
    Case(
        "squid",
        ("samba-common",),
        "if ! getent group wbpriv >/dev/null 2>&1 ; then\n    groupadd -r wbpriv\nfi\n",
        "?",
        "triggerin",
    ),
)  # fmt: skip


def audit(case: Case) -> Audit:
    """What is said of a package that has nothing but such a script."""
    scriptlet = Scriptlet(case.slot, case.interpreter, case.body, case.places)
    package = header(scriptlet, files=("/usr/bin/tool",))
    package = replace(package, nevra=Nevra(case.package, 0, "1", "1", "x86_64"))
    return audit_package(package, coverage(package, TRIGGERS))


def heaviest(case: Case) -> str:
    """The class that decides."""
    found = max((item.verdict for item in audit(case).judged), key=lambda v: v.weight)
    return next(letter for letter, verdict in LETTERS.items() if verdict is found)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.package} {c.places[0]} {c.slot}")
def test_a_file_trigger_is_judged_by_what_it_does_and_where(case: Case) -> None:
    assert heaviest(case) == case.expected


def test_a_file_trigger_for_other_places_is_not_covered() -> None:
    ours = [case for case in CASES if case.expected == "c"]
    elsewhere = "/usr/share/other/x"
    # What acts on the running system alone is that wherever it stands.
    for places in ((elsewhere,), ()):
        assert {heaviest(replace(case, places=places)) for case in ours} <= {"?", "l"}
    mixed = {heaviest(replace(case, places=(elsewhere, *case.places))) for case in ours}
    # A row is for its place alone; a folder in /var is declared wherever the script stands.
    assert mixed <= {"c", "?", "r"}


def test_a_body_with_another_line_is_unknown_again() -> None:
    added = {"/bin/sh": "rm -f /usr/lib/mutant\n", "<lua>": 'os.remove("/usr/lib/mutant")\n'}
    for case in CASES:
        assert heaviest(replace(case, body=added[case.interpreter] + case.body)) == "?"


def test_a_row_holds_for_its_package_alone() -> None:
    cases = [case for case in CASES if case.package in {"man-db", "info", "vim-common", "ibus"}]
    others = [heaviest(replace(case, package="other")) for case in cases]
    assert others == ["c", "?", "?", "?", "?", "?", "?", "?"]  # man-db of Fedora needs no row


def test_a_row_needs_its_trigger() -> None:
    case = next(case for case in CASES if case.package == "info")
    scriptlet = Scriptlet(case.slot, case.interpreter, case.body, case.places)
    package = replace(header(scriptlet), nevra=Nevra("info", 0, "1", "1", "x86_64"))
    without = [trigger for trigger in TRIGGERS if trigger.name != "info-dir"]
    assert audit_package(package, coverage(package, without)).unknown != ()


def test_every_row_that_names_a_trigger_names_one_that_is_shipped() -> None:
    names = {trigger.name for trigger in TRIGGERS}
    covered = [row for row in ROWS if row.verdict is Verdict.COVERED]
    assert covered and all(row.by in names for row in covered)
    assert all(row.reason for row in ROWS)
