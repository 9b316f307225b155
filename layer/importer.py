"""From an RPM file to a commit of its own in the store. No scriptlet is run, nothing unpacked."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from layer import spans
from layer.errors import InvalidInput, LayerError, PackageRefused, StoreError
from layer.ids import SYSUSERS, provided_sysusers
from layer.interrupts import uninterrupted
from layer.layout import (
    HEADERS,
    Placement,
    declared_paths,
    is_tmpfiles_configuration,
    link_target,
    place,
    tmpfiles_path,
)
from layer.model import (
    DirectoryAttributes,
    FileAttributes,
    Nevra,
    Owner,
    Package,
    PackageFile,
    PackageHeader,
    PackageTree,
)
from layer.rpmfile.capabilities import XATTR, parse_capabilities
from layer.rpmfile.header import parse_header
from layer.store.contract import ObjectStore
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree, lookup
from layer.words import shown

if TYPE_CHECKING:
    from concurrent.futures import Future

SCHEMA = 3  # of the commit's metadata, and of how a package becomes a tree
_MOST_THREADS = 4  # each holds the beginning of a file in memory
_LARGEST_CONFIGURATION = 1 << 20  # bytes of a tmpfiles.d file; more is not read


def import_package(
    store: ObjectStore, path: Path, header: PackageHeader, *, checksum: str
) -> PackageTree:
    """Stores the package's tree as a commit under its ref; to be called in a transaction.

    A function of the RPM file alone, whose SHA-256 is `checksum`. PackageRefused names
    everything that the package wants and may not have.
    """
    return _import(store, path, header, checksum, Event())


def import_packages(
    store: ObjectStore, packages: Iterable[tuple[Path, PackageHeader, str]]
) -> tuple[PackageTree, ...]:
    """Imports each as `import_package` does, several at once; gives the trees in the same order.

    A package is asked for when a thread is free for it, so that a generator's headers need not
    be in memory together. Of several that are refused the first in order is raised. All threads
    have ended when this returns or raises, Ctrl-C included.
    """
    # With the logging that it brings it takes longer to load than a plan has to spare.
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    stop = Event()
    imports: list[Future[PackageTree]] = []
    pool = ThreadPoolExecutor(threads, "import")
    try:
        running: set[Future[PackageTree]] = set()
        for path, header, checksum in packages:
            imports.append(pool.submit(_import, store, path, header, checksum, stop))
            running.add(imports[-1])
            if len(running) > threads:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                _results(done)
        spans.tally("packages unpacked", len(imports))
        return _results(imports)
    except LayerError:
        _results(imports)  # the failure of an earlier package goes first
        raise
    finally:
        stop.set()
        with uninterrupted():
            pool.shutdown(cancel_futures=True)


def find_package(store: ObjectStore, checksum: str) -> PackageTree | None:
    """The package that was imported from the file with that SHA-256, or None."""
    found = store.find_commit(_ref(checksum)) if checksum else None
    if found is None:
        return None
    commit = store.read_commit(found)
    if commit.metadata.get("layer.schema") != str(SCHEMA):
        return None  # by another version of the rules: to be imported again
    try:
        if commit.metadata["layer.checksum"] != checksum:
            raise InvalidInput("it is of another file")
        nevra = Nevra.parse(str(commit.metadata["layer.nevra"]))
        owners = tuple(Owner(*row) for row in json.loads(str(commit.metadata["layer.owners"])))
    except (KeyError, ValueError, TypeError, RecursionError, InvalidInput) as error:
        raise StoreError(
            f"the imported package {found} is not what its ref says: {error}",
            f"delete the ref {_ref(checksum)}; the package is then imported again",
        ) from error
    return PackageTree(nevra, checksum, found, commit.root, owners)


def read_package_notes(store: ObjectStore, tree: PackageTree) -> tuple[str, ...]:
    """What a person should know of where the package's files went."""
    return tuple(json.loads(str(store.read_commit(tree.commit).metadata["layer.notes"])))


def read_package_blob(store: ObjectStore, tree: PackageTree) -> bytes:
    """The package's lead, signature and header, byte for byte."""
    checksum = lookup(store, tree.root, _header_path(tree.nevra))
    if not isinstance(checksum, str):
        raise StoreError(f"the imported package {tree.commit} has no header in it")
    with store.open_file(checksum) as content:
        return content.read()


def read_package_header(store: ObjectStore, tree: PackageTree) -> PackageHeader:
    """What the package says of itself."""
    return parse_header(read_package_blob(store, tree), str(tree.nevra))


def remember_sources(store: OstreeStore, packages: Iterable[Package]) -> None:
    """Notes beside imported packages where they came from; no part of their commits."""
    for package in packages:
        imported = find_package(store, package.checksum)
        if imported is not None:
            values = {
                "layer.repository": package.repository,
                "layer.location": package.location,
                "layer.size": str(package.size),
                "layer.installed-size": str(package.installed_size),
            }
            known = store.read_detached_metadata(imported.commit)
            store.write_detached_metadata(imported.commit, {**known, **values})


def read_package_source(store: OstreeStore, tree: PackageTree) -> Package:
    """The package as its repository offered it; without a location where nobody noted it."""
    known = store.read_detached_metadata(tree.commit)
    return Package(
        nevra=tree.nevra,
        checksum=tree.checksum,
        size=int(known.get("layer.size", "0")),
        installed_size=int(known.get("layer.installed-size", "0")),
        repository=known.get("layer.repository", ""),
        location=known.get("layer.location", ""),
    )


def _ref(checksum: str) -> str:
    return f"layer/pkg/{checksum}"


def _header_path(nevra: Nevra) -> str:
    return f"{HEADERS}/{nevra}.rpm"


class _Stopped(Exception):
    """Ends a thread whose work nobody wants any more; seen by nobody."""


def _results(imports: Iterable[Future[PackageTree]]) -> tuple[PackageTree, ...]:
    """What came of them; raises the first failure, in their order."""
    return tuple(found.result() for found in imports)


def _import(
    store: ObjectStore, path: Path, header: PackageHeader, checksum: str, stop: Event
) -> PackageTree:
    placement = place(header)
    if placement.refused:
        raise PackageRefused("\n".join(placement.refused))
    written = _Import(store, header, placement, stop)
    written.read(path, checksum)
    return written.commit(checksum)


class _Import:
    """A package's tree while it is being written."""

    def __init__(
        self, store: ObjectStore, header: PackageHeader, placement: Placement, stop: Event
    ) -> None:
        self._store = store
        self._header = header
        self._placement = placement
        self._stop = stop
        self._places = {id(file.source): file.path for file in placement.files}
        self._editor = TreeEditor(store, empty_tree(store))
        self._declared: set[str] = set()

    def read(self, path: Path, checksum: str) -> None:
        """Stores all content, which is checked on the way."""
        from layer.rpmfile.payload import read_payload  # no plan has a use for it

        for file in read_payload(path, self._header, checksum):
            source = file.files[0]
            places = [self._places[n] for n in map(id, file.files) if n in self._places]
            if not places:
                continue  # tmpfiles.d makes it
            if stat.S_ISDIR(source.mode):
                self._put_directory(places[0], source)
                continue
            chunks = self._until_stopped(file.chunks)
            if any(map(is_tmpfiles_configuration, places)):
                chunks = self._noting_declared(source, chunks)
            written = self._store.write_file(self._attributes(source), chunks)
            for where in places:
                self._editor.put_file(where, written)

    def commit(self, checksum: str) -> PackageTree:
        """Adds what layer itself puts into the tree, and makes the commit."""
        nevra = self._header.nevra
        placement = self._placement
        if self._declared:
            placement = place(self._header, frozenset(self._declared))
        if placement.tmpfiles:
            lines = placement.tmpfiles.encode()
            self._put_file(tmpfiles_path(nevra.name), lines)
        self._put_provided_accounts()
        self._put_file(_header_path(nevra), self._header.blob)
        root = self._editor.write()
        commit = self._store.write_commit(
            root,
            parent=None,
            timestamp=self._header.build_time,
            subject=str(nevra),
            metadata={
                "layer.schema": str(SCHEMA),
                "layer.nevra": str(nevra),
                "layer.checksum": checksum,
                "layer.owners": _canonical(
                    [o.path, o.user, o.group] for o in sorted(placement.owners)
                ),
                "layer.notes": _canonical(sorted(placement.notes)),
            },
        )
        self._store.set_ref(_ref(checksum), commit)
        return PackageTree(nevra, checksum, commit, root, tuple(sorted(placement.owners)))

    def _put_provided_accounts(self) -> None:
        """What rpm's provides say of users, where no sysusers.d file of the package does."""
        if self._editor.directory_attributes(SYSUSERS) is not None:
            return
        nevra = self._header.nevra
        lines = provided_sysusers(self._header.provides, str(nevra))
        if lines:
            self._put_file(f"{SYSUSERS}/zz-layer-{nevra.name}.conf", lines.encode())

    def _put_directory(self, where: str, source: PackageFile) -> None:
        attributes = DirectoryAttributes(mode=source.mode)
        self._editor.put_directory(where, self._store.write_directory_attributes(attributes))

    def _put_file(self, where: str, content: bytes) -> None:
        self._editor.put_file(where, self._store.write_file(FileAttributes(), [content]))

    def _attributes(self, source: PackageFile) -> FileAttributes:
        if stat.S_ISLNK(source.mode):
            return FileAttributes(mode=0o120777, target=link_target(source))
        return FileAttributes(mode=source.mode, xattrs=self._xattrs(source))

    def _xattrs(self, source: PackageFile) -> tuple[tuple[bytes, bytes], ...]:
        if not source.capabilities:
            return ()
        try:
            return ((XATTR, parse_capabilities(source.capabilities)),)
        except InvalidInput as error:
            raise PackageRefused(
                f"{self._header.nevra}: {shown(source.path)}: {shown(error.message)}"
            ) from error

    def _until_stopped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        if self._stop.is_set():
            raise _Stopped
        for chunk in chunks:
            if self._stop.is_set():
                raise _Stopped
            yield chunk

    def _noting_declared(self, source: PackageFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks, and on the way what the file declares to systemd-tmpfiles."""
        if source.size > _LARGEST_CONFIGURATION:
            raise PackageRefused(
                f"{self._header.nevra}: {shown(source.path)}: is too large a configuration file"
            )
        read = []
        for chunk in chunks:
            read.append(chunk)
            yield chunk
        self._declared |= declared_paths(b"".join(read).decode("utf-8", "replace"))


def _canonical(values: Iterable[str | list[str]]) -> str:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
