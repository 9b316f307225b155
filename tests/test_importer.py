"""From an RPM to a commit of its own, in both stores."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from layer.errors import InvalidInput, NotFound, PackageRefused
from layer.importer import (
    find_package,
    import_package,
    read_package_blob,
    read_package_header,
    read_package_notes,
)
from layer.model import Owner, PackageTree, Tree
from layer.rpmfile.capabilities import parse_capabilities
from layer.rpmfile.header import read_header
from layer.store.contract import ObjectStore
from layer.store.objects import OstreeStore
from layer.store.trees import directories_of, files_of
from testdata.distro.rpmspec import BUILD_TIME, FileSpec, RpmSpec
from testdata.distro.rpmwriter import write_rpm
from tests.directory_store import DirectoryStore

# VFS_CAP_REVISION_2 with the effective bit, and cap_net_raw (13) permitted.
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")

SPEC = RpmSpec(
    "tool",
    epoch=1,
    arch="noarch",
    files=(
        FileSpec("/bin/merged", b"merged"),
        FileSpec("/etc/tool.conf", b"a=b\n", config=True, group="games"),
        FileSpec("/opt/acme/run", b"acme"),
        FileSpec("/usr/bin/one", b"linked", mode=0o4755),
        FileSpec.hardlink("/usr/bin/two", "/usr/bin/one"),
        FileSpec("/usr/bin/ping", b"ping", mode=0o755, capabilities="cap_net_raw=ep"),
        FileSpec.symlink("/usr/bin/sym", "one"),
        FileSpec("/usr/lib/tmpfiles.d/tool.conf", b"d /var/lib/declared 0700 tool tool -\n"),
        FileSpec.directory("/usr/lib/tool", 0o2750, "tool", "tool"),
        FileSpec("/usr/lib/tool/numeric", b"", user="0", group="0"),
        FileSpec.directory("/var/lib/declared", 0o700, "tool", "tool"),
        FileSpec.directory("/var/lib/tool", 0o700, "tool", "tool"),
        FileSpec("/var/lib/tool/seed", b"seed", user="tool"),
        FileSpec("/var/log/tool", ghost=True, mode=0o640),
    ),
)

MakeStore = Callable[[Path], ObjectStore]


@pytest.fixture(params=[OstreeStore.create, DirectoryStore.create], ids=["ostree", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    make: MakeStore = request.param
    return make(tmp_path / "store")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(store: ObjectStore, path: Path) -> PackageTree:
    with store.transaction():
        return import_package(store, path, read_header(path), checksum=sha256(path))


def listing(store: ObjectStore, root: Tree) -> dict[str, str]:
    """Type and mode, and target or content, of everything in a tree."""
    found = {}
    for path, tree in directories_of(store, root):
        attributes = store.read_directory_attributes(tree.attributes)
        assert (attributes.uid, attributes.gid) == (0, 0)
        found[path] = f"{attributes.mode:o}"
    for path, checksum in files_of(store, root):
        file = store.read_file_attributes(checksum)
        assert (file.uid, file.gid) == (0, 0)
        if stat.S_ISLNK(file.mode):
            found[path] = f"{file.mode:o} {file.target}"
        else:
            with store.open_file(checksum) as content:
                data = content.read().decode("latin-1")
            found[path] = f"{file.mode:o} {data}"
    return found


def test_package_becomes_a_tree(store: ObjectStore, tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    tree = imported(store, path)
    blob = read_header(path).blob
    found = listing(store, tree.root)
    assert found.pop("usr/lib/sysimage/packages/tool-1:1-1.noarch.rpm").encode("latin-1") == (
        b"100644 " + blob
    )
    assert found == {
        **dict.fromkeys(
            (
                "usr",
                "usr/bin",
                "usr/etc",
                "usr/lib",
                "usr/lib/opt",
                "usr/lib/opt/acme",
                "usr/lib/sysimage",
                "usr/lib/sysimage/packages",
                "usr/lib/tmpfiles.d",
                "usr/share",
                "usr/share/factory",
                "usr/share/factory/var",
                "usr/share/factory/var/lib",
                "usr/share/factory/var/lib/tool",
            ),
            "40755",
        ),
        "usr/bin/merged": "100644 merged",
        "usr/bin/one": "104755 linked",
        "usr/bin/ping": "100755 ping",
        "usr/bin/sym": "120777 one",
        "usr/bin/two": "104755 linked",
        "usr/etc/tool.conf": "100644 a=b\n",
        "usr/lib/opt/acme/run": "100644 acme",
        "usr/lib/tmpfiles.d/zz-layer-tool.conf": (
            "100644 d /var/lib/tool 0700 tool tool\n"
            "C /var/lib/tool/seed 0644 tool root\n"
            "f /var/log/tool 0640 root root\n"
            "L /var/opt/acme - - - - /usr/lib/opt/acme\n"
        ),
        "usr/lib/tmpfiles.d/tool.conf": "100644 d /var/lib/declared 0700 tool tool -\n",
        "usr/lib/tool": "42750",
        "usr/lib/tool/numeric": "100644 ",
        "usr/share/factory/var/lib/tool/seed": "100644 seed",
    }
    files = dict(files_of(store, tree.root))
    assert files["usr/bin/one"] == files["usr/bin/two"]
    assert store.read_file_attributes(files["usr/bin/ping"]).xattrs == (
        (b"security.capability", NET_RAW),
    )
    assert tree.owners == (
        Owner("usr/etc/tool.conf", "root", "games"),
        Owner("usr/lib/tool", "tool", "tool"),
        Owner("usr/share/factory/var/lib/tool/seed", "tool", "root"),
    )


def test_commit_says_what_it_is(store: ObjectStore, tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    tree = imported(store, path)
    commit = store.read_commit(tree.commit)
    assert (commit.parent, commit.timestamp, commit.root) == (None, BUILD_TIME, tree.root)
    assert store.refs("layer/pkg") == {f"layer/pkg/{sha256(path)}": tree.commit}
    assert commit.metadata == {
        "layer.schema": "3",
        "layer.nevra": "tool-1:1-1.noarch",
        "layer.checksum": sha256(path),
        "layer.owners": (
            '[["usr/etc/tool.conf","root","games"],["usr/lib/tool","tool","tool"],'
            '["usr/share/factory/var/lib/tool/seed","tool","root"]]'
        ),
        "layer.notes": json.dumps(list(read_package_notes(store, tree)), separators=(",", ":")),
    }
    assert read_package_notes(store, tree) == (
        "tool-1:1-1.noarch: /opt/acme is kept in /usr/lib/opt/acme",
        "tool-1:1-1.noarch: copied into /var at boot where missing: /var/lib/tool/seed",
    )


def test_package_is_found_again_without_the_file(store: ObjectStore, tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    header = read_header(path)
    checksum = sha256(path)
    assert find_package(store, checksum) is None
    tree = imported(store, path)
    path.unlink()
    assert find_package(store, checksum) == tree
    assert read_package_blob(store, tree) == header.blob
    assert read_package_header(store, tree) == header


def test_import_is_a_function_of_the_file(tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    first, second = (OstreeStore.create(tmp_path / name) for name in ("first", "second"))
    imported(second, write_rpm(RpmSpec("other", files=(FileSpec("/usr/x"),)), tmp_path))
    assert imported(first, path) == imported(second, path) == imported(first, path)


def test_file_of_another_checksum_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    with pytest.raises(PackageRefused, match="its SHA-256 is"), store.transaction():
        import_package(store, path, read_header(path), checksum="0" * 64)
    header = read_header(path)
    path.unlink()
    with pytest.raises(NotFound), store.transaction():
        import_package(store, path, header, checksum="0" * 64)
    assert store.refs("layer/pkg") == {}


def test_everything_that_is_refused_is_named(store: ObjectStore, tmp_path: Path) -> None:
    path = write_rpm(RpmSpec("bad", files=(FileSpec("/srv/a"), FileSpec("/usr/local/b"))), tmp_path)
    with pytest.raises(PackageRefused) as caught:
        imported(store, path)
    assert caught.value.message.splitlines() == [
        "bad-1-1.x86_64: /srv/a: /srv is the machine's own",
        "bad-1-1.x86_64: /usr/local/b: /usr/local is a link into /var, the machine's own",
    ]
    assert store.refs("layer/pkg") == {}


@pytest.mark.parametrize(
    ("file", "fact"),
    [
        (FileSpec("/usr/x", capabilities="cap_flying=ep"), "unknown capability 'cap_flying' in"),
        (FileSpec("/usr/x", digest="0" * 64), "the digest of its content is wrong"),
        (FileSpec("/usr/x", in_payload=False), "the header lists it, the payload lacks it"),
    ],
)
def test_broken_package_leaves_nothing(
    store: ObjectStore, tmp_path: Path, file: FileSpec, fact: str
) -> None:
    path = write_rpm(RpmSpec("bad", files=(FileSpec("/usr/a", b"a"), file)), tmp_path)
    with pytest.raises(PackageRefused) as caught:
        imported(store, path)
    assert caught.value.message.startswith(f"bad-1-1.x86_64: /usr/x: {fact}")
    assert find_package(store, sha256(path)) is None


def test_import_by_other_rules_is_done_again(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rpm(SPEC, tmp_path)
    monkeypatch.setattr("layer.importer.SCHEMA", 0)
    old = imported(store, path)
    monkeypatch.undo()
    assert find_package(store, sha256(path)) is None
    new = imported(store, path)
    assert find_package(store, sha256(path)) == new == replace(old, commit=new.commit)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cap_net_raw=ep", NET_RAW.hex()),
        ("cap_net_raw+ep", NET_RAW.hex()),
        ("= cap_net_raw+ep", NET_RAW.hex()),
        ("cap_net_raw,cap_net_admin=p", "0000000200300000000000000000000000000000"),
        ("cap_chown=pi cap_bpf+p", "0000000201000000010000008000000000000000"),
        ("cap_kill=eip", "0100000220000000200000000000000000000000"),
        ("=ep", "01000002ffffffff00000000ff01000000000000"),
        ("all=ep cap_chown-ep", "01000002feffffff00000000ff01000000000000"),
    ],
)
def test_capabilities_become_the_attribute(text: str, value: str) -> None:
    assert parse_capabilities(text).hex() == value


@pytest.mark.parametrize(
    "text", ["cap_net_raw", "nonsense=ep", "cap_kill=x", "cap_kill=ep cap_chown=p", ","]
)
def test_capabilities_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_capabilities(text)


def test_capabilities_are_what_setcap_writes(tmp_path: Path) -> None:
    for text in ("cap_net_raw=ep", "cap_net_raw,cap_bpf+p", "cap_kill=eip", "cap_chown=i"):
        file = tmp_path / "file"
        file.write_bytes(b"")
        done = subprocess.run(["/usr/sbin/setcap", text, file], check=False, capture_output=True)
        if done.returncode:
            pytest.skip("setcap does not work here")
        assert os.getxattr(file, "security.capability") == parse_capabilities(text), text
