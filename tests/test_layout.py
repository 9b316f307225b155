"""Where the paths of a package land, and what is refused."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from layer.layout import Placement, declared_paths, link_target, place
from layer.model import Nevra, Owner, PackageFile, PackageHeader
from layer.words import shown


def regular(path: str, mode: int = 0o644, user: str = "root", group: str = "root") -> PackageFile:
    return PackageFile(path, stat.S_IFREG | mode, user, group, 1, 0, "00")


def directory(path: str, mode: int = 0o755, user: str = "root", group: str = "root") -> PackageFile:
    return PackageFile(path, stat.S_IFDIR | mode, user, group, 0, 0, "")


def symlink(path: str, target: str) -> PackageFile:
    return PackageFile(path, 0o120777, "root", "root", len(target), 0, "", link_to=target)


def ghost(file: PackageFile) -> PackageFile:
    return PackageFile(
        file.path, file.mode, file.user, file.group, 0, 0, "", file.link_to, is_ghost=True
    )


def placed(
    *files: PackageFile, name: str = "pkg", declared: frozenset[str] = frozenset()
) -> Placement:
    header = PackageHeader(
        Nevra(name, 0, "1", "1", "noarch"), files, (), (), "sha256", "zstd", (), 0, 0, b""
    )
    return place(header, declared)


def paths(placement: Placement) -> dict[str, str]:
    assert placement.refused == ()
    return {file.source.path: file.path for file in placement.files}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/usr/bin/strace", "usr/bin/strace"),
        ("/bin/sh", "usr/bin/sh"),
        ("/sbin/init", "usr/sbin/init"),
        ("/lib/libc.so", "usr/lib/libc.so"),
        ("/lib32/libc.so", "usr/lib32/libc.so"),
        ("/lib64/ld.so", "usr/lib64/ld.so"),
        ("/libx32/libc.so", "usr/libx32/libc.so"),
        ("/etc/foo.conf", "usr/etc/foo.conf"),
        ("/boot/grub/x.mod", "usr/lib/ostree-boot/grub/x.mod"),
        ("/opt/google/chrome", "usr/lib/opt/google/chrome"),
        ("/var/lib/foo/seed", "usr/share/factory/var/lib/foo/seed"),
        ("/usr/localhost/x", "usr/localhost/x"),
        ("/etcetera", None),
        ("/usr/local/bin/x", None),
        ("/usr/lib/sysimage/packages/x.rpm", None),
        ("/lib/sysimage/packages/x.rpm", None),
        ("/srv/x", None),
        ("/home/x", None),
        ("/root/.x", None),
        ("/mnt/x", None),
        ("/media/x", None),
        ("/tmp/x", None),
        ("/dev/x", None),
        ("/proc/x", None),
        ("/sys/x", None),
        ("/sysroot/x", None),
        ("/ostree/x", None),
        ("/run/x", None),
        ("/data", None),
    ],
)
def test_file_lands_where_the_table_says(path: str, target: str | None) -> None:
    found = placed(regular(path))
    if target is None:
        assert found.files == ()
        assert len(found.refused) == 1
        assert found.refused[0].startswith(f"pkg-1-1.noarch: {path}: ")
    else:
        assert paths(found) == {path: target}


def test_kernel_goes_to_its_modules() -> None:
    found = placed(regular("/boot/vmlinuz-6.1.0"), directory("/boot"))
    assert paths(found) == {"/boot/vmlinuz-6.1.0": "usr/lib/modules/6.1.0/vmlinuz"}
    assert found.notes == (
        "pkg-1-1.noarch: the kernel /boot/vmlinuz-6.1.0 is kept in "
        "/usr/lib/modules/6.1.0/vmlinuz",
    )  # fmt: skip


def test_opt_is_linked_back_by_tmpfiles() -> None:
    found = placed(directory("/opt/acme"), regular("/opt/acme/tool"), regular("/opt/b c"))
    assert paths(found) == {
        "/opt/acme": "usr/lib/opt/acme",
        "/opt/acme/tool": "usr/lib/opt/acme/tool",
        "/opt/b c": "usr/lib/opt/b c",
    }
    assert found.tmpfiles == (
        'L /var/opt/acme - - - - /usr/lib/opt/acme\nL "/var/opt/b c" - - - - /usr/lib/opt/b\\x20c\n'
    )
    assert found.notes == (
        "pkg-1-1.noarch: /opt/acme is kept in /usr/lib/opt/acme",
        "pkg-1-1.noarch: /opt/b c is kept in /usr/lib/opt/b c",
    )


def test_var_and_run_become_tmpfiles_lines() -> None:
    found = placed(
        directory("/var"),
        directory("/var/lib/foo", 0o2770, "foo", "games"),
        symlink("/var/lib/foo/current", "../bar %1"),
        regular("/var/lib/foo/seed", 0o640, "0", "games"),
        directory("/run/foo", 0o700),
        directory("/var/run/bar"),
        directory("/var/lock/baz"),
    )
    assert found.refused == ()
    assert found.tmpfiles == (
        "d /run/bar 0755 root root\n"
        "d /run/foo 0700 root root\n"
        "d /run/lock/baz 0755 root root\n"
        "d /var/lib/foo 2770 foo games\n"
        "L /var/lib/foo/current - - - - ../bar\\x20%%1\n"
        "C /var/lib/foo/seed 0640 root games\n"
    )
    assert found.owners == (Owner("usr/share/factory/var/lib/foo/seed", "root", "games"),)
    assert found.notes == (
        "pkg-1-1.noarch: copied into /var at boot where missing: /var/lib/foo/seed",
    )


def test_ghost_is_declared_below_var_only() -> None:
    found = placed(
        ghost(directory("/var/lib/foo", 0o750, "foo", "foo")),
        ghost(regular("/var/log/foo.log", 0o600)),
        ghost(regular("/var/lib/unknown", 0)),
        ghost(symlink("/var/lib/link", "target")),
        ghost(regular("/etc/ghost")),
        ghost(regular("/run/foo.pid")),
        ghost(directory("/home/x")),
    )
    assert found == Placement(
        files=(),
        tmpfiles=(
            "d /var/lib/foo 0750 foo foo\n"
            "L /var/lib/link - - - - target\n"
            "f /var/log/foo.log 0600 root root\n"
        ),
        owners=(),
        refused=(),
        notes=(),
    )


def test_declared_paths_are_left_out() -> None:
    declared = declared_paths(
        "# d /var/lib/commented 0755\n"
        "\n"
        "d /var/lib/foo 0755 root root\n"
        'L+ "/var/lib/a b" - - - - x\n'
        "d! '/var/lib/it''s' -\n"
        "D= /var/lib/esc\\ aped -\n"
        "v /var/lib/100%% -\n"
        "C /var/run//sub/ -\n"
        "z /var/lib/adjusted 0755\n"
        "broken\n"
    )
    assert declared == {
        "/var/lib/foo",
        "/var/lib/a b",
        "/var/lib/its",
        "/var/lib/esc aped",
        "/var/lib/100%",
        "/run/sub",
    }
    found = placed(
        directory("/var/lib/foo"), directory("/var/lib/adjusted"), directory("/var/run/sub"),
        declared=declared,
    )  # fmt: skip
    assert found.tmpfiles == "d /var/lib/adjusted 0755 root root\n"


def test_skeleton_directories_are_ignored_with_a_note() -> None:
    assert placed(directory("/"), directory("/home"), directory("/srv")) == Placement(
        (), "", (), (), ("pkg-1-1.noarch: directories that the tree has of its own: /home, /srv",)
    )
    assert placed(directory("/srv/www")).refused == (
        "pkg-1-1.noarch: /srv/www: /srv is the machine's own",
    )
    assert placed(directory("/usr/local/bin"), name="filesystem").refused == ()
    assert len(placed(regular("/usr/local/bin/x"), name="filesystem").refused) == 1


def test_top_level_links_are_kept_where_they_are_the_layouts() -> None:
    assert paths(placed(symlink("/bin", "usr/bin"), symlink("/home", "/var/home"))) == {
        "/bin": "bin",
        "/home": "home",
    }
    assert placed(symlink("/home", "var/people")).refused == (
        "pkg-1-1.noarch: /home: links to var/people; in a tree it is var/home",
    )


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("/usr/../etc/x", "has a component . or .."),
        ("/usr/./x", "has a component . or .."),
        ("/usr//x", "has an empty component"),
        ("/usr/x/", "has an empty component"),
        ("usr/x", "is not absolute"),
        ("/usr/\udcff", "is not UTF-8"),
        ("/var/a\nb", "holds a line break, which no tmpfiles.d line can name"),
        ("/var/a\rb", "holds a line break, which no tmpfiles.d line can name"),
        ("/usr/" + "é" * 128, "has a component of more than 255 bytes"),
    ],
)
def test_hostile_name_is_refused(path: str, fact: str) -> None:
    (line,) = placed(regular(path)).refused
    assert line == f"pkg-1-1.noarch: {shown(path)}: {fact}"
    assert line.isprintable()


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_special_file_is_refused(kind: int) -> None:
    file = PackageFile("/usr/x", kind | 0o644, "root", "root", 0, 0, "")
    assert placed(file).refused == ("pkg-1-1.noarch: /usr/x: is a device, FIFO or socket",)


def test_owner_that_would_add_a_line_is_refused() -> None:
    assert placed(directory("/var/x", user="root root\nf")).refused == (
        "pkg-1-1.noarch: /var/x: has the owner 'root root\\nf' and group 'root', "
        "which are no names",
    )  # fmt: skip


@pytest.mark.parametrize("target", ["", "\udc80"])
def test_link_without_a_target_is_refused(target: str) -> None:
    assert placed(symlink("/usr/x", target)).refused == (
        "pkg-1-1.noarch: /usr/x: is a link whose target is empty or not UTF-8",
    )


@pytest.mark.parametrize("path", ["/usr", "/etc", "/opt", "/boot", "/var", "/run", "/bin", "/"])
@pytest.mark.parametrize("make", [regular, lambda path: symlink(path, "usr/share")])
def test_what_takes_the_place_of_a_top_level_directory_is_refused(
    path: str, make: Callable[[str], PackageFile]
) -> None:
    found = placed(make(path))
    assert (len(found.refused), found.files, found.tmpfiles) == (1, (), "")


@pytest.mark.parametrize(
    "entry",
    [symlink("/var/run", "/elsewhere"), symlink("/var/lock", "../run"), regular("/var/run")],
)
def test_what_is_a_link_in_every_tree_is_no_other(entry: PackageFile) -> None:
    assert placed(entry).refused


def test_links_in_var_that_lead_out_of_it_are_kept() -> None:
    found = placed(symlink("/var/run", "../run"), symlink("/var/lock", "../run/lock"))
    assert found.refused == ()
    assert found.tmpfiles == "L /var/lock - - - - ../run/lock\nL /var/run - - - - ../run\n"


def test_every_refusal_is_told_at_once() -> None:
    found = placed(
        regular("/usr/a"),
        regular("/usr/a"),
        regular("/usr/bin/b"),
        regular("/bin/b"),
        symlink("/usr/lib/c", "d"),
        regular("/lib/c/below/link"),
        regular("/var/lib/e"),
        directory("/var/lib/e/below"),
        regular("/srv/f"),
    )
    assert found.refused == (
        "pkg-1-1.noarch: /usr/a: is listed twice",
        "pkg-1-1.noarch: /bin/b: lands in the same place as /usr/bin/b",
        "pkg-1-1.noarch: /srv/f: /srv is the machine's own",
        "pkg-1-1.noarch: /lib/c/below/link: lies below the link /usr/lib/c",
        "pkg-1-1.noarch: /var/lib/e/below: lies below the file /var/lib/e",
    )


def test_one_directory_by_two_names_keeps_the_first_attributes() -> None:
    found = placed(directory("/lib/x", 0o700), directory("/usr/lib/x"), directory("/lib/y"))
    assert paths(found) == {"/lib/x": "usr/lib/x", "/lib/y": "usr/lib/y"}
    assert found.notes == (
        "pkg-1-1.noarch: /usr/lib/x and /lib/x are one directory and differ: "
        "the attributes of /lib/x hold",
    )


def test_a_shipped_file_in_the_place_of_the_generated_one_is_refused() -> None:
    found = placed(directory("/var/lib/pkg"), regular("/usr/lib/tmpfiles.d/zz-layer-pkg.conf"))
    assert found.refused == (
        "pkg-1-1.noarch: /usr/lib/tmpfiles.d/zz-layer-pkg.conf: "
        "a file of that name is to be generated",
    )


NAMES = (
    "plain",
    "with blank",
    "quo\"te's",
    "back\\slash\\x41",
    "100%",
    "%b",
    "#x",
    "tab\there",
    "é",
)


def test_systemd_reads_the_very_names_back(tmp_path: Path) -> None:
    if shutil.which("systemd-tmpfiles") is None:
        pytest.skip("systemd-tmpfiles is not installed")
    found = placed(
        *(directory(f"/var/lib/{name}", 0o2711) for name in NAMES),
        *(symlink(f"/var/link/{name}", f"to {name}") for name in NAMES),
        *(regular(f"/var/file/{name}", 0o640) for name in NAMES),
        *(regular(f"/opt/{name}") for name in NAMES),
    )
    for file in found.files:
        copy = tmp_path / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("content")
    configuration = tmp_path / "usr/lib/tmpfiles.d/zz-layer-pkg.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(found.tmpfiles)
    done = subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    var = tmp_path / "var"
    made = {name: stat.S_IMODE((var / "lib" / name).stat().st_mode) for name in NAMES}
    assert made == dict.fromkeys(NAMES, 0o2711)
    assert {p.name: str(p.readlink()) for p in (var / "link").iterdir()} == {
        name: f"to {name}" for name in NAMES
    }
    assert {p.name: p.read_text() for p in (var / "file").iterdir()} == dict.fromkeys(
        NAMES, "content"
    )
    assert {p.name: str(p.readlink()) for p in (var / "opt").iterdir()} == {
        name: f"/usr/lib/opt/{name}" for name in NAMES
    }


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("/opt/x/bin/tool", "../../../usr/bin/tool", "/usr/bin/tool"),
        ("/opt/x", "../usr/lib/x", "/usr/lib/x"),
        ("/opt/x/a", "../../optional", "/optional"),
        ("/opt/x/a", "../y/b", "../y/b"),
        ("/opt/x/a", "./b", "./b"),
        ("/opt/x/a", "../../opt", "../../opt"),
        ("/opt/x/a", "/usr/bin/../a", "/usr/bin/../a"),
        ("/boot/x", "../usr/lib/x", "/usr/lib/x"),
        ("/boot/grub/x", "../x", "../x"),
        ("/boot/vmlinuz", "vmlinuz-6.1-x", "/usr/lib/modules/6.1-x/vmlinuz"),
        ("/boot/grub/kernel", "../vmlinuz-6.1", "/usr/lib/modules/6.1/vmlinuz"),
        ("/opt/x/kernel", "../../boot/vmlinuz-6.1", "/usr/lib/modules/6.1/vmlinuz"),
        ("/boot/initrd", "initrd-6.1", "initrd-6.1"),
        ("/usr/lib/x", "../../opt/x", "../../opt/x"),
        ("/etc/x", "../usr/lib/x", "../usr/lib/x"),
    ],
)
def test_a_link_that_is_moved_leads_where_it_did(path: str, target: str, expected: str) -> None:
    assert link_target(symlink(path, target)) == expected
