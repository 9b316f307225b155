"""Formats last: what any version wrote is read for ever, what a newer one wrote is left alone."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layer import alternatives, cached_update, ids, live_record, running, signing, staged
from layer.copies import REFS, Copies
from layer.errors import InvalidInput, LayerError
from layer.headers import headers_ref, list_packages
from layer.history import as_object, parse_entries
from layer.importer import find_package
from layer.live.record import as_values, parse_journal
from layer.lock import format_metadata, read_lock, read_record
from layer.lock_file import format_lock, parse_lock
from layer.model import Commit, DirectoryAttributes, FileAttributes, Tree
from layer.origin import format_origin, parse_origin
from layer.plan_file import format_plan, parse_plan
from layer.records import read_cached
from layer.records import read_record as read_file
from layer.report import SILENT
from layer.sealed import seal
from layer.solver import cache as solver_cache
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree
from tests.cli import fails
from tests.test_architecture import PACKAGE, ROOT
from tests.test_cli_boot import rewrite_origin
from tests.test_docs import read
from tests.world import STATEROOT, Machine, layer

FIXTURES = ROOT / "testdata/formats"
_ROW = re.compile(
    r"^\| ([\w ']+) \| (\d+) \| (refused|anew|kept) \| `([\w.-]+)` \| `([\w/]+)` \|$", re.MULTILINE
)
REGISTER = {row[0]: row[1:] for row in _ROW.findall(read("docs/formats.md"))}
A, B = "a" * 64, "b" * 64


def fixture(name: str) -> str:
    """The text of a fixture."""
    return (FIXTURES / name).read_text()


def commit_of(name: str) -> Commit:
    """A commit with the metadata of a fixture."""
    return Commit(A, None, 0, Tree(A, B), json.loads(fixture(name)))


# --- each fixture is read, and whole -------------------------------------------------------------


def origin(path: Path, _: Path) -> None:
    text = path.read_text()
    found = parse_origin(text)
    assert format_origin(found) == text
    assert [request.text for request in found.requests] == ["@core", "apple", "web(server)"]
    assert found.foreign == (("other-tool", "key", "kept as it is"),)
    assert (found.override_commit, found.options.initramfs_arguments) == (
        "c" * 64,
        ("--add", "lvm"),
    )
    assert found.left_out == (("pear", "it needs libseed"),)


def derived(path: Path, _: Path) -> None:
    commit = commit_of(path.name)
    lock, record = read_lock(commit), read_record(commit)
    besides = {"layer.base", "version", "ostree.linux", "ostree.bootable"}
    said = {key: value for key, value in commit.metadata.items() if key not in besides}
    assert format_metadata(lock, record) == said
    assert [str(package.nevra) for package in lock.packages] == [
        "apple-1-1.x86_64",
        "libseed-2:1-1.x86_64",
    ]


def package(path: Path, folder: Path) -> None:
    checksum = str(json.loads(path.read_text())["layer.checksum"])
    store = with_commit(folder, path, f"layer/pkg/{checksum}")
    found = find_package(store, checksum)
    assert found is not None
    assert (str(found.nevra), [owner.user for owner in found.owners]) == (
        "daemon-1-1.x86_64",
        ["alpha"],
    )


def headers(path: Path, folder: Path) -> None:
    store = with_commit(folder, path, headers_ref(B))
    with store.transaction():
        base = store.write_commit(
            empty_tree(store), parent=None, timestamp=0, subject="", metadata={}
        )
        store.set_ref(headers_ref(base), store.find_commit(headers_ref(B)))
    assert list_packages(store, store.read_commit(base)) == ()


def output(path: Path, folder: Path) -> None:
    store = with_commit(folder, path, "layer/trigger/x/y")
    found = running._read_kept(store, str(store.find_commit("layer/trigger/x/y")))
    assert [(f.path, f.is_made) for f in found.folders] == [
        ("usr/lib", False),
        ("usr/share/x", True),
    ]
    assert found.removed == ("usr/lib/old",)


def copies(path: Path, folder: Path) -> None:
    store = with_commit(folder, path, f"{REFS}/{A}")
    assert list(Copies.open(store).notes("note")) == [b"noted"]


def with_commit(folder: Path, path: Path, ref: str) -> OstreeStore:
    """A store with a commit that has a fixture's metadata, and some directories in it."""
    store = OstreeStore.create(folder / "repo")
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for name in ("usr/share/x", "usr/lib"):
            editor.put_directory(name, store.write_directory_attributes(DirectoryAttributes()))
        editor.put_file("note", store.write_file(FileAttributes(), [b"noted"]))
        metadata = json.loads(path.read_text())
        commit = store.write_commit(
            editor.write(), parent=None, timestamp=0, subject="", metadata=metadata
        )
        store.set_ref(ref, commit)
    return store


def lock(path: Path, _: Path) -> None:
    text = path.read_text()
    found = parse_lock(text, path.name)
    assert format_lock(found) == text
    assert (found.version, dict(found.lock.ids)) == ("12", {"alpha": 301})


def plan(path: Path, _: Path) -> None:
    text = path.read_text()
    found = parse_plan(text, path.name)
    assert format_plan(found) == text
    assert (found.command, found.stateroot) == (("install", "apple"), "tiny")


def keys(path: Path, folder: Path) -> None:
    put(folder, signing._TRUSTED, path.read_bytes())
    assert signing._trusted(folder) == {"0123456789ABCDEF0123456789ABCDEF01234567"}


def live(path: Path, folder: Path) -> None:
    put(folder, live_record.RECORD, path.read_bytes())
    found = live_record.read(folder)
    assert found is not None
    assert found.wanted is not None
    assert json.loads(json.dumps({"schema": 1, **as_values(found)})) == json.loads(path.read_text())
    assert parse_journal(as_values(found)) == found


def staging(path: Path, folder: Path) -> None:
    for name in (staged._RECORD, staged._RETURN):
        put(folder, name, path.read_bytes())
        found = staged._read(folder / name)
        assert found == staged.Staged(A, 0, "8d0c9c0a-0000-4000-8000-000000000000")


def offers(path: Path, _: Path) -> None:
    text = path.read_text()
    found = alternatives.parse_record(text, path.name)
    assert alternatives.format_record(found) == text
    assert [(offer.name, offer.priority) for offer in found] == [("editor", 40)]


def map_of_ids(path: Path, _: Path) -> None:
    text = path.read_text()
    found = ids.parse_map(text)
    assert ids.format_map(found) == text
    assert found == ids.Accounts({"alpha": 301}, {"alpha": 301, "disk": 6})


def update(path: Path, _: Path) -> None:
    values = read_cached(path, 3)
    assert values is not None
    found = cached_update.parse(values)
    assert json.loads(json.dumps(cached_update.as_json(found))).items() <= values.items()
    assert found.layers == ("b 1-1 (new)",)


def size(path: Path, _: Path) -> None:
    assert read_cached(path, 1) == {"bytes": 4096, "tree": A}


def entries(path: Path, _: Path) -> None:
    lines = path.read_text().splitlines()
    found, unread = parse_entries(lines)
    written = [json.loads(json.dumps(as_object(entry))) for entry in found]
    assert (unread, written) == (0, [*map(json.loads, lines)])


def solv(path: Path, folder: Path) -> None:
    found = solver_cache.open_cache(folder, SILENT)
    assert found is not None
    key = "661afaf8a7280d618b7b2c327219dc6d6ed17887b775786e357c0af89a4e763d"
    place = found.folder / f"r={key}.1-0.7.23.solv"
    place.write_bytes(path.read_bytes())
    place.chmod(0o600)
    assert solver_cache._damaged(place.open("rb").fileno(), place.name) == ""
    if solver_cache.library_version() == "0.7.23":  # another one's has a name of its own
        assert found.read("r", key, lambda file: file is not None)


READERS: dict[str, Callable[[Path, Path], None]] = {
    "origin file": origin,
    "derived commit": derived,
    "base commit": lambda path, _: format_both(path),
    "imported package": package,
    "derived headers": headers,
    "trigger output": output,
    "copies": copies,
    "lock": lock,
    "plan": plan,
    "shown keys": keys,
    "live journal": live,
    "staged and return": staging,
    "alternatives of a tree": offers,
    "map of ids": map_of_ids,
    "cached update": update,
    "size of a checkout": size,
    "history": entries,
    "solver's cache": solv,
}


def format_both(path: Path) -> None:
    """A base's metadata, which are a derived commit's without a base."""
    commit = commit_of(path.name)
    said = format_metadata(read_lock(commit), read_record(commit))
    assert said.items() <= commit.metadata.items()
    assert "layer.base" not in commit.metadata


def put(var: Path, name: str, data: bytes) -> Path:
    """A record in a /var."""
    place = var / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


@pytest.mark.parametrize("name", READERS)
def test_a_fixture_is_read(name: str, tmp_path: Path) -> None:
    _, _, file, _ = REGISTER[name]
    READERS[name](FIXTURES / file, tmp_path)


def test_every_format_has_a_fixture_of_every_schema() -> None:
    assert set(REGISTER) == set(READERS)
    there = {path.name for path in FIXTURES.iterdir()}
    wanted = set()
    for schema, _, file, _ in REGISTER.values():
        assert f"-{schema}." in file
        wanted.add(file)
    assert wanted <= there
    # Older schemas stay; a fixture of a newer one would belong to no row.
    newest = {file.rpartition("-")[0]: int(schema) for schema, _, file, _ in REGISTER.values()}
    for name in there - wanted:
        stem, _, rest = name.rpartition("-")
        assert int(rest.partition(".")[0]) < newest[stem], name


# --- no writer is missed -------------------------------------------------------------------------

# What a module that writes files, commits or refs writes, beside the rows of the register.
_SCRATCH = "what is gone when the verb ends"
_TREE = "a part of a tree, in a format of systemd's or of the register"
_REF = "refs, which docs/formats.md lists"
OTHER_WRITERS = {
    "accounts": _TREE,
    "bootunits": _TREE,
    "circumstances": _SCRATCH,
    "cleaning": _REF,
    "commands/_voice": "a profile, where somebody asks for one: its format is in docs/formats.md",
    "crossings": _TREE,
    "downloads": _REF,
    "fetch/metadata": "SHA-256 of URLs beside the metadata: another content is fetched anew",
    "fetch/packages": "RPM files and headers as they came",
    "homes": "a link",
    "live_etc": "the machine's own accounts, and links",
    "living": _REF,
    "next_files": _SCRATCH,
    "openpgp": _SCRATCH,
    "outputs": "the files that were asked for: locks and plans",
    "pinning": "a drop-in for systemd",
    "plans": _REF,
    "reasoning": _SCRATCH,
    "records": "on behalf of those that have rows",
    "repairing": _REF,
    "rpmdb": _SCRATCH,
    "rpmfile/writing": "rpm's database",
    "rpmfile/header": _SCRATCH,
    "sandbox/box": _SCRATCH,
    "sandbox/sleepless": _SCRATCH,
    "sandbox/tasks": _SCRATCH,
    "skeleton": _TREE,
    "solver/base": _SCRATCH,
    "sources": _SCRATCH,
    "store/deploy_options": "an initrd",
    "store/objects": "objects, on behalf of all others",
    "store/recycling": "libostree's record of what is staged",
    "transaction": _REF,
}
_CALLS = {
    *("write_text", "write_bytes", "symlink_to", "write_commit", "set_ref", "mkstemp"),
    *("write_detached_metadata", "write_record"),
}


def writes(text: str) -> bool:
    """Whether a module's text has a call that writes."""
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        last = name.rpartition(".")[2]
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        words = [v.value for v in values if isinstance(v, ast.Constant) and type(v.value) is str]
        is_open = last in ("open", "fdopen") and any(
            set(word) <= set("rwaxbt+") and set(word) & set("wax+") for word in words
        )
        if last in _CALLS or is_open or name in ("os.write", "os.pwrite", "os.link"):
            return True
    return False


def test_writing_is_seen() -> None:
    assert writes("path.write_text('x')")
    assert writes("path.open('ab')")
    assert writes("open(1, mode='r+b')")
    assert not writes("path.open('rb'); read_text(store)")


def test_no_module_writes_what_is_not_in_the_register() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    writers = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for path in modules
        if writes(path.read_text())
    }
    listed = {row[3] for row in REGISTER.values()}
    # An origin is written by libostree, a lock and a plan by `outputs`, as their rows say it.
    by_others = {"origin", "commands/lock", "commands/plan"}
    assert writers - listed == set(OTHER_WRITERS)
    assert listed - writers == by_others


def test_every_schema_in_the_program_is_that_of_a_row() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, number in re.findall(r"^(\w*SCHEMA) = (\d+)\b", path.read_text(), re.MULTILINE):
            found[f"{path.relative_to(PACKAGE).with_suffix('')}.{name}"] = number
    schema = {name: row[0] for name, row in REGISTER.items()}
    assert found == {
        "alternatives.SCHEMA": schema["alternatives of a tree"],
        "copies.SCHEMA": schema["copies"],
        "footprint._SCHEMA": schema["size of a checkout"],
        "history.SCHEMA": schema["history"],
        "ids.MAP_SCHEMA": schema["map of ids"],
        "importer.SCHEMA": schema["imported package"],
        "live/record.SCHEMA": schema["live journal"],
        "lock.SCHEMA": schema["derived commit"],
        "lock_file.SCHEMA": schema["lock"],
        "origin.SCHEMA": schema["origin file"],
        "plan_file.SCHEMA": schema["plan"],
        "signing.SCHEMA": schema["shown keys"],
        "staged.SCHEMA": schema["staged and return"],
        "updates.SCHEMA": schema["cached update"],
        # Of what is said on a descriptor, and not kept by layer.
        "commands/_voice.SCHEMA": "1",
        "findings.SCHEMA": "1",
        "planned.SCHEMA": "1",
    }


# --- a newer schema ------------------------------------------------------------------------------


def newer(name: str) -> str:
    """A fixture as a newer version would have written it: with the next schema, and otherwise."""
    text = fixture(name)
    if name.endswith(".origin"):
        return text.replace("schema=1\n", "schema=2\n")
    value = json.loads(text)
    key = "layer.schema" if "layer.schema" in value else "schema"
    value[key] = type(value[key])(int(value[key]) + 1)
    value["new-key"] = "of that version"
    return (
        seal({k: v for k, v in value.items() if k != "seal"})
        if "seal" in value
        else json.dumps(value)
    )


REFUSING: dict[str, Callable[[str, Path], Any]] = {
    "origin file": lambda text, _: parse_origin(text),
    "derived commit": lambda text, _: read_lock(Commit(A, None, 0, Tree(A, B), json.loads(text))),
    "base commit": lambda text, _: read_record(Commit(A, None, 0, Tree(A, B), json.loads(text))),
    "lock": lambda text, _: parse_lock(text, "it"),
    "plan": lambda text, _: parse_plan(text, "it"),
    "shown keys": lambda text, var: (
        put(var, signing._TRUSTED, text.encode()),
        signing._trusted(var),
    ),
    "live journal": lambda text, var: (
        put(var, live_record.RECORD, text.encode()),
        live_record.read(var),
    ),
    "staged and return": lambda text, var: (
        put(var, staged._RECORD, text.encode()),
        staged.is_settled(var, ()),
    ),
    "alternatives of a tree": lambda text, _: alternatives.parse_record(text, "it"),
    "map of ids": lambda text, _: ids.parse_map(text),
}


def test_each_that_is_to_be_refused_is_tried() -> None:
    assert set(REFUSING) == {name for name, row in REGISTER.items() if row[1] == "refused"}


@pytest.mark.parametrize("name", REFUSING)
def test_a_newer_schema_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    schema, _, file, _ = REGISTER[name]
    with pytest.raises(InvalidInput) as caught:
        REFUSING[name](newer(file), tmp_path)
    message = caught.value.message
    assert "\n" not in message
    assert re.search(rf"schema {int(schema) + 1}\b.*\b{schema}\b", message), message
    assert caught.value.hint == "a newer version of layer wrote it; use that one" or (
        caught.value.hint == "a newer version of layer made it; use that one"
    )


@pytest.mark.parametrize("name", ["cached update", "size of a checkout"])
def test_a_newer_cache_is_not_looked_at(name: str, tmp_path: Path) -> None:
    schema, _, file, _ = REGISTER[name]
    place = put(tmp_path, file, newer(file).encode())
    assert read_cached(place, int(schema)) is None
    with pytest.raises(InvalidInput):
        read_file(place, int(schema))


def test_commits_of_a_newer_cache_are_made_anew(tmp_path: Path) -> None:
    text = newer("imported-package-3.json")
    path = put(tmp_path, "package.json", text.encode())
    checksum = str(json.loads(text)["layer.checksum"])
    assert (
        find_package(with_commit(tmp_path / "1", path, f"layer/pkg/{checksum}"), checksum) is None
    )
    path = put(tmp_path, "copies.json", newer("copies-1.json").encode())
    store = with_commit(tmp_path / "2", path, f"{REFS}/{A}")
    assert list(Copies.open(store).notes("note")) == []
    path = put(tmp_path, "headers.json", newer("headers-1.json").encode())
    store = with_commit(tmp_path / "3", path, headers_ref(B))
    with store.transaction():
        base = store.write_commit(
            empty_tree(store), parent=None, timestamp=0, subject="", metadata={}
        )
        store.set_ref(headers_ref(base), store.find_commit(headers_ref(B)))
    with pytest.raises(LayerError, match="lists no packages"):  # it is asked anew
        list_packages(store, store.read_commit(base))


def test_lines_of_a_newer_history_are_counted_and_kept(machine: Machine) -> None:
    line = newer_line()
    place = put(machine.host().sysroot.var(STATEROOT), "lib/layer/history.jsonl", line)
    machine.layer("kargs", "-y", "--append=one=1")
    assert place.read_bytes().startswith(line)
    shown = machine.layer("history")
    assert "kargs" in shown.stdout
    assert "1 line" in shown.stderr + shown.stdout


def newer_line() -> bytes:
    value = json.loads(fixture("history-1.jsonl").splitlines()[0])
    return json.dumps({**value, "schema": 2, "new-key": [1]}).encode() + b"\n"


VERBS = (["install", "-y", "web"], ["kargs", "-y", "--append=x"], ["rollback"])


@pytest.mark.parametrize("name", [live_record.RECORD, staged._RECORD, staged._RETURN])
def test_a_record_of_a_newer_version_is_left_alone_by_all_that_changes(
    machine_kept: Machine, name: str
) -> None:
    is_live = name == live_record.RECORD
    text = newer("live-1.json" if is_live else "staged-1.json")
    place = put(machine_kept.host().sysroot.var(STATEROOT), name, text.encode())
    try:
        for words in VERBS:
            lines = fails(machine_kept, *words)
            assert lines[0].endswith("has schema 2; this version knows 1"), words
            assert place.read_text() == text
    finally:
        place.unlink()


def test_a_damaged_live_journal_is_an_error(machine_kept: Machine) -> None:
    place = put(
        machine_kept.host().sysroot.var(STATEROOT), live_record.RECORD, b'{"schema": 1, "st'
    )
    try:
        for words in VERBS:
            assert "live.json is damaged" in fails(machine_kept, *words)[0], words
    finally:
        place.unlink()


def test_an_origin_of_a_newer_version_is_left_alone(machine: Machine) -> None:
    rewrite_origin(machine, newer("origin-1.origin"))
    for words in VERBS[:2]:
        assert "the origin file has schema 2; this version knows 1" in fails(machine, *words)[0]


@pytest.mark.parametrize(
    ("file", "verb"), [("lock-1.json", ["lock", "import"]), ("plan-1.json", ["apply"])]
)
def test_a_file_of_a_newer_version_is_refused(
    machine_kept: Machine, tmp_path: Path, file: str, verb: list[str]
) -> None:
    path = put(tmp_path, file, newer(file).encode())
    done = layer(*verb, "--sysroot", str(machine_kept.path), "-y", str(path), status=1)
    assert f"error: {path} has schema 2; this version knows 1\n" in done.stderr
