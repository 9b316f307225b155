"""What scriptlets would have done, as declarations in the tree: users, directories, links.

The audit reads the scriptlets and decides; here what it found is written. It is done anew
for each tree, so that an import depends on the RPM alone.
"""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from layer import alternatives, ids, tmpfiles
from layer.audit.package import audit_of
from layer.audit.verdict import Alternative, Mode, Rewrites, Settings
from layer.copies import Copies
from layer.frozen import dataclass
from layer.importer import read_package_header
from layer.layout import is_root, tmpfiles_path
from layer.model import FileAttributes, Owner, PackageTree, Tree
from layer.offers import BaseOffers, read_offers
from layer.paths import tree_paths, user_path
from layer.rpmfile.capabilities import XATTR, parse_capabilities
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.trees import TreeEditor

_NAME = "scriptlets-{}"  # of the generated files, in place of a package's own name
_BITS = 0o7777
# The first line that names a unit decides: before a distribution's own, which begin with 90.
_PRESET = "usr/lib/systemd/{}-preset/89-layer-{}.preset"
_SCOPES = ("system", "user")
_SHELLS = "usr/etc/shells"
_VARIABLE = re.compile(rb"^([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Linked:
    """A tree with the links of scriptlets, the paths written, and what came of none."""

    tree: Tree
    written: tuple[str, ...]
    notes: tuple[str, ...]


def read_rewrites(store: ObjectStore, packages: Sequence[PackageTree]) -> tuple[Rewrites, ...]:
    """What the scriptlets of each package declare."""
    return tuple(audit_of(read_package_header(store, p)).rewrites for p in packages)


def generated_paths(package: str) -> tuple[str, ...]:
    """The files that may stand for what scriptlets of a package of that name declare."""
    name = _NAME.format(package)
    presets = (_PRESET.format(scope, name) for scope in _SCOPES)
    return (f"{ids.SYSUSERS}/zz-layer-{name}.conf", tmpfiles_path(name), *presets)


def declared_files(package: str, rewrites: Rewrites) -> tuple[str, ...]:
    """Those of them that these declarations of a package of that name take."""
    rows = (rewrites.sysusers, rewrites.tmpfiles, *(_presets(rewrites, s) for s in _SCOPES))
    paths = zip(generated_paths(package), rows, strict=True)
    return tuple(path for path, lines in paths if lines)


def rewritten(
    store: ObjectStore, package: PackageTree, rewrites: Rewrites, copies: Copies
) -> PackageTree:
    """The imported package with the accounts, lines, presets and attributes of its scriptlets."""
    name = _NAME.format(package.nevra.name)
    made = tmpfiles.declared_paths(_own_tmpfiles(store, package))
    lines = [line for line in rewrites.tmpfiles if not tmpfiles.declared_paths(line) & made]
    texts = {
        f"{ids.SYSUSERS}/zz-layer-{name}.conf": rewrites.sysusers,
        tmpfiles_path(name): tuple(lines),
        **{_PRESET.format(scope, name): _presets(rewrites, scope) for scope in _SCOPES},
    }
    root = write_text(
        store,
        package.root,
        {p: "".join(f"{line.rstrip()}\n" for line in rows) for p, rows in texts.items() if rows},
    )
    editor = TreeEditor(store, root)
    owners = {owner.path: owner for owner in package.owners}
    for mode in rewrites.modes:
        _put_mode(store, editor, owners, mode, copies)
    for path, text in rewrites.capabilities:
        _put_capability(store, editor, path, text, copies)
    return replace(package, root=editor.write(), owners=tuple(sorted(owners.values())))


def _presets(rewrites: Rewrites, scope: str) -> tuple[str, ...]:
    return tuple(f"disable {unit}" for where, unit in rewrites.disabled if where == scope)


def link(
    store: ObjectStore,
    base: Tree,
    tree: Tree,
    rewrites: Sequence[Rewrites],
    withdrawn: Sequence[Alternative] = (),
) -> Linked:
    """The merged tree with its packages' links and alternatives.

    A link gives way to whatever a package brought at its path. Where nothing says what the base's
    packages offer, and with which priority, the links of its alternatives stay. `withdrawn` is
    offered no longer.
    """
    editor = TreeEditor(store, tree)
    work = _Links(store, editor)
    for path, target in sorted({pair for item in rewrites for pair in item.links}):
        work.put(path, target)
    work.add_shells(sorted({path for item in rewrites for path in item.shells}))
    for settings in sorted({one for item in rewrites for one in item.settings}, key=_by_template):
        work.fill(settings)
    ours = [offer for item in rewrites for offer in item.alternatives]
    if ours or withdrawn:
        work.choose(ours, read_offers(store, base, [*ours, *withdrawn]), withdrawn)
    return Linked(editor.write(), tuple(sorted(work.written)), tuple(sorted(work.notes)))


class _Links:
    """The editor, and what was done with it."""

    def __init__(self, store: ObjectStore, editor: TreeEditor) -> None:
        self.written: set[str] = set()
        self.notes: set[str] = set()
        self._store = store
        self._editor = editor

    def choose(
        self,
        ours: Sequence[Alternative],
        base: BaseOffers,
        withdrawn: Sequence[Alternative],
    ) -> None:
        """Puts the links of all alternatives, and removes those that nothing is behind any more."""
        present = [offer for offer in base.offers if offer not in withdrawn]
        offers = [*present, *ours]
        kept = self._kept(ours, base)
        open_ = [offer for offer in map(partial(_without, kept), offers) if offer]
        chosen = alternatives.choose(open_, self._exists, present)
        leads = {alternatives.FOLDER + "/" + c.name for c in chosen}
        for name, links in alternatives.names_of(base.offers).items():
            if f"{alternatives.FOLDER}/{name}" not in leads and name not in kept:
                for path in (*links, f"{alternatives.FOLDER}/{name}"):
                    self._remove_ours(path, name)
        mine = alternatives.names_of(ours)
        for choice in chosen:
            middle = f"{alternatives.FOLDER}/{choice.name}"
            # What the base has in place of its own links no layer is concerned with.
            if self._put_link(choice.link, middle, is_told=choice.name in mine):
                self._replace(middle, choice.path)
        text = alternatives.format_record(offers).encode()
        self._editor.put_file(alternatives.RECORD, self._store.write_file(FileAttributes(), [text]))
        self.written.add(alternatives.RECORD)

    def _kept(self, ours: Sequence[Alternative], base: BaseOffers) -> frozenset[str]:
        """The names that stay as the base has them, as long as these lead to something."""
        kept = {name for name in base.kept if self._exists(f"{alternatives.FOLDER}/{name}")}
        for offer in ours:
            if offer.name in kept:
                self.notes.add(
                    f"{offer.link} is left to the base, {base.kept[offer.name]}: "
                    f"it does not lead to {offer.path}"
                )
        return frozenset(kept)

    def add_shells(self, paths: Sequence[str]) -> None:
        """Lists login shells that are not listed yet, shells(5)."""
        present = self._editor.file(_SHELLS)
        text = b""
        attributes = FileAttributes()
        if present is not None:
            attributes = self._store.read_file_attributes(present)
            with self._store.open_file(present) as content:
                text = content.read()
        new = [path for path in paths if path.encode() not in text.split(b"\n")]
        if new:
            head = text if not text or text.endswith(b"\n") else text + b"\n"
            added = "".join(f"{path}\n" for path in new).encode()
            self._editor.put_file(_SHELLS, self._store.write_file(attributes, [head + added]))
            self.written.add(_SHELLS)

    def fill(self, settings: Settings) -> None:
        """A copy of the template, or what the file lacks of it."""
        template = self._editor.file(_tree_path(settings.template)) if settings.template else None
        where = _tree_path(settings.path)
        present = self._editor.lookup(where)
        if isinstance(present, Tree):
            self.notes.add(f"{user_path(where)} is a directory; it gets no settings")
            return
        text = b"" if template is None else self._read(template)
        attributes = FileAttributes()
        if settings.whole:
            if present is not None or (settings.template and template is None):
                return
            mode = 0o100644
            if template is not None:
                mode = self._store.read_file_attributes(template).mode
            attributes = FileAttributes(mode=mode)
        elif present is not None:
            attributes = self._store.read_file_attributes(present)
            before = b"" if attributes.target else self._read(present)
            text = before + missing_settings(before, text)
            if attributes.target or text == before:
                return
        self._editor.put_file(where, self._store.write_file(attributes, [text]))
        self.written.add(where)

    def _read(self, checksum: str) -> bytes:
        with self._store.open_file(checksum) as content:
            return content.read()

    def put(self, path: str, target: str) -> None:
        """A link where nothing is yet."""
        self._put_link(path, target)

    def _put_link(self, path: str, target: str, *, is_told: bool = True) -> bool:
        """Whether the path now leads to the target; a note may tell where it does not."""
        where = _tree_path(path)
        present = self._editor.lookup(where)
        if isinstance(present, Tree) or (present and not self._leads(path, present, target)):
            if is_told:
                self.notes.add(f"{user_path(where)} is there already; it is not made a link")
            return False
        if present is None:
            self._replace(path, target)
        return True

    def _replace(self, path: str, target: str) -> None:
        where = _tree_path(path)
        attributes = FileAttributes(mode=0o120777, target=target)
        self._editor.put_file(where, self._store.write_file(attributes))
        self.written.add(where)

    def _remove_ours(self, path: str, name: str) -> None:
        where = _tree_path(path)
        present = self._editor.file(where)
        middle = f"{alternatives.FOLDER}/{name}"
        if present and (path == middle or self._leads(path, present, middle)):
            self._editor.remove(where)

    def _leads(self, path: str, present: str, target: str) -> bool:
        """Whether a link at an absolute path is one to a target, be it written relative."""
        written = self._target(present)
        return bool(written) and target in (written, _joined(path, written))

    def _target(self, checksum: str) -> str:
        return self._store.read_file_attributes(checksum).target

    def _exists(self, path: str) -> bool:
        """Whether a path of the tree leads to something, through links in the tree."""
        for _ in range(8):
            present = self._editor.lookup(_tree_path(path))
            target = self._target(present) if isinstance(present, str) else ""
            if not target:
                return present is not None
            path = _joined(path, target)
        return False


def _joined(path: str, target: str) -> str:
    """Where a link at a path leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def missing_settings(present: bytes, template: bytes) -> bytes:
    """The variables of a template that a file of settings lacks, each with its comments."""
    known = set(_VARIABLE.findall(present))
    added: list[bytes] = []
    block: list[bytes] = []
    for line in template.splitlines(keepends=True):
        block.append(line)
        found = _VARIABLE.match(line)
        if found:
            added += block if found[1] not in known else []
            block = []
    head = b"\n" if added and present and not present.endswith(b"\n") else b""
    return head + b"".join(added)


def _by_template(settings: Settings) -> tuple[str, bool, str]:
    """Empty files last, so that templates make them what they are."""
    return (settings.path, not settings.template, settings.template)


def _tree_path(path: str) -> str:
    """Where an absolute path lies in a tree."""
    found = tree_paths(posixpath.normpath(path))
    return found[-1] if found else path[1:]


def _without(names: frozenset[str], offer: Alternative) -> Alternative | None:
    """What is left of an offer where nothing is to be done for these names."""
    if offer.name in names:
        return None
    slaves = tuple(slave for slave in offer.slaves if slave[1] not in names)
    return replace(offer, slaves=slaves)


def _own_tmpfiles(store: ObjectStore, package: PackageTree) -> str:
    return read_text(store, package.root, tmpfiles_path(package.nevra.name))


def _put_mode(
    store: ObjectStore,
    editor: TreeEditor,
    owners: dict[str, Owner],
    mode: Mode,
    copies: Copies,
) -> None:
    where = _tree_path(mode.path)
    present = editor.file(where)
    if present is None:
        return
    if mode.mode is not None:
        there = store.read_file_attributes(present)
        changed = replace(there, mode=(there.mode & ~_BITS) | mode.mode)
        if stat.S_ISREG(there.mode) and changed != there:
            editor.put_file(where, copies.of(present, changed))
    if mode.user or mode.group:
        now = owners.get(where, Owner(where, "root", "root"))
        new = Owner(where, mode.user or now.user, mode.group or now.group)
        if is_root(new.user) and is_root(new.group):
            owners.pop(where, None)
        else:
            owners[where] = new


def _put_capability(
    store: ObjectStore, editor: TreeEditor, path: str, text: str, copies: Copies
) -> None:
    where = _tree_path(path)
    present = editor.file(where)
    if present is None:
        return
    there = store.read_file_attributes(present)
    others = [pair for pair in there.xattrs if pair[0] != XATTR]
    xattrs = tuple(sorted([*others, (XATTR, parse_capabilities(text))]))
    changed = replace(there, xattrs=xattrs)
    if stat.S_ISREG(there.mode) and changed != there:
        editor.put_file(where, copies.of(present, changed))
