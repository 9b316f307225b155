"""Lines of real scriptlets that the shipped triggers make unnecessary, and lines that none may."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layer.triggers.format import parse_trigger

ROOT = Path(__file__).parent.parent
# Simple commands as the audit reads them: words joined by blanks, without redirections.
COVERED = {
    "apparmor": ["apparmor_parser -r -T -W /etc/apparmor.d/usr.bin.demo"],
    "binfmt": ["/usr/lib/systemd/systemd-binfmt demo.conf"],
    "ca-certificates": ["update-ca-certificates --hooksdir ", "update-ca-certificates --fresh"],
    "ca-trust": ["/usr/bin/update-ca-trust", "update-ca-trust extract"],
    "cracklib": ["update-cracklib", "create-cracklib-dict /usr/share/dict/words"],
    "crypto-policies": ["/usr/bin/update-crypto-policies --no-check"],
    "daemon-reload": ["systemctl --system daemon-reload", "/usr/bin/systemctl daemon-reload"],
    "dbus": ["invoke-rc.d dbus force-reload", "systemctl reload dbus"],
    "dconf": ["dconf update"],
    "fonts": ["fc-cache -s -f -v", "/usr/bin/fc-cache /usr/share/fonts/demo"],
    "gdk-pixbuf": [
        "/usr/bin/gdk-pixbuf-query-loaders-64 --update-cache",
        "/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders",
    ],
    "gio-modules": [
        "/usr/bin/gio-querymodules-64 /usr/lib64/gio/modules",
        "/usr/lib/x86_64-linux-gnu/glib-2.0/gio-querymodules "
        "/usr/lib/x86_64-linux-gnu/gtk-4.0/4.0.0/immodules",
    ],
    "hwdb": ["systemd-hwdb --usr update", "/usr/bin/udevadm hwdb --update"],
    "iconv": [
        "/usr/sbin/iconvconfig",
        "/usr/sbin/iconvconfig -o /usr/lib64/gconv/gconv-modules.cache --nostdlib /usr/lib64/gconv",
    ],
    "immodules": [
        "/usr/lib/x86_64-linux-gnu/libgtk-3-0/gtk-query-immodules-3.0 --update-cache",
        "/usr/bin/gtk-query-immodules-3.0-64 --update-cache",
    ],
    "info-dir": [
        "/sbin/install-info /usr/share/info/demo.info.gz /usr/share/info/dir",
        "install-info --info-dir=/usr/share/info /usr/share/info/demo.info.gz",
        "update-info-dir",
    ],
    "initramfs": [
        "update-initramfs -u",
        "dracut -f --kver 6.1.0",
        "/bin/kernel-install add 6.1.0 /lib/modules/6.1.0/vmlinuz",
    ],
    "journal-catalog": ["journalctl --update-catalog"],
    "locale": ["locale-gen"],
    "mandb": ["/usr/bin/mandb -pq"],
    "mkfontscale": [
        "mkfontdir /usr/share/X11/fonts/misc",
        "update-fonts-scale --x11r7-layout Type1",
    ],
    "python-bytecode": [
        "py3compile -p python3-gast",
        "py3compile -p python3-demo /usr/share/python3",
        "pypy3compile -p python3-gast",
        "/usr/bin/python3 -m compileall -q /usr/lib/python3.12/site-packages/demo",
    ],
    "selinux": ["semodule -n -s targeted -X 200 -i /usr/share/selinux/packages/demo.pp.bz2"],
    "shells": ["update-shells"],
    "sysctl": ["/usr/lib/systemd/systemd-sysctl demo.conf"],
    "udev": ["udevadm control --reload", "udevadm trigger --subsystem-match=block --action=change"],
    "vim-helptags": ["vim -u NONE -c helptags /usr/share/vim/vimfiles/doc -c q"],
    "xml-catalog": [
        "update-xmlcatalog --sort --add --type public --id -//Demo//DTD Demo//EN"
        " --package demo --local /usr/share/xml/demo/catalog.xml",
    ],
}
CONSEQUENTIAL = [
    "update-ca-certificates --hooksdir /tmp",
    "dracut -f /etc/passwd",
    "dracut --include /tmp/evil /",
    "dconf write /org/demo 1",
    "fc-cache -y /tmp",
    "install-info --dir-file=/etc/passwd x /usr/share/info/dir",
    "iconvconfig -o /etc/passwd",
    "kernel-install remove 6.1.0",
    "locale-gen de_DE.UTF-8",
    "mandb --user-db -C /tmp/x",
    "python3 -c import os",
    "semodule -n -i /tmp/demo.pp",
    "semodule -r demo",
    "update-crypto-policies --set LEGACY",
    "vim -c !touch /etc/x -c helptags /usr/share/vim/vimfiles/doc -c q",
    "vim -u NONE -c helptags /usr/share/vim/vimfiles/doc -c !touch",
    "xmlcatalog --noout --add public x file:///tmp/x /etc/xml/catalog",
    "apparmor_parser -R /tmp/demo",
    "sysctl -w kernel.demo=1",
    "update-alternatives --install /usr/bin/x x /usr/bin/y 1",
]


def covers(name: str) -> tuple[str, ...]:
    file = ROOT / "triggers" / f"{name}.toml"
    return parse_trigger(file.read_text(), str(file)).covers


@pytest.mark.parametrize(("name", "line"), [(name, s) for name in COVERED for s in COVERED[name]])
def test_a_scriptlets_line_is_covered(name: str, line: str) -> None:
    assert [text for text in covers(name) if re.fullmatch(text, line)] != []


@pytest.mark.parametrize("line", CONSEQUENTIAL)
def test_a_line_that_does_something_else_is_not(line: str) -> None:
    names = sorted(file.stem for file in (ROOT / "triggers").glob("*.toml"))
    assert [name for name in names for text in covers(name) if re.fullmatch(text, line)] == []
