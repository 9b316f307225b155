"""Every package as we import it, against the same package as rpm installs it.

`make test-import` runs this, and prints which paths lie elsewhere in a tree, and why.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from layer.accounts import resolve_owners
from layer.importer import import_packages
from layer.layout import FACTORY, HEADERS, LINKS, RULES, Fate, Rule, is_root, tmpfiles_path
from layer.model import FileAttributes, PackageFile, PackageHeader, PackageTree, Tree
from layer.rpmfile.capabilities import parse_capabilities
from layer.rpmfile.header import read_header
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, directories_of, files_of
from layer.words import shown
from testdata.distro.build import ensure_demo
from testdata.distro.cache import default_cache
from testdata.distro.full import find_full
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, RpmSpec

CAPABILITY = "security.capability"
# rpm looks owners up in the root that it installs into: these two must be there before.
ACCOUNT_FILES = ("/etc/passwd", "/etc/group")
SHOWN_MOVES = 4  # of each kind


@dataclass(frozen=True)
class Entry:
    """What is at a path: all that must be the same on both sides."""

    kind: int  # S_IFREG, S_IFDIR, S_IFLNK
    mode: int
    uid: int
    gid: int
    capabilities: str = ""
    target: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Listing:
    """All of a tree by absolute path; `files` tells which regular files are one file."""

    entries: Mapping[str, Entry]
    files: Mapping[str, object]


@dataclass(frozen=True)
class Accounts:
    """Numbers for every owner that packages name: none is another's."""

    users: Mapping[str, int]
    groups: Mapping[str, int]

    @property
    def passwd(self) -> str:
        """The text of /etc/passwd."""
        return "".join(f"{name}:x:{n}:{n}::/:/bin/false\n" for name, n in self.users.items())

    @property
    def group(self) -> str:
        """The text of /etc/group."""
        return "".join(f"{name}:x:{n}:\n" for name, n in self.groups.items())


@dataclass
class Comparison:
    """What came of it; a move is (why, path, where to)."""

    packages: int = 0
    paths: int = 0
    hardlinks: int = 0
    differences: list[str] = field(default_factory=list)
    moves: list[tuple[str, str, str]] = field(default_factory=list)

    def report(self) -> str:
        """The numbers, and the moves by kind."""
        lines = [
            f"{self.packages} packages, {self.paths} paths, {self.hardlinks} hardlink groups: "
            f"{len(self.differences)} differences, {len(self.moves)} paths lie elsewhere"
        ]
        kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for why, path, where in sorted(self.moves):
            kinds[why].append((path, where))
        for why, moved in sorted(kinds.items()):
            lines.append(f"  {len(moved)}: {why}")
            lines += [f"    {shown(path)} -> {shown(to)}" for path, to in moved[:SHOWN_MOVES]]
            if len(moved) > SHOWN_MOVES:
                lines.append("    ...")
        return "\n".join(lines)


# --- the two sides ------------------------------------------------------------------------------


def accounts_for(headers: Iterable[PackageHeader]) -> Accounts:
    """All users and groups of the headers."""
    files = [file for header in headers for file in header.files]
    users = sorted({file.user for file in files if not is_root(file.user)})
    groups = sorted({file.group for file in files if not is_root(file.group)})
    return Accounts(
        {"root": 0, **{name: 1000 + n for n, name in enumerate(users)}},
        {"root": 0, **{name: 2000 + n for n, name in enumerate(groups)}},
    )


def install(root: Path, accounts: Accounts, rpms: Sequence[Path]) -> None:
    """Installs all of them in one transaction of rpm's."""
    (root / "etc").mkdir(parents=True)
    for path, text in zip(ACCOUNT_FILES, (accounts.passwd, accounts.group), strict=True):
        (root / path[1:]).write_text(text)
    where = ("--root", str(root), "--dbpath", "/.rpmdb", "--force-debian")
    less = ("--noscripts", "--notriggers", "--nodeps", "--noplugins", "--ignoresize")
    all_files = ("--define", "_install_langs all", "--define", "_netsharedpath %{nil}")
    command = ["rpm", "-i", "--nosignature", *where, *less, *all_files]
    done = subprocess.run([*command, *map(str, rpms)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.endswith(".rpmnew")]
    assert (done.returncode, said) == (0, [])
    shutil.rmtree(root / ".rpmdb")


def list_root(root: Path) -> Listing:
    """What rpm has made."""
    entries: dict[str, Entry] = {}
    files: dict[str, object] = {}
    start = len(str(root))
    for folder, names, others in os.walk(root):
        for name in (*names, *others):
            path = f"{folder}/{name}"
            at = path[start:]
            status = os.lstat(path)
            entries[at] = _entry_on_disk(path, status)
            if stat.S_ISREG(status.st_mode):
                files[at] = status.st_ino
    for path in ACCOUNT_FILES:
        # rpm keeps what was there before, and puts its own beside it.
        there = entries.pop(path), files.pop(path)
        assert there
        if f"{path}.rpmnew" in entries:
            entries[path] = entries.pop(f"{path}.rpmnew")
            files[path] = files.pop(f"{path}.rpmnew")
    return Listing(entries, files)


def _entry_on_disk(path: str, status: os.stat_result) -> Entry:
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    entry = Entry(kind, mode, status.st_uid, status.st_gid)
    if kind == stat.S_IFLNK:
        return replace(entry, target=str(Path(path).readlink()))
    if kind == stat.S_IFREG:
        with open(path, "rb", buffering=0) as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        names = os.listxattr(path, follow_symlinks=False)
        value = os.getxattr(path, CAPABILITY).hex() if CAPABILITY in names else ""
        return replace(entry, digest=digest, capabilities=value)
    return entry


def bring_in(
    store: ObjectStore, accounts: Accounts, rpms: Mapping[Path, PackageHeader]
) -> dict[PackageHeader, Tree]:
    """Imports all of them; gives each one's tree with its owners resolved."""
    checksums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rpms]
    with store.transaction():
        packages = zip(rpms.keys(), rpms.values(), checksums, strict=True)
        trees = import_packages(store, packages)
    imported = dict(zip(rpms.values(), trees, strict=True))
    with store.transaction():
        return {header: _owned(store, accounts, tree) for header, tree in imported.items()}


def _owned(store: ObjectStore, accounts: Accounts, package: PackageTree) -> Tree:
    """The package's tree with the owners that accounts of a tree around it give it."""
    if not package.owners:
        return package.root
    # The last file that has a name counts, so those of demo-release do not.
    texts = {"usr/lib/passwd": accounts.passwd, "usr/lib/group": accounts.group}
    around = write_text(store, package.root, texts)
    editor = TreeEditor(store, resolve_owners(store, around, [package]))
    for path in texts:
        editor.remove(path)
    return editor.write()


class TreeReader:
    """Lists trees; what is equal by checksum is read once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._read: dict[str, Entry] = {}

    def listing(self, tree: Tree) -> Listing:
        """What we have made."""
        entries: dict[str, Entry] = {}
        files: dict[str, object] = {}
        for path, child in directories_of(self._store, tree):
            found = self._store.read_directory_attributes(child.attributes)
            mode = stat.S_IMODE(found.mode)
            entries[f"/{path}"] = Entry(stat.S_IFMT(found.mode), mode, found.uid, found.gid)
        for path, checksum in files_of(self._store, tree):
            entries[f"/{path}"] = entry = self._entry(checksum)
            if entry.kind == stat.S_IFREG:
                files[f"/{path}"] = checksum
        return Listing(entries, files)

    def _entry(self, checksum: str) -> Entry:
        known = self._read.get(checksum)
        if known is None:
            known = self._read[checksum] = self._entry_of_object(checksum)
        return known

    def _entry_of_object(self, checksum: str) -> Entry:
        found = self._store.read_file_attributes(checksum)
        kind, mode = stat.S_IFMT(found.mode), stat.S_IMODE(found.mode)
        entry = Entry(kind, mode, found.uid, found.gid)
        if kind == stat.S_IFLNK:
            return replace(entry, target=found.target)
        with self._store.open_file(checksum) as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        value = dict(found.xattrs).get(CAPABILITY.encode(), b"").hex()
        return replace(entry, digest=digest, capabilities=value)


# --- the comparison -----------------------------------------------------------------------------


def compare(
    header: PackageHeader,
    installed: Listing,
    imported: Listing,
    lines: Mapping[str, Sequence[str]],
    accounts: Accounts,
    found: Comparison,
) -> None:
    """Adds what differs in one package; `lines` are the tree's of tmpfiles.d, by their path."""
    work = _Compared(header, installed, imported, lines, accounts, found)
    for file in header.files:
        work.add(file)
    work.check_hardlinks()
    work.check_rest()
    found.packages += 1
    found.paths += len(header.files)


class _Compared:
    def __init__(
        self,
        header: PackageHeader,
        installed: Listing,
        imported: Listing,
        lines: Mapping[str, Sequence[str]],
        accounts: Accounts,
        found: Comparison,
    ) -> None:
        self._header = header
        self._installed = installed
        self._imported = imported
        self._lines = lines
        self._accounts = accounts
        self._found = found
        self._places: dict[str, str] = {}  # header path -> tree path

    def add(self, file: PackageFile) -> None:
        theirs = self._installed.entries.get(file.path)
        rule, where = destination(file)
        if file.is_ghost:
            self._move("a ghost: not in the payload", file.path, "nowhere")
            return
        if theirs is None:
            self._places[file.path] = where
            self._differ(file.path, "rpm has not installed it")
        elif rule is None:
            self._places[file.path] = where
            self._compare_entries(file.path, where, theirs)
        elif rule.fate is Fate.TREE:
            self._places[file.path] = where
            self._move(rule.reason, file.path, where)
            self._compare_entries(file.path, where, self._redirected(file.path, rule, theirs))
        elif rule.fate is Fate.BOOT:
            if file.path == f"/{rule.root}":
                self._move("every tree has the directory", file.path, file.path)
            elif stat.S_ISREG(file.mode):
                factory = f"/{FACTORY}{where}"
                self._places[file.path] = factory
                self._move(f"{rule.reason}: factory content", file.path, factory)
                self._compare_entries(file.path, factory, theirs)
                self._compare_line(file.path, where, theirs)
            else:
                self._move(f"{rule.reason}: tmpfiles.d", file.path, f"{where}, at boot")
                self._compare_line(file.path, where, theirs)
        elif stat.S_ISDIR(file.mode):
            self._move("every tree has the directory", file.path, file.path)
        else:
            self._differ(file.path, "should have been refused")

    def check_hardlinks(self) -> None:
        groups: dict[int, list[str]] = defaultdict(list)
        for file in self._header.files:
            if file.link_group:
                groups[file.link_group].append(file.path)
        for paths in groups.values():
            theirs = {self._installed.files.get(path) for path in paths}
            ours = {self._imported.files.get(self._places.get(path, "")) for path in paths}
            self._found.hardlinks += 1
            if len(theirs) != 1 or len(ours) != 1:
                self._differ(paths[0], f"one file: {len(theirs)} by rpm, {len(ours)} by us")

    def check_rest(self) -> None:
        """What is in the tree beside the package's paths."""
        name = self._header.nevra.name
        own = {
            f"/{HEADERS}/{self._header.nevra}.rpm",
            f"/{tmpfiles_path(name)}",
            f"/usr/lib/sysusers.d/zz-layer-{name}.conf",
        }
        for path in sorted(self._imported.entries.keys() - {*self._places.values()} - own):
            if self._imported.entries[path] != IMPLIED:
                self._differ(path, "rpm has no such path")

    def _redirected(self, path: str, rule: Rule, theirs: Entry) -> Entry:
        """What rpm made, a relative link out of what is moved leading where it leads there."""
        if rule.root not in ("opt", "boot") or not theirs.target or theirs.target[0] == "/":
            return theirs
        where = os.path.normpath(f"{path}/../{theirs.target}")
        if where.split("/")[1] == rule.root:
            return theirs
        self._move("a relative link out of what is moved is absolute", path, where)
        return replace(theirs, target=where)

    def _compare_entries(self, path: str, where: str, theirs: Entry) -> None:
        ours = self._imported.entries.get(where)
        if ours is None:
            self._differ(path, f"is not in the tree at {shown(where)}")
            return
        for name in Entry.__dataclass_fields__:
            values = getattr(theirs, name), getattr(ours, name)
            if values[0] != values[1]:
                show = oct if name in {"kind", "mode"} else str
                self._differ(path, f"{name}: {show(values[0])} by rpm, {show(values[1])} by us")

    def _compare_line(self, path: str, where: str, theirs: Entry) -> None:
        line = self._lines.get(where)
        if line is None:
            self._differ(path, f"no line of tmpfiles.d makes {shown(where)}")
            return
        if line[0] == "L" and theirs.kind == stat.S_IFLNK:
            ours = replace(theirs, target=line[-1])
        elif (line[0], theirs.kind) in {("d", stat.S_IFDIR), ("C", stat.S_IFREG)}:
            owner = self._accounts.users[line[3]], self._accounts.groups[line[4]]
            ours = replace(theirs, mode=int(line[2], 8), uid=owner[0], gid=owner[1])
        elif line[0] == "package's own":
            return
        else:
            self._differ(path, f"the line of tmpfiles.d is {line}")
            return
        if ours != theirs:
            self._differ(path, f"{theirs} by rpm, the line of tmpfiles.d is {line}")

    def _move(self, why: str, path: str, where: str) -> None:
        self._found.moves.append((why, path, where))

    def _differ(self, path: str, fact: str) -> None:
        self._found.differences.append(f"{self._header.nevra}: {shown(path)}: {fact}")


IMPLIED = Entry(stat.S_IFDIR, 0o755, 0, 0)  # a directory that nobody lists, on both sides


def destination(file: PackageFile) -> tuple[Rule | None, str]:
    """The rule that moves a path, None where it stays, and the absolute path it is moved to."""
    path = file.path[1:]
    if path in LINKS and stat.S_ISLNK(file.mode):
        return None, file.path
    rule = next((r for r in RULES if path == r.root or path.startswith(f"{r.root}/")), None)
    if rule is None:
        return Rule("", Fate.REFUSED, "", "has no place"), ""
    where = f"/{rule.target}{path[len(rule.root) :]}"
    return (None if where == file.path and rule.fate is Fate.TREE else rule), where


def tmpfiles_lines(store: ObjectStore, tree: Tree, header: PackageHeader) -> dict[str, list[str]]:
    """The lines generated for the package, and which paths it declares itself."""
    found: dict[str, list[str]] = {}
    own = tmpfiles_path(header.nevra.name)
    for path, _ in files_of(store, tree):
        if path.startswith(("usr/lib/tmpfiles.d/", "usr/etc/tmpfiles.d/")):
            for line in read_text(store, tree, path).splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    is_own = path != own
                    place = words[1].replace("/var/run/", "/run/").rstrip("/")
                    found[place] = ["package's own"] if is_own else words
    return found


def batches(rpms: Mapping[Path, PackageHeader]) -> list[dict[Path, PackageHeader]]:
    """Parts of which each can lie in one root: what its packages share is alike in all."""
    parts: list[_Part] = []
    for path, header in rpms.items():
        fitting = [part for part in parts if part.accepts(header)]
        if not fitting:
            fitting = [_Part()]
            parts += fitting
        fitting[0].add(path, header)
    return [part.rpms for part in parts]


class _Part:
    """Packages, and all paths of theirs."""

    def __init__(self) -> None:
        self.rpms: dict[Path, PackageHeader] = {}
        self._files: dict[str, tuple[object, ...]] = {}
        self._folders: set[str] = set()

    def accepts(self, header: PackageHeader) -> bool:
        """Whether the package meets nothing that is otherwise."""
        for file in header.files:
            if self._files.get(file.path, _alike(file)) != _alike(file):
                return False
            if not stat.S_ISDIR(file.mode) and file.path in self._folders:
                return False
            for parent in _parents(file.path):
                other = self._files.get(parent)
                if other is not None and not stat.S_ISDIR(int(str(other[0]))):
                    return False
        return True

    def add(self, path: Path, header: PackageHeader) -> None:
        """Puts it with the others."""
        self.rpms[path] = header
        for file in header.files:
            self._files[file.path] = _alike(file)
            self._folders.update(_parents(file.path))


def _alike(file: PackageFile) -> tuple[object, ...]:
    owner = (file.user, file.group, file.capabilities)
    return (file.mode, *owner, file.digest, file.link_to, file.link_group > 0, file.is_ghost)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def compare_all(rpms: Sequence[Path], scratch: Path) -> Comparison:
    """Both sides of all packages, in as few transactions as can be."""
    headers = {path: read_header(path) for path in rpms}
    accounts = accounts_for(headers.values())
    store = OstreeStore.create(scratch / "store")
    trees = bring_in(store, accounts, headers)
    reader = TreeReader(store)
    found = Comparison()
    for number, part in enumerate(batches(headers)):
        root = scratch / f"root-{number}"
        install(root, accounts, list(part))
        compare_root(root, store, part.values(), trees, accounts, found, reader)
        shutil.rmtree(root)
    return found


def compare_root(
    root: Path,
    store: ObjectStore,
    headers: Iterable[PackageHeader],
    trees: Mapping[PackageHeader, Tree],
    accounts: Accounts,
    found: Comparison,
    reader: TreeReader,
) -> None:
    """Compares a root of rpm's with the trees of the packages in it."""
    installed = list_root(root)
    listed: set[str] = set()
    for header in headers:
        tree = trees[header]
        lines = tmpfiles_lines(store, tree, header)
        compare(header, installed, reader.listing(tree), lines, accounts, found)
        listed |= {file.path for file in header.files if not file.is_ghost}
    for path in sorted(installed.entries.keys() - listed):
        if installed.entries[path] != IMPLIED:
            found.differences.append(f"{shown(path)}: rpm made it, and no package lists it")


# --- every package ------------------------------------------------------------------------------


def test_demo_packages_come_in_as_rpm_installs_them(tmp_path: Path) -> None:
    demo = ensure_demo()
    rpms = sorted([*demo.path.glob("*.rpm"), *demo.extra.glob("*.rpm")])
    started = time.monotonic()
    found = compare_all(rpms, tmp_path)
    print(f"\ndemo, {time.monotonic() - started:.0f} s: {found.report()}")
    assert found.differences == []
    assert found.packages == len(rpms)
    assert found.hardlinks
    whys = {why for why, _, _ in found.moves}
    assert {"OSTree merges it into the machine's /etc at deployment"} < whys


@pytest.mark.slow
def test_full_packages_come_in_as_rpm_installs_them() -> None:
    full = find_full()
    if full is None:
        pytest.skip("not built: python -m testdata.distro.build --set full")
    # Twice the set's 6 GB, which do not fit into memory.
    with tempfile.TemporaryDirectory(prefix="fidelity-", dir=default_cache()) as scratch:
        rpms = sorted(full.path.glob("*.rpm"))
        started = time.monotonic()
        found = compare_all(rpms, Path(scratch))
    print(f"\nfull, {time.monotonic() - started:.0f} s: {found.report()}")
    assert found.differences == []
    assert found.packages == len(rpms)


# --- the comparison fails where it should -------------------------------------------------------

# What Debian and the synthetic packages lack.
ODD = RpmSpec(
    "odd",
    epoch=3,
    arch="noarch",
    files=(
        FileSpec("/boot/odd/conf", b"boot"),
        FileSpec("/etc/odd.conf", b"a=b\n", 0o640, group="odd", config=True),
        FileSpec.directory("/opt/odd", 0o755),
        FileSpec("/opt/odd/run", b"run", 0o755),
        FileSpec.symlink("/opt/odd/out", "../../usr/bin/odd"),
        FileSpec.symlink("/opt/odd/in", "../odd/run"),
        FileSpec.symlink("/boot/odd/out", "../../usr/bin/odd"),
        FileSpec.directory("/run/odd", 0o1777, "odd", "odd"),
        FileSpec("/usr/bin/odd", b"suid and more", 0o6755, "odd", "odd"),
        FileSpec("/usr/bin/odd-raw", b"caps", 0o755, "root", "odd", capabilities="cap_net_raw=ep"),
        FileSpec.hardlink("/usr/libexec/odd/raw", "/usr/bin/odd-raw"),
        FileSpec.hardlink("/var/lib/odd/raw", "/usr/bin/odd-raw"),
        FileSpec.directory("/usr/share/odd", 0o2775, "root", "odd"),
        replace(FileSpec.symlink("/usr/share/odd/link", "no where"), user="odd", group="odd"),
        FileSpec("/usr/share/odd/a b'c\"d", b"name", 0o4),
        FileSpec("/usr/share/odd/\u00e4\\", b"", 0o0, "odd"),
        FileSpec("/usr/share/odd/two\nlines\r", b"line", 0o640, "odd"),
        FileSpec.symlink("/etc/odd\nlink", "to\nwhere"),
        FileSpec.directory("/var/lib/odd", 0o750, "odd", "odd"),
        FileSpec("/var/lib/odd/seed", b"seed", 0o600, "odd", "odd"),
        FileSpec.symlink("/var/lib/odd/link", "../seed"),
        FileSpec("/var/log/odd.log", ghost=True),
    ),
)


@dataclass(frozen=True)
class Small:
    """A few packages on both sides."""

    root: Path
    store: OstreeStore
    accounts: Accounts
    trees: Mapping[PackageHeader, Tree]

    def compare(
        self, root: Path | None = None, trees: Mapping[PackageHeader, Tree] | None = None
    ) -> Comparison:
        """What differs, with another root or other trees where they are given."""
        found = Comparison()
        sides = (trees or self.trees, self.accounts, found, TreeReader(self.store))
        compare_root(root or self.root, self.store, self.trees, *sides)
        return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    scratch = tmp_path_factory.mktemp("small")
    demo = ensure_demo()
    names = ("demo-daemon", "demo-lib", "demo-links", "demo-ping")
    rpms = [path for name in names for path in sorted(demo.path.glob(f"{name}-*.rpm"))]
    headers = {path: read_header(path) for path in (*rpms, write_rpm(ODD, scratch))}
    assert len(headers) == len(names) + 1
    accounts = accounts_for(headers.values())
    store = OstreeStore.create(scratch / "store")
    trees = bring_in(store, accounts, headers)
    (part,) = batches(headers)
    install(scratch / "root", accounts, list(part))
    return Small(scratch / "root", store, accounts, trees)


def test_both_sides_are_alike_before_anything_is_changed(small: Small) -> None:
    found = small.compare()
    assert found.differences == []
    assert found.hardlinks == 2


def test_paths_that_lie_elsewhere_are_listed(small: Small) -> None:
    moves = small.compare().moves
    assert {(path, where) for _, path, where in moves if path.endswith("/out")} == {
        ("/boot/odd/out", "/usr/lib/ostree-boot/odd/out"),
        ("/boot/odd/out", "/usr/bin/odd"),
        ("/opt/odd/out", "/usr/lib/opt/odd/out"),
        ("/opt/odd/out", "/usr/bin/odd"),
    }
    assert {p: where for _, p, where in moves if "odd" in p and not p.endswith("/out")} == {
        "/boot/odd/conf": "/usr/lib/ostree-boot/odd/conf",
        "/etc/odd.conf": "/usr/etc/odd.conf",
        "/etc/odd\nlink": "/usr/etc/odd\nlink",
        "/opt/odd": "/usr/lib/opt/odd",
        "/opt/odd/run": "/usr/lib/opt/odd/run",
        "/opt/odd/in": "/usr/lib/opt/odd/in",
        "/run/odd": "/run/odd, at boot",
        "/var/lib/odd": "/var/lib/odd, at boot",
        "/var/lib/odd/link": "/var/lib/odd/link, at boot",
        "/var/lib/odd/raw": "/usr/share/factory/var/lib/odd/raw",
        "/var/lib/odd/seed": "/usr/share/factory/var/lib/odd/seed",
        "/var/log/odd.log": "nowhere",
    }
    assert all(why for why, _, _ in moves)


def relink(path: Path) -> None:
    """Makes a further name of a file a file of its own."""
    copy = path.with_name("copy")
    subprocess.run(["cp", "-a", path, copy], check=True)
    copy.replace(path)


def retarget(path: Path) -> None:
    """Makes a link lead elsewhere, its owner as it was."""
    status = path.lstat()
    path.unlink()
    path.symlink_to("elsewhere")
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


# What is done to rpm's side, where, and what the comparison says of it, as a beginning.
ON_DISK: tuple[tuple[str, Callable[[Path], object], str], ...] = (
    ("usr/share/demo-daemon/key", lambda p: os.chown(p, 0, -1), "uid: 0 by rpm, 1000 by us"),
    ("usr/share/demo-daemon/key", lambda p: os.chown(p, -1, 0), "gid: 0 by rpm, 2000 by us"),
    ("usr/share/odd/link", lambda p: os.lchown(p, 0, -1), "uid: 0 by rpm, 1001 by us"),
    ("usr/share/odd", lambda p: os.chown(p, -1, 0), "gid: 0 by rpm, 2001 by us"),
    ("var/lib/odd", lambda p: os.chown(p, 0, -1), "Entry"),
    ("var/lib/odd/link", retarget, "Entry"),
    ("var/lib/odd/seed", lambda p: p.chmod(0o644), "mode: 0o644 by rpm, 0o600 by us"),
    ("run/odd", lambda p: p.chmod(0o777), "Entry"),
    ("usr/bin/demo-whoami", lambda p: p.chmod(0o755), "mode: 0o755 by rpm, 0o4755 by us"),
    ("usr/share/demo-daemon", lambda p: p.chmod(0o755), "mode: 0o755 by rpm, 0o750 by us"),
    (
        "usr/bin/demo-ping",
        lambda p: os.setxattr(p, CAPABILITY, parse_capabilities("cap_kill=ep")),
        "capabilities: 0100000220000000",
    ),
    ("usr/bin/demo-ping", lambda p: os.removexattr(p, CAPABILITY), "capabilities:  by rpm, 01"),
    ("usr/share/demo-links/relative", retarget, "target: elsewhere by rpm, ../../lib"),
    ("usr/bin/demo-lib-cp", lambda p: p.write_bytes(b"\0" + p.read_bytes()[1:]), "digest: "),
    ("usr/bin/demo-links", relink, "one file: 2 by rpm, 1 by us"),
    ("usr/bin/odd-raw", relink, "one file: 2 by rpm, 1 by us"),
    ("usr/share/demo-links/dangling", Path.unlink, "rpm has not installed it"),
    ("usr/share/demo-links/more", Path.touch, "rpm made it, and no package lists it"),
)


@pytest.mark.parametrize(("path", "damage", "said"), ON_DISK)
def test_one_change_of_what_rpm_installed_is_seen(
    small: Small, tmp_path: Path, path: str, damage: Callable[[Path], object], said: str
) -> None:
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", small.root, root], check=True)
    damage(root / path)
    differences = small.compare(root=root).differences
    assert f"/{path}: {said}" in differences[0]
    # The attributes of a file in /var stand in a line of tmpfiles.d as well.
    assert len(differences) == 1 + path.endswith("seed")


Edit = Callable[[ObjectStore, TreeEditor], object]


def changed(path: str, change: Callable[[FileAttributes], FileAttributes]) -> Edit:
    """A file or link with something else beside its content."""

    def edit(store: ObjectStore, editor: TreeEditor) -> None:
        checksum = editor.file(path)
        assert checksum
        found = store.read_file_attributes(checksum)
        content = b"" if found.target else store.open_file(checksum).read()
        assert change(found) != found
        editor.put_file(path, store.write_file(change(found), [content]))

    return edit


def with_other_byte(path: str) -> Edit:
    """A file whose content begins otherwise."""

    def edit(store: ObjectStore, editor: TreeEditor) -> None:
        checksum = editor.file(path)
        assert checksum
        content = b"\0" + store.open_file(checksum).read()[1:]
        editor.put_file(path, store.write_file(store.read_file_attributes(checksum), [content]))

    return edit


def changed_directory(path: str, **changes: int) -> Edit:
    """A directory with other attributes."""

    def edit(store: ObjectStore, editor: TreeEditor) -> None:
        found = store.read_directory_attributes(editor.directory_attributes(path) or "")
        attributes = replace(found, **changes)  # type: ignore[arg-type]
        editor.put_directory(path, store.write_directory_attributes(attributes))

    return edit


IN_TREE: tuple[tuple[str, Edit, str], ...] = (
    (
        "demo-daemon",
        changed("usr/share/demo-daemon/key", lambda f: replace(f, uid=0)),
        "/usr/share/demo-daemon/key: uid: 1000 by rpm, 0 by us",
    ),
    (
        "odd",
        changed("usr/share/odd/link", lambda f: replace(f, gid=0)),
        "/usr/share/odd/link: gid: 2001 by rpm, 0 by us",
    ),
    (
        "odd",
        changed_directory("usr/share/odd", gid=0),
        "/usr/share/odd: gid: 2001 by rpm, 0 by us",
    ),
    (
        "demo-daemon",
        changed_directory("usr/share/demo-daemon", mode=0o040755),
        "/usr/share/demo-daemon: mode: 0o750 by rpm, 0o755 by us",
    ),
    (
        "demo-ping",
        changed("usr/bin/demo-whoami", lambda f: replace(f, mode=0o100755)),
        "/usr/bin/demo-whoami: mode: 0o4755 by rpm, 0o755 by us",
    ),
    (
        "demo-ping",
        changed("usr/bin/demo-ping", lambda f: replace(f, xattrs=())),
        "/usr/bin/demo-ping: capabilities: 0100000200200000000000000000000000000000 by rpm,  by us",
    ),
    (
        "demo-links",
        changed("usr/share/demo-links/dangling", lambda f: replace(f, target="elsewhere")),
        "/usr/share/demo-links/dangling: target: nowhere by rpm, elsewhere by us",
    ),
    ("demo-lib", with_other_byte("usr/bin/demo-lib-cp"), "/usr/bin/demo-lib-cp: digest: "),
    (
        "demo-links",
        # The same to the eye, and another object.
        changed("usr/lib/demo-links/data", lambda f: replace(f, xattrs=((b"user.x", b"y"),))),
        "/usr/bin/demo-links: one file: 1 by rpm, 2 by us",
    ),
    (
        "odd",
        changed("usr/share/factory/var/lib/odd/seed", lambda f: replace(f, uid=0)),
        "/var/lib/odd/seed: uid: 1001 by rpm, 0 by us",
    ),
    (
        "demo-links",
        lambda _, editor: editor.remove("usr/etc/demo-links"),
        "/etc/demo-links: is not in the tree at /usr/etc/demo-links",
    ),
    (
        "demo-links",
        lambda store, editor: editor.put_file(
            "usr/lib/demo-links/more", store.write_file(FileAttributes())
        ),
        "/usr/lib/demo-links/more: rpm has no such path",
    ),
    (
        "odd",
        lambda store, editor: editor.put_file(
            "usr/lib/tmpfiles.d/zz-layer-odd.conf",
            store.write_file(FileAttributes(), [b"d /run/odd 1777 odd odd\n"]),
        ),
        "/var/lib/odd: no line of tmpfiles.d makes /var/lib/odd",
    ),
)


@pytest.mark.parametrize(
    ("name", "edit", "said"), IN_TREE, ids=[said.partition(" ")[0] for _, _, said in IN_TREE]
)
def test_one_change_of_what_we_imported_is_seen(
    small: Small, name: str, edit: Edit, said: str
) -> None:
    trees = dict(small.trees)
    (header,) = (h for h in trees if h.nevra.name == name)
    with small.store.transaction():
        editor = TreeEditor(small.store, trees[header])
        edit(small.store, editor)
        trees[header] = editor.write()
    differences = small.compare(trees=trees).differences
    assert differences[0].removeprefix(f"{header.nevra}: ").startswith(said), differences
    assert len(differences) == 1 or "tmpfiles.d" in said
