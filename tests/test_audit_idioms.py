"""The macros of Fedora and openSUSE and Debian's tools, as they stand in built packages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from layer.audit.verdict import Rewrites, Settings, Verdict
from tests.test_audit import DEBIAN, FILES, audit
from tests.test_audit_lua import LETTERS

MODULE = "/usr/share/selinux/packages/targeted/tool.pp.bz2"
TEMPLATE = "/usr/share/fillup-templates/sysconfig.tool"
OWN = (
    *FILES,
    MODULE,
    TEMPLATE,
    "/usr/lib/udev/rules.d/60-tool.rules",
    "/usr/lib/udev/hwdb.d/60-tool.hwdb",
    "/usr/lib/sysctl.d/60-tool.conf",
    "/usr/lib/binfmt.d/tool.conf",
    "/usr/lib/systemd/catalog/tool.catalog",
    "/usr/share/info/tool.info.gz",
)
HELPER = "/usr/lib/systemd/systemd-update-helper"
SELINUX = """\
. /etc/selinux/config
_policytype=targeted
if [ -z "${_policytype}" ]; then
  _policytype="targeted"
fi
"""


@dataclass(frozen=True)
class Case:
    """A macro's expansion, and the classes of its commands that are not harmless, in order."""

    macro: str
    body: str
    expected: str
    slot: str = "post"


def _fedora(number: str, verb: str) -> str:
    return (
        f'if [ $1 {number} ] && [ -x "{HELPER}" ]; then\n'
        f"    # a comment\n    {HELPER} {verb} tool.service || :\nfi\n"
    )


def _suse(verb: str) -> str:
    return f"if [ -x {HELPER} ]; then\n\t{HELPER} {verb} tool.service || :\nfi\n"


FILLUP = """\
PNAME=tool
SUBPNAME=
SYSC_TEMPLATE=/usr/share/fillup-templates/sysconfig.$PNAME$SUBPNAME
if [ ! -f $SYSC_TEMPLATE ] ; then
    TEMPLATE_DIR=/var/adm/fillup-templates
    SYSC_TEMPLATE=$TEMPLATE_DIR/sysconfig.$PNAME$SUBPNAME
fi
SD_NAME=""
if [ -x /bin/fillup ] ; then
    if [ -f $SYSC_TEMPLATE ] ; then
        echo "Updating /etc/sysconfig/$SD_NAME$PNAME ..."
        mkdir -p /etc/sysconfig/$SD_NAME
        touch /etc/sysconfig/$SD_NAME$PNAME
        /bin/fillup -q /etc/sysconfig/$SD_NAME$PNAME $SYSC_TEMPLATE
    fi
else
    echo "ERROR: fillup not found."
fi
"""

CASES = (
    Case("systemd_post", _fedora("-eq 1", "install-system-units"), "c"),
    Case("systemd_user_post", _fedora("-eq 1", "install-user-units"), "c"),
    Case("systemd_preun", _fedora("-eq 0", "remove-system-units"), "nnn", "preun"),
    Case(
        "systemd_postun_with_restart",
        _fedora("-ge 1", "mark-restart-system-units"),
        "nnn",
        "postun",
    ),
    Case("systemd_postun in post", _fedora("-ge 2", "mark-restart-system-units"), "nn"),
    Case("systemd_user_daemon_reexec", _fedora("-ge 1", "user-reexec"), "?"),
    Case("service_add_pre", _suse("mark-install-system-units"), "l", "pre"),
    Case("service_add_post", _suse("install-system-units"), "c"),
    Case("systemd_user_pre", _suse("mark-install-user-units"), "l", "pre"),
    Case("service_del_postun_without_restart", ":\n", "n", "postun"),
    Case(
        "sysusers_create_package",
        "systemd-sysusers --replace=/usr/lib/sysusers.d/tool.conf - <<EOF || :\nu tool -\nEOF\n",
        "c",
        "pre",
    ),
    Case(
        "sysusers_create_package of openSUSE",
        '[ -z "${TRANSACTIONAL_UPDATE}" ] && [ -x /usr/bin/systemd-tmpfiles ] && \\\n'
        "\t/usr/bin/systemd-sysusers --replace=/usr/lib/sysusers.d/tool.conf - <<EOF || :\n"
        "u tool -\nEOF\n",
        "c",
        "pre",
    ),
    Case(
        "sysusers_create",
        "command -v systemd-sysusers >/dev/null && systemd-sysusers tool.conf || :",
        "c",
    ),
    Case(
        "sysusers_create_compat",
        "getent group 'tool' >/dev/null || groupadd -f -g '71' -r 'tool'\n"
        "if ! getent passwd 'tool' >/dev/null ; then\n"
        "    if ! getent passwd '71' >/dev/null ; then\n"
        "        useradd -r -u '71' -g 'tool' -d '/' -s /sbin/nologin -c 'A tool' 'tool'\n"
        "    else\n"
        "        useradd -r -g 'tool' -d '/' -s /sbin/nologin -c 'A tool' 'tool'\n"
        "    fi\nfi\n",
        "rrr",
        "pre",
    ),
    Case(
        "tmpfiles_create",
        "command -v systemd-tmpfiles >/dev/null && systemd-tmpfiles --create tool.conf || :",
        "c",
    ),
    Case(
        "tmpfiles_create_package",
        "systemd-tmpfiles --replace=/usr/lib/tmpfiles.d/tool.conf --create - <<EOF || :\n"
        "d /run/tool\nEOF\n",
        "c",
    ),
    Case(
        "tmpfiles_create_package of another's file",
        "systemd-tmpfiles --replace=/usr/lib/tmpfiles.d/x.conf --create - <<EOF || :\n"
        "d /run/tool\nEOF\n",
        "?",
    ),
    Case("udev_rules_update", "udevadm control --reload >/dev/null 2>&1 || :", "c"),
    Case("udev_hwdb_update", "systemd-hwdb update >/dev/null 2>&1 || :", "c"),
    Case("journal_catalog_update", "journalctl --update-catalog >/dev/null 2>&1 || :", "c"),
    Case(
        "sysctl_apply",
        "[ -x /usr/lib/systemd/systemd-sysctl ] &&"
        " /usr/lib/systemd/systemd-sysctl 60-tool.conf || :",
        "c",
    ),
    Case(
        "binfmt_apply",
        "[ -x /usr/lib/systemd/systemd-binfmt ] && /usr/lib/systemd/systemd-binfmt tool.conf || :",
        "c",
    ),
    Case("ldconfig_scriptlets", "/sbin/ldconfig", "c"),
    Case("fillup_only", FILLUP, "rr"),
    Case("fillup_only of another's", FILLUP.replace("PNAME=tool", "PNAME=cron"), "??"),
    Case(
        "fillup_and_insserv",
        "set -- tool\nwhile [ ${#*} -gt 0 ]; do\n  insserv -r /etc/init.d/$1\n  shift\ndone\n",
        "??",
    ),
    # What chkstat does hangs on the machine's profile: easy, secure or paranoid.
    Case(
        "set_permissions",
        "if [ -x /usr/bin/chkstat ]; then\n  chkstat -n --set --system /usr/bin/tool\nfi\n",
        "?",
    ),
    Case("verify_permissions", "/usr/bin/chkstat -n --warn --system /usr/bin/tool 1>&2", ""),
    Case("install_info", ": # install_info deprecated in favor of file triggers", ""),
    Case(
        "install_info of old",
        "test -x /sbin/install-info && /sbin/install-info --info-dir=/usr/share/info"
        " /usr/share/info/tool.info.gz || :",
        "c",
    ),
    Case(
        "icon_theme_cache_post",
        "if test -x /usr/bin/gtk-update-icon-cache; then\n  /usr/bin/gtk-update-icon-cache --quiet"
        ' --force "/usr/share/icons/hicolor" || true\nfi\n',
        "c",
    ),
    Case(
        "desktop_database_post",
        "if test -x /usr/bin/update-desktop-database ; then\n  /usr/bin/update-desktop-database"
        ' --quiet "/usr/share/applications" || true\nfi\n',
        "c",
    ),
    Case(
        "glib2_gsettings_schema_post",
        "if test -x /usr/bin/glib-compile-schemas ; then\n  /usr/bin/glib-compile-schemas"
        " /usr/share/glib-2.0/schemas || true\nfi\n",
        "c",
    ),
    Case(
        "regenerate_initrd_post",
        "! command -v mkdir >/dev/null || mkdir -p /run/regenerate-initrd/;\n"
        "[ ! -d /run/regenerate-initrd ] || > /run/regenerate-initrd/all;\n",
        "",
    ),
    # Without a kernel of its own nothing makes the package's initramfs anew.
    Case(
        "regenerate_initrd_posttrans",
        "if test -x /usr/lib/module-init-tools/regenerate-initrd-posttrans; then\n/bin/bash -c"
        " 'set +e; /usr/lib/module-init-tools/regenerate-initrd-posttrans'\nfi\n",
        "?",
        "posttrans",
    ),
    Case(
        "selinux_modules_install",
        SELINUX
        + f"/usr/sbin/semodule -n -s ${{_policytype}} -X 200 -i {MODULE}\n"
        + 'if /usr/sbin/selinuxenabled && [ "${SELINUXTYPE}" = "${_policytype}" ]; then\n'
        + "  /usr/sbin/load_policy\nfi\n",
        "cl",
    ),
    Case(
        "selinux_modules_install of another's",
        SELINUX + "/usr/sbin/semodule -n -s ${_policytype} -X 200 -i /tmp/tool.pp\n",
        "?",
    ),
    Case(
        "selinux_relabel_pre",
        SELINUX
        + 'if /usr/sbin/selinuxenabled && [ "${SELINUXTYPE}" = "${_policytype}" ]; then\n'
        + "  [ -f /var/lib/rpm-state/file_contexts.pre ] || cp -f"
        + " /etc/selinux/${SELINUXTYPE}/contexts/files/file_contexts"
        + " /var/lib/rpm-state/file_contexts.pre\nfi\n",
        "",
        "pre",
    ),
    Case(
        "selinux_relabel_post",
        SELINUX
        + 'if /usr/sbin/selinuxenabled && [ "${SELINUXTYPE}" = "${_policytype}" ]; then\n'
        + "   if [ -f /var/lib/rpm-state/file_contexts.pre ]; then\n     /usr/sbin/fixfiles -C"
        + " /var/lib/rpm-state/file_contexts.pre restore &> /dev/null\n"
        + "     rm -f /var/lib/rpm-state/file_contexts.pre\n   fi\nfi\n",
        "l",
        "posttrans",
    ),
    Case("selinux_set_booleans", SELINUX + "semanage import -S targeted\n", "?"),
    Case(
        "firewalld_reload",
        "test -f /usr/bin/firewall-cmd && firewall-cmd --reload --quiet || :",
        "l",
    ),
    Case(
        "update-alternatives",
        "/usr/sbin/update-alternatives --install /usr/bin/t t /usr/bin/tool 50",
        "r",
    ),
    Case("pam-auth-update", DEBIAN + "pam-auth-update --package", "?"),
    Case("ucf", DEBIAN + "ucf --three-way /usr/share/tool/tool.conf /etc/tool/tool.conf", "?"),
    Case("ucfr", DEBIAN + "ucfr --force tool /etc/tool/tool.conf", ""),
    Case("dpkg-divert, back", DEBIAN + "dpkg-divert --remove --rename /usr/bin/x", ""),
    Case("dpkg-divert", DEBIAN + "dpkg-divert --package tool --rename --add /usr/bin/x", "?"),
    Case(
        "debconf",
        DEBIAN + ". /usr/share/debconf/confmodule\ndb_get tool/x\ndb_stop || true\n",
        "",
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.macro)
def test_an_idiom_has_its_class(case: Case) -> None:
    letters = {verdict: letter for letter, verdict in LETTERS.items()}
    found = audit(case.body, case.slot, files=OWN).judged
    classes = [item.verdict for item in found if item.verdict is not Verdict.HARMLESS]
    assert "".join(letters[verdict] for verdict in classes) == case.expected, [
        (item.text, item.verdict.value, item.reason) for item in found
    ]
    assert all(item.reason for item in found)


def test_settings_are_declared_from_the_package_s_own_template() -> None:
    found = audit(FILLUP, files=OWN)
    path = "/etc/sysconfig/tool"
    assert found.rewrites == Rewrites(settings=(Settings(path, ""), Settings(path, TEMPLATE)))
    assert audit(FILLUP).rewrites == Rewrites()
