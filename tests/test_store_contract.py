"""What `ObjectStore` promises, held against both stores that there are."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer.errors import StoreError
from layer.model import Directory, DirectoryAttributes, FileAttributes, Tree, TreeDiff
from layer.store.contract import ObjectStore
from layer.store.dirtree import parse_directory, serialize_directory
from layer.store.objects import OstreeStore
from layer.store.trees import (
    TreeEditor,
    diff,
    directories_of,
    empty_tree,
    files_of,
    lookup,
    lookup_all,
)
from tests.directory_store import DirectoryStore

NOWHERE = "0" * 64
CAPABILITY = (b"security.capability", b"\1\0\0\2" + b"\0\x20" + bytes(14))
LINK = FileAttributes(mode=stat.S_IFLNK | 0o777, target="some/where")


@pytest.fixture(params=[OstreeStore, DirectoryStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return request.param.create(tmp_path / "store")


def put(store: ObjectStore, tree: Tree, **files: str) -> Tree:
    """The tree with text files; `__` in a name stands for a slash."""
    editor = TreeEditor(store, tree)
    for name, text in files.items():
        checksum = store.write_file(FileAttributes(), [text.encode()])
        editor.put_file(name.replace("__", "/"), checksum)
    return editor.write()


def read(store: ObjectStore, checksum: str) -> bytes:
    with store.open_file(checksum) as content:
        return content.read()


@pytest.mark.parametrize(
    "attributes",
    [
        FileAttributes(),
        FileAttributes(1, 2, stat.S_IFREG | 0o4755),
        FileAttributes(
            0, 7, stat.S_IFREG | 0o2711, "", ((b"security.capability", b"\1\0\0\2" * 5),)
        ),
        FileAttributes(xattrs=((b"user.a", b"1"), (b"user.b", b"\0\xff"))),
    ],
)
def test_files_keep_content_and_attributes(store: ObjectStore, attributes: FileAttributes) -> None:
    with store.transaction():
        checksum = store.write_file(attributes, [b"con", b"", b"tent"])
        assert store.read_file_attributes(checksum) == attributes
        assert read(store, checksum) == b"content"
    assert store.read_file_attributes(checksum) == attributes
    assert read(store, checksum) == b"content"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1, 5 << 20])
@pytest.mark.parametrize("xattrs", [(), ((b"user.a", b"1"),)])
def test_a_file_on_the_disk_is_stored_as_its_content_is(
    store: ObjectStore, tmp_path: Path, size: int, xattrs: tuple[tuple[bytes, bytes], ...]
) -> None:
    file, attributes = tmp_path / "file", FileAttributes(1, 2, stat.S_IFREG | 0o640, "", xattrs)
    file.write_bytes((b"0123456" * (size // 7 + 1))[:size])
    with store.transaction():
        checksum = store.write_file_of(attributes, file)
        assert store.write_file_of(attributes, file) == checksum
    file.unlink()
    assert store.read_file_attributes(checksum) == attributes
    assert len(read(store, checksum)) == size
    with store.transaction():
        assert store.write_file(attributes, [read(store, checksum)]) == checksum


def test_symlinks_keep_their_target(store: ObjectStore) -> None:
    with store.transaction():
        checksum = store.write_file(LINK)
    assert store.read_file_attributes(checksum) == LINK


def test_checksums_follow_from_content_and_attributes_alone(store: ObjectStore) -> None:
    with store.transaction():
        one = store.write_file(FileAttributes(), [b"ab", b"c"])
        assert store.write_file(FileAttributes(), [b"abc"]) == one
        others = {
            store.write_file(FileAttributes(), [b"abd"]),
            store.write_file(FileAttributes(uid=1), [b"abc"]),
            store.write_file(FileAttributes(mode=stat.S_IFREG | 0o600), [b"abc"]),
            store.write_file(FileAttributes(xattrs=((b"user.a", b""),)), [b"abc"]),
        }
        assert len(others | {one}) == 5


def test_files_larger_than_memory_are_streamed(store: ObjectStore) -> None:
    chunks = (bytes([i % 256]) * (1 << 20) for i in range(6))
    with store.transaction():
        checksum = store.write_file(FileAttributes(), chunks)
    expected = b"".join(bytes([i % 256]) * (1 << 20) for i in range(6))
    assert read(store, checksum) == expected


def test_commits_keep_all_and_are_equal_for_equal_arguments(store: ObjectStore) -> None:
    metadata = {"version": "3", "layer.schema": "1", "ostree.bootable": True}
    with store.transaction():
        root = put(store, empty_tree(store), usr__a="1")
        arguments = {"timestamp": 1_700_000_000, "subject": "s", "metadata": metadata}
        first = store.write_commit(root, parent=None, **arguments)
        second = store.write_commit(root, parent=first, **arguments)
        assert store.write_commit(root, parent=None, **arguments) == first
    found = store.read_commit(second)
    assert (found.checksum, found.parent, found.timestamp) == (second, first, 1_700_000_000)
    assert (found.root, dict(found.metadata), found.subject) == (root, metadata, "s")


def test_refs_appear_at_the_end_of_a_transaction_and_go_away(store: ObjectStore) -> None:
    with store.transaction():
        root = empty_tree(store)
        checksum = store.write_commit(root, parent=None, timestamp=1, subject="", metadata={})
        store.set_ref("layer/a/b", checksum)
        store.set_ref("layer/other", checksum)
    assert store.find_commit("layer/a/b") == checksum
    assert store.refs("layer/a") == {"layer/a/b": checksum}
    assert set(store.refs("layer")) == {"layer/a/b", "layer/other"}
    with store.transaction():
        store.set_ref("layer/a/b", None)
    assert store.find_commit("layer/a/b") is None


def test_refs_alone_are_set_at_the_end_of_a_transaction(store: ObjectStore) -> None:
    with store.transaction():
        root = empty_tree(store)
        checksum = store.write_commit(root, parent=None, timestamp=1, subject="", metadata={})
    with pytest.raises(KeyboardInterrupt), store.transaction():
        store.set_ref("layer/a", checksum)
        raise KeyboardInterrupt
    with store.transaction():
        assert store.refs("layer") == {}
        store.set_ref("layer/a", checksum)
        store.set_ref("layer/b", checksum)
        assert store.refs("layer") == {}
    assert store.refs("layer") == {"layer/a": checksum, "layer/b": checksum}
    with store.transaction():
        store.set_ref("layer/a", None)
        store.set_ref("layer/none", None)
    assert store.refs("layer") == {"layer/b": checksum}


def test_an_exception_abandons_a_transaction(store: ObjectStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction():
        root = empty_tree(store)
        checksum = store.write_commit(root, parent=None, timestamp=1, subject="", metadata={})
        store.set_ref("layer/gone", checksum)
        raise KeyboardInterrupt
    assert store.find_commit("layer/gone") is None
    with pytest.raises(StoreError):
        store.read_commit(checksum)
    with store.transaction():
        empty_tree(store)


@pytest.mark.parametrize(
    "method",
    [
        "read_commit",
        "read_directory",
        "read_directory_attributes",
        "read_file_attributes",
        "open_file",
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(store: ObjectStore, method: str) -> None:
    with pytest.raises(StoreError, match=NOWHERE):
        getattr(store, method)(NOWHERE)


@pytest.mark.parametrize("is_committed", [False, True])
def test_linked_files_are_what_was_stored(
    store: ObjectStore, tmp_path: Path, is_committed: bool
) -> None:
    attributes = FileAttributes(3, 4, stat.S_IFREG | 0o4711)

    def link(checksums: tuple[str, str]) -> None:
        store.link_file(checksums[0], tmp_path / "file")
        store.link_file(checksums[1], tmp_path / "link")

    with store.transaction():
        checksums = (store.write_file(attributes, [b"x"]), store.write_file(LINK))
        if not is_committed:
            link(checksums)
    if is_committed:
        link(checksums)
    status = (tmp_path / "file").stat()
    assert (status.st_mode, status.st_uid, status.st_gid) == (attributes.mode, 3, 4)
    assert (tmp_path / "file").read_bytes() == b"x"
    assert str((tmp_path / "link").readlink()) == "some/where"


def test_diff_tells_added_changed_and_removed(store: ObjectStore) -> None:
    with store.transaction():
        old = put(store, empty_tree(store), a="1", d__b="1", d__c="1", gone__x="1", same__y="1")
        new = put(store, empty_tree(store), a="2", d__b="1", d__n="1", new__z="1", same__y="1")
        assert diff(store, old, new) == TreeDiff(
            added=("d/n", "new/z"), changed=("a",), removed=("d/c", "gone/x")
        )
        assert diff(store, old, old) == TreeDiff()


def test_editor_turns_files_into_directories_and_back(store: ObjectStore) -> None:
    with store.transaction():
        tree = put(store, empty_tree(store), a="file", d__x="1")
        editor = TreeEditor(store, tree)
        editor.remove("a")
        file = store.write_file(FileAttributes(), [b"inner"])
        editor.put_file("a/inner", file)
        editor.put_file("d", file)
        edited = editor.write()
        assert [path for path, _ in files_of(store, edited)] == ["a/inner", "d"]
        assert [path for path, _ in directories_of(store, edited)] == ["a"]
        assert lookup(store, edited, "a/inner") == file
        assert lookup(store, edited, "d/x") is None
        with pytest.raises(StoreError, match="wants a directory"):
            TreeEditor(store, edited).put_file("d/below", file)
        with pytest.raises(StoreError, match="no nothing"):
            TreeEditor(store, edited).remove("nothing")


def test_many_paths_are_looked_up_as_each_is(store: ObjectStore) -> None:
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for path in ("a/b/c", "a/d", "e"):
            editor.put_file(path, store.write_file(FileAttributes(), [path.encode()]))
        tree = editor.write()
    paths = ["e", "a", "a/b", "a/b/c", "a/b/x", "a/d", "a/d/x", "x/y", "e/x"]
    each = {path: lookup(store, tree, path) for path in paths}
    assert lookup_all(store, tree, paths) == {k: v for k, v in each.items() if v is not None}
    assert sorted(lookup_all(store, tree, paths)) == ["a", "a/b", "a/b/c", "a/d", "e"]


def test_editing_back_gives_the_same_tree(store: ObjectStore) -> None:
    with store.transaction():
        tree = put(store, empty_tree(store), a__b__c="1", a__b__d="2")
        editor = TreeEditor(store, tree)
        c = lookup(store, tree, "a/b/c")
        assert isinstance(c, str)
        editor.remove("a/b/c")
        assert editor.write() != tree
        editor.put_file("a/b/c", c)
        assert editor.write() == tree


def test_directory_attributes_are_kept_and_part_of_the_tree(store: ObjectStore) -> None:
    wanted = DirectoryAttributes(5, 6, stat.S_IFDIR | 0o2750, ((b"user.x", b"y"),))
    with store.transaction():
        tree = put(store, empty_tree(store), d__a="1")
        editor = TreeEditor(store, tree)
        editor.put_directory("d", store.write_directory_attributes(wanted))
        changed = editor.write()
        found = lookup(store, changed, "d")
        assert isinstance(found, Tree)
        assert store.read_directory_attributes(found.attributes) == wanted
        assert changed != tree


_NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=80
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 256)
_SUMS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(_NAMES, _SUMS, max_size=40),
    st.dictionaries(_NAMES, st.builds(Tree, _SUMS, _SUMS), max_size=40),
)
def test_directory_objects_are_glibs_own_bytes(
    files: dict[str, str], directories: dict[str, Tree]
) -> None:
    from layer.store.gobject import GLib

    rows = sorted(files.items(), key=lambda row: row[0].encode())
    tree_rows = sorted(directories.items(), key=lambda row: row[0].encode())
    variant = GLib.Variant(
        "(a(say)a(sayay))",
        (
            [(name, bytes.fromhex(sum_)) for name, sum_ in rows],
            [
                (name, bytes.fromhex(tree.contents), bytes.fromhex(tree.attributes))
                for name, tree in tree_rows
            ],
        ),
    )
    directory = Directory(files, directories)
    assert serialize_directory(directory) == variant.get_data_as_bytes().get_data()
    assert parse_directory(serialize_directory(directory)) == directory


@pytest.mark.parametrize("data", [b"\xff", b"\x05abc", b"a\0bc\x02\x09", bytes(300)])
def test_a_corrupt_directory_object_is_an_error(data: bytes) -> None:
    with pytest.raises(StoreError):
        parse_directory(data)
