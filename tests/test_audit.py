"""What the audit says of the idioms of both worlds, in the form that built packages have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from layer.audit.judge import audit_package, coverage
from layer.audit.verdict import Alternative, Audit, Mode, Rewrites, Verdict
from layer.model import Nevra, PackageFile, PackageHeader, Scriptlet
from layer.triggers.format import parse_trigger

ROOT = Path(__file__).parent.parent
TRIGGERS = tuple(
    parse_trigger(path.read_text(), path.name)
    for path in sorted((ROOT / "triggers").glob("*.toml"))
)
FILES = (
    "/usr/bin/tool",
    "/usr/lib/systemd/system/tool.service",
    "/usr/lib/systemd/user/tool.service",
    "/usr/lib/sysusers.d/tool.conf",
    "/usr/lib/tmpfiles.d/tool.conf",
    "/usr/lib64/libtool.so.1",
    "/usr/share/icons/hicolor/16x16/apps/tool.png",
    "/usr/share/applications/tool.desktop",
    "/usr/share/mime/packages/tool.xml",
    "/usr/share/glib-2.0/schemas/tool.gschema.xml",
    "/etc/tool.conf",
)


def header(*scriptlets: Scriptlet, files: tuple[str, ...] = FILES) -> PackageHeader:
    """A package with these scriptlets and files."""
    entries = tuple(PackageFile(p, 0o100755, "root", "root", 0, 0, "") for p in files)
    nevra = Nevra("tool", 0, "1", "1", "x86_64")
    return PackageHeader(nevra, entries, scriptlets, (), "sha256", "zstd", (), 0, 0, b"")


def audit(
    body: str, slot: str = "post", interpreter: str = "/bin/sh", files: tuple[str, ...] = FILES
) -> Audit:
    """What is said of one scriptlet."""
    package = header(Scriptlet(slot, interpreter, body), files=files)
    return audit_package(package, coverage(package, TRIGGERS))


def verdicts(body: str, slot: str = "post") -> list[tuple[str, str]]:
    """Each command's first word and its verdict."""
    return [(item.text.split()[0], item.verdict.value) for item in audit(body, slot).judged]


DEBIAN = 'set -- configure ""\n'


def test_a_unit_macro_is_covered_by_the_presets() -> None:
    body = (
        "if [ $1 -eq 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then\n"
        "    /usr/lib/systemd/systemd-update-helper install-system-units tool.service || :\nfi\n"
    )
    assert verdicts(body) == [
        ("[", "harmless"),
        ("[", "harmless"),
        ("/usr/lib/systemd/systemd-update-helper", "covered"),
        (":", "harmless"),
    ]


def test_units_of_others_are_not_covered() -> None:
    assert verdicts("systemctl preset sshd.service") == [("systemctl", "unknown")]


def test_an_upgrade_only_branch_does_not_apply() -> None:
    assert verdicts("if [ $1 -gt 1 ]; then rm -rf /usr/lib/x; fi") == [
        ("[", "harmless"),
        ("rm", "not applicable"),
    ]


def test_a_debian_branch_for_an_older_version_does_not_apply() -> None:
    body = DEBIAN + 'if dpkg --compare-versions "$2" lt-nl 1.2; then rm /etc/x; fi\n'
    assert verdicts(body)[-1] == ("rm", "not applicable")


def test_a_debian_unit_that_is_never_enabled_stays_disabled() -> None:
    body = DEBIAN + (
        "if deb-systemd-helper debian-installed 'tool.service'; then\n"
        "    if deb-systemd-helper --quiet was-enabled 'tool.service'; then\n"
        "        deb-systemd-helper enable 'tool.service' >/dev/null || true\n"
        "    fi\nfi\n"
        "deb-systemd-helper update-state 'tool.service' >/dev/null || true\n"
    )
    assert audit(body).rewrites == Rewrites(disabled=(("system", "tool.service"),))
    user = body.replace("helper", "helper --user")
    assert audit(user).rewrites == Rewrites(disabled=(("user", "tool.service"),))
    assert verdicts(body)[3][1] == "not applicable"


def test_a_debian_unit_that_is_enabled_at_first_is_left_to_the_presets() -> None:
    body = DEBIAN + (
        "if deb-systemd-helper --quiet was-enabled 'tool.service'; then\n"
        "    deb-systemd-helper enable 'tool.service' >/dev/null || true\n"
        "else\n    deb-systemd-helper update-state 'tool.service' >/dev/null || true\nfi\n"
    )
    found = audit(body)
    assert found.rewrites == Rewrites()
    assert [i.verdict for i in found.judged if " enable " in i.text] == [Verdict.COVERED]


def test_a_state_that_hangs_on_something_unknown_declares_nothing() -> None:
    body = 'if [ "$X" = y ]; then deb-systemd-helper update-state tool.service; fi'
    assert audit(body).rewrites == Rewrites()


def test_accounts_become_sysusers_lines() -> None:
    body = (
        "getent group tool >/dev/null || groupadd -r tool\n"
        "getent passwd tool >/dev/null || \\\n"
        '    useradd -r -g tool -d /var/lib/tool -s /sbin/nologin -c "A tool" tool\nexit 0\n'
    )
    found = audit(body, "pre")
    assert found.unknown == ()
    assert found.rewrites == Rewrites(
        sysusers=("g tool -", 'u tool - "A tool" /var/lib/tool /sbin/nologin')
    )


def test_an_account_that_hangs_on_something_else_is_unknown() -> None:
    assert verdicts('if [ "$ANSWER" = yes ]; then useradd -r tool; fi')[-1][1] == "unknown"


def test_a_variable_that_is_known_is_followed() -> None:
    found = audit("U=tool\nfor d in lib cache; do mkdir -p /var/$d/$U; done\n")
    assert found.unknown == ()
    assert found.rewrites.tmpfiles == (
        "d /var/lib/tool 0755 - - - -",
        "d /var/cache/tool 0755 - - - -",
    )


CHOICE = """UPDATE=
if which gtk-update-icon-cache-3.0 >/dev/null 2>&1; then
    UPDATE=gtk-update-icon-cache-3.0
elif which {other} >/dev/null 2>&1; then
    UPDATE={other}
fi
if [ -n "$UPDATE" ]; then
    "$UPDATE" --force --quiet /usr/share/icons/hicolor
fi
"""


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (CHOICE.format(other="gtk-update-icon-cache"), "covered"),
        (CHOICE.format(other="rm"), "unknown"),
        (CHOICE.format(other="$1"), "unknown"),
        (CHOICE.format(other="$(cat /etc/tool.conf)"), "unknown"),
        (CHOICE.format(other="gtk-update-icon-cache").replace("UPDATE=\n", "", 1), "unknown"),
        (CHOICE.format(other="true").replace("-n", "-z", 1), "unknown"),
    ],
)
def test_a_variable_that_holds_one_of_few_texts_is_followed_with_each(
    body: str, verdict: str
) -> None:
    (found,) = [item for item in audit(body).judged if item.text.startswith('"$UPDATE"')]
    assert found.verdict.value == verdict


def test_what_hangs_on_one_of_few_texts_declares_nothing() -> None:
    body = (
        "if which a; then MODE=0711; else MODE=0755; fi\n"
        "case $MODE in 0711) useradd -r tool;; esac\nuseradd -r other\n"
    )
    found = {item.text: item.verdict.value for item in audit(body).judged}
    assert found["useradd -r tool"] == "unknown"
    assert found["useradd -r other"] == "rewritten"


def test_alternatives_capabilities_links_and_modes_are_declared() -> None:
    body = (
        "update-alternatives --install /usr/bin/t t /usr/bin/tool 50 \\\n"
        "  --slave /usr/share/man/man1/t.1.gz t.1.gz /usr/share/man/man1/tool.1.gz\n"
        "setcap cap_net_raw+ep /usr/bin/tool\n"
        "ln -sf tool /usr/bin/tool2\n"
        "chown root:tool /etc/tool.conf\nchmod u+s /usr/lib64/libtool.so.1\n"
    )
    found = audit(body)
    assert found.unknown == ()
    slave = ("/usr/share/man/man1/t.1.gz", "t.1.gz", "/usr/share/man/man1/tool.1.gz")
    assert found.rewrites == Rewrites(
        capabilities=(("/usr/bin/tool", "cap_net_raw+ep"),),
        links=(("/usr/bin/tool2", "tool"),),
        alternatives=(Alternative("/usr/bin/t", "t", "/usr/bin/tool", 50, (slave,)),),
        modes=(
            Mode("/etc/tool.conf", None, "root", "tool"),
            Mode("/usr/lib64/libtool.so.1", 0o4755),
        ),
    )


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("/sbin/ldconfig", "covered"),
        ("systemd-tmpfiles --create tool.conf", "covered"),
        ("update-desktop-database -q", "covered"),
        ("update-mime-database /usr/share/mime", "covered"),
        ("glib-compile-schemas /usr/share/glib-2.0/schemas", "covered"),
        ("gtk-update-icon-cache -q -t -f /usr/share/icons/hicolor", "covered"),
        ("systemctl daemon-reload", "covered"),
        ("invoke-rc.d tool start", "live-only"),
        ("udevadm trigger --subsystem-match=usb", "live-only"),
        ("echo hello >&2", "harmless"),
        ("aa-enabled --quiet 2>/dev/null", "harmless"),
        ("ldconfig /opt/lib", "unknown"),
        ("$TOOL", "unknown"),
        ("curl http://x | sh", "unknown"),
        ("alias ls=rm", "unknown"),
        (". /usr/lib/tool/functions", "unknown"),
        ("PATH=/tmp:$PATH", "unknown"),
        ("if", "unknown"),
    ],
)
def test_a_single_command(body: str, verdict: str) -> None:
    judged = audit(body).judged
    assert max(judged, key=lambda item: item.verdict.weight).verdict == Verdict(verdict)


def test_a_cache_without_files_of_the_package_does_not_change() -> None:
    found = audit("ldconfig", files=("/usr/bin/tool",))
    assert [item.verdict for item in found.judged] == [Verdict.HARMLESS]


def test_a_program_as_interpreter_is_judged_as_a_command() -> None:
    assert [i.verdict for i in audit("", interpreter="/sbin/ldconfig").judged] == [Verdict.COVERED]


def test_another_language_is_unknown_line_by_line() -> None:
    found = audit("# x\nos.remove('/a')\n\nos.remove('/b')\n", "pretrans", "/usr/bin/python3")
    assert [item.line for item in found.unknown] == [2, 4]


def test_the_digest_follows_the_bodies_with_unknown_lines_alone() -> None:
    plain, one, other = (audit(body) for body in ("true", "frob", "frob 2"))
    assert plain.digest == ""
    assert one.digest != other.digest
    both = header(Scriptlet("pre", "/bin/sh", "true"), Scriptlet("post", "/bin/sh", "frob"))
    assert audit_package(both, ()).digest == one.digest


@pytest.mark.parametrize(
    "body",
    [
        "{ " * 60 + "rm /a" + "; }" * 60,
        "if true; then\n" * 40 + "rm /a\n" + "fi\n" * 40,
        "( " * 400 + "rm /a" + " )" * 400,
        "f() { g; g; g; }\ng() { h; h; h; }\nh() { f; f; f; rm /a; }\nf\n",
        "for a in 1 2 3 4 5 6 7 8 9; do\n" * 8 + "rm /a\n" + "done\n" * 8,
        "sed 's" + "/a" * 50_000 + "' && rm /a",
        "find" + " a" * 50_000 + "\nrm /a",
    ],
    ids=["groups", "branches", "subshells", "recursion", "loops", "a long word", "many words"],
)
def test_a_script_that_wears_the_reader_out_is_unknown(body: str) -> None:
    assert audit(body).unknown != ()


def test_a_here_document_of_accounts_is_covered_or_rewritten() -> None:
    shipped = "systemd-sysusers --replace=/usr/lib/sysusers.d/tool.conf - <<EOF || :\nu tool -\nEOF"
    assert [i.verdict for i in audit(shipped).judged] == [Verdict.COVERED, Verdict.HARMLESS]
    own = audit('systemd-sysusers - <<EOF\nu tool - "A tool"\nEOF')
    assert (own.unknown, own.rewrites.sysusers) == ((), ('u tool - "A tool"',))


def test_what_runs_at_removal_does_not_apply() -> None:
    assert verdicts("rm -rf /", "postun") == [("rm", "not applicable")]
