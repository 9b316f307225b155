"""The object store in OSTree: a bare repository, where files keep owner, mode and attributes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from layer.errors import StoreError
from layer.model import Commit, Directory, DirectoryAttributes, FileAttributes, Tree
from layer.store.checked import CheckedFile, check_object, is_same_file
from layer.store.commits import WaitingCommits, commit_variant
from layer.store.dirtree import parse_directory, serialize_directory
from layer.store.gobject import Gio, GLib, OSTree, interruptible, translated
from layer.store.spool import Spool
from layer.store.staging import empty_staging, is_staging_empty, staged_bytes
from layer.store.variants import as_variant, big_endian, file_header, xattr_pairs, xattrs_as_variant

_SMALL = 1 << 16  # bytes
_CHUNK = 1 << 20
_AT_FDCWD = -100  # openat(2): paths are those of this process
_DIRECTORY = GLib.VariantType("(a(say)a(sayay))")
_ATTRIBUTES = "(uuua(ayay))"


class OstreeStore:
    """An OSTree repository of mode `bare`, as every sysroot has it. Implements `ObjectStore`."""

    def __init__(self, repo: Any, path: Path) -> None:
        self.repo = repo  # libostree's own object, for this room alone
        self._objects = path / "objects"
        self._waiting = WaitingCommits(repo)
        self._directories: dict[str, Directory] = {}
        self._attributes: dict[DirectoryAttributes, str] = {}
        self._counted: int | None = None  # bytes; None where nobody counts
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """The repository at `path`; StoreError where there is none or its mode is another."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        with translated(f"{path} is not an OSTree repository"):
            repo.open(None)
        return cls.adopt(repo, path)

    @classmethod
    def adopt(cls, repo: Any, path: Path) -> Self:
        """Takes an open `OSTree.Repo`; StoreError where its mode is not `bare`."""
        if repo.get_mode() != OSTree.RepoMode.BARE:
            raise StoreError(
                f"{path} is not a bare repository",
                "layered files need owners and attributes, which only mode=bare keeps",
            )
        return cls(repo, path.resolve())

    @classmethod
    def create(cls, path: Path) -> Self:
        """Makes a new bare repository at `path`, or opens the one that is there."""
        path.mkdir(parents=True, exist_ok=True)
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        with translated(f"cannot create a repository at {path}"):
            repo.create(OSTree.RepoMode.BARE, None)
        return cls.open(path)

    @classmethod
    def create_over(cls, store: OstreeStore, path: Path) -> Self:
        """A new repository at `path` that any user may pull into; the rest is read from `store`."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        with translated(f"cannot create a repository at {path}"):
            repo.create(OSTree.RepoMode.ARCHIVE, None)
            config = repo.copy_config()
            config.set_string("core", "parent", str(store.path))
            repo.write_config(config)
            repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
            repo.open(None)
        return cls(repo, path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes inside it become durable at its end; an exception abandons them.

        Commits come after all that they consist of, and refs last.
        """
        with translated("cannot begin a transaction"):
            self.repo.prepare_transaction(None)
        try:
            yield
            if self._counted is not None:
                self._counted += staged_bytes(self.path) + self._waiting.new_bytes()
            has_objects = not is_staging_empty(self.path)
            if not has_objects:
                with translated("cannot end the transaction"):
                    self.repo.abort_transaction(None)
            self._waiting.write(has_objects=has_objects)
        except BaseException:
            empty_staging(self.path)
            raise
        finally:
            # After a commit this does nothing; after an exception, Ctrl-C included, it abandons.
            with suppress(GLib.Error):  # the disk that failed then may fail again
                self.repo.abort_transaction(None)
            self._waiting.forget()
            self._directories.clear()
            self._attributes.clear()

    @contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """Gives what counts the bytes in blocks of all objects that are new since."""
        before, self._counted = self._counted, 0
        try:
            yield lambda: self._counted or 0
        finally:
            self._counted = before

    # --- commits and refs ---

    @property
    def reserved_space(self) -> int:
        """Bytes of its filesystem that it leaves free: what would take them is refused."""
        with translated(f"cannot read the configuration of {self.path}"):
            return int(self.repo.get_min_free_space_bytes()[1])

    def read_commit(self, checksum: str) -> Commit:
        """The commit with that checksum."""
        variant = self._waiting.find(checksum)
        if variant is None:
            with translated(f"no commit {checksum}"):
                _, variant, state = self.repo.load_commit(checksum)
            check_object("commit", checksum, variant.get_data_as_bytes().get_data() or b"")
            if state & OSTree.RepoCommitState.PARTIAL:
                raise StoreError(f"commit {checksum} is here only in part", "pull it again")
        metadata = variant.get_child_value(0).unpack()
        root = Tree(
            bytes(variant.get_child_value(6).get_data_as_bytes().get_data()).hex(),
            bytes(variant.get_child_value(7).get_data_as_bytes().get_data()).hex(),
        )
        return Commit(
            checksum=checksum,
            parent=OSTree.commit_get_parent(variant),
            timestamp=OSTree.commit_get_timestamp(variant),
            root=root,
            metadata={k: v for k, v in sorted(metadata.items()) if isinstance(v, str | bool)},
            subject=variant.get_child_value(3).get_string(),
        )

    def find_commit(self, ref: str) -> str | None:
        """The checksum that `ref` names, or None."""
        with translated(f"cannot resolve {ref}"):
            _, checksum = self.repo.resolve_rev(ref, True)
        return str(checksum) if checksum else None

    def refs(self, prefix: str) -> Mapping[str, str]:
        """All refs that are `prefix` or below `prefix/`, with the checksums they name."""
        with translated("cannot list refs"):
            _, found = self.repo.list_refs_ext(prefix, OSTree.RepoListRefsExtFlags.NONE, None)
        return dict(sorted(found.items()))

    def write_commit(
        self,
        root: Tree,
        *,
        parent: str | None,
        timestamp: int,
        subject: str,
        metadata: Mapping[str, str | bool],
    ) -> str:
        """Stores a commit; returns its checksum. The same arguments give the same checksum."""
        values = {key: as_variant(value) for key, value in sorted(metadata.items())}
        with translated("cannot write the commit"):
            commit = commit_variant(
                root, parent=parent, timestamp=timestamp, subject=subject, metadata=values
            )
        return self._waiting.add(commit)

    def set_ref(self, ref: str, checksum: str | None) -> None:
        """Makes `ref` name that commit, at the end of the transaction; None takes it away.

        It may be one of a remote, `REMOTE:REF`.
        """
        self._waiting.set_ref(ref, checksum)

    def write_detached_metadata(self, checksum: str, values: Mapping[str, str]) -> None:
        """Notes beside a commit that are no part of it: who made it and when."""
        variant = GLib.Variant("a{sv}", {k: as_variant(v) for k, v in sorted(values.items())})
        path = self._objects / checksum[:2] / f"{checksum[2:]}.commitmeta"
        is_new = self._counted is not None and not path.exists()
        with translated(f"cannot write metadata of {checksum}"):
            self.repo.write_commit_detached_metadata(checksum, variant, None)
        if is_new:  # it is part of no transaction
            self._counted = (self._counted or 0) + 512 * path.lstat().st_blocks

    def read_detached_metadata(self, checksum: str) -> Mapping[str, str]:
        """The notes beside a commit, empty where there are none."""
        with translated(f"cannot read metadata of {checksum}"):
            _, variant = self.repo.read_commit_detached_metadata(checksum, None)
        found = variant.unpack() if variant is not None else {}
        return {key: value for key, value in sorted(found.items()) if isinstance(value, str)}

    # --- directories ---

    def read_directory(self, contents: str) -> Directory:
        """The names in a directory, by its contents checksum."""
        known = self._directories.get(contents)
        if known is None:
            with translated(f"no directory {contents}"):
                _, variant = self.repo.load_variant(OSTree.ObjectType.DIR_TREE, contents)
            data = variant.get_data_as_bytes().get_data() or b""
            check_object("directory", contents, data)
            known = parse_directory(data)
            self._directories[contents] = known
        return known

    def read_directory_attributes(self, attributes: str) -> DirectoryAttributes:
        """Owner and mode of a directory, by its attributes checksum."""
        with translated(f"no directory attributes {attributes}"):
            _, variant = self.repo.load_variant(OSTree.ObjectType.DIR_META, attributes)
        data = variant.get_data_as_bytes().get_data() or b""
        check_object("directory attributes", attributes, data)
        uid, gid, mode, xattrs = variant.unpack()
        return DirectoryAttributes(
            big_endian(uid),
            big_endian(gid),
            big_endian(mode),
            tuple((bytes(name).rstrip(b"\0"), bytes(value)) for name, value in xattrs),
        )

    def write_directory(self, directory: Directory) -> str:
        """Stores a directory's names; returns its contents checksum. Idempotent."""
        data = GLib.Bytes.new(serialize_directory(directory))
        variant = GLib.Variant.new_from_bytes(_DIRECTORY, data, True)
        with translated("cannot write a directory"):
            _, checksum = self.repo.write_metadata(OSTree.ObjectType.DIR_TREE, None, variant, None)
        return bytes(checksum).hex()

    def write_directory_attributes(self, attributes: DirectoryAttributes) -> str:
        """Stores a directory's attributes; returns their checksum. Idempotent."""
        known = self._attributes.get(attributes)
        if known is not None:
            return known
        owner = (big_endian(attributes.uid), big_endian(attributes.gid))
        variant = GLib.Variant(
            _ATTRIBUTES, (*owner, big_endian(attributes.mode), xattr_pairs(attributes.xattrs))
        )
        with translated("cannot write a directory's attributes"):
            _, checksum = self.repo.write_metadata(OSTree.ObjectType.DIR_META, None, variant, None)
        self._attributes[attributes] = bytes(checksum).hex()
        return self._attributes[attributes]

    # --- files ---

    def read_file_attributes(self, checksum: str) -> FileAttributes:
        """Owner, mode and target of a file or symlink."""
        with translated(f"no file {checksum}"):
            _, _, info, xattrs = self.repo.load_file(checksum, None)
        target = info.get_symlink_target() if info.get_is_symlink() else ""
        return FileAttributes(
            info.get_attribute_uint32("unix::uid"),
            info.get_attribute_uint32("unix::gid"),
            info.get_attribute_uint32("unix::mode"),
            target or "",
            tuple((bytes(name).rstrip(b"\0"), bytes(value)) for name, value in xattrs.unpack()),
        )

    def open_file(self, checksum: str) -> BinaryIO:
        """The content of a regular file, to be read once and closed."""
        try:
            return CheckedFile(self._path_of(checksum), checksum)
        except FileNotFoundError:
            return self._open_elsewhere(checksum)

    def write_file(self, attributes: FileAttributes, chunks: Iterable[bytes] = ()) -> str:
        """Stores a regular file or, by its mode, a symlink; returns its checksum. Idempotent."""
        if stat.S_ISLNK(attributes.mode):
            with translated("cannot write a symlink"):
                return str(
                    self.repo.write_symlink(
                        None,
                        attributes.uid,
                        attributes.gid,
                        xattrs_as_variant(attributes.xattrs),
                        attributes.target,
                        None,
                    )
                )
        return self._write_regular(attributes, chunks)

    def link_file(self, checksum: str, path: Path) -> None:
        """Makes the file or symlink appear at `path`, as a hardlink where that is possible."""
        try:
            os.link(self._path_of(checksum), path, follow_symlinks=False)
        except FileNotFoundError:
            self._link_staged(checksum, path)

    def is_file_at(self, checksum: str, path: str) -> bool:
        """Whether what is at `path` is the very file or symlink of the store, by another name."""
        # Asked of thousands of files: a Path would take longer to make than to look at.
        ours = f"{self._objects}/{checksum[:2]}/{checksum[2:]}.file"
        return is_same_file(path, ours)

    def write_file_of(self, attributes: FileAttributes, path: Path) -> str:
        """Stores the content of a file on the disk as a regular file; returns its checksum."""
        header = file_header(attributes)
        digest = hashlib.sha256(header)
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            checksum = digest.hexdigest()
            with translated("cannot write a file"):
                if not self._has_file(checksum):
                    size = len(header) + os.fstat(file.fileno()).st_size
                    content = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(header))
                    # Read from where it lies, once: neither copied aside nor into memory.
                    mapped = GLib.MappedFile.new_from_fd(file.fileno(), False)
                    content.add_bytes(mapped.get_bytes())
                    self.repo.write_content_trusted(checksum, content, size, None)
        return checksum

    def check_out(self, checksum: str, path: Path) -> None:
        """Makes a new directory `path` with the tree of a commit in it, as hardlinks."""
        options = OSTree.RepoCheckoutAtOptions()
        with translated(f"cannot check out {checksum}"), interruptible() as cancellable:
            self.repo.checkout_at(options, _AT_FDCWD, str(path), checksum, cancellable)

    def _write_regular(self, attributes: FileAttributes, chunks: Iterable[bytes]) -> str:
        # hashlib does 1.3 GB/s where GLib's checksum does 0.26, so we hash and hand the object
        # over as trusted; what is hashed is also the form in which libostree takes it.
        header = file_header(attributes)
        digest = hashlib.sha256(header)
        with Spool(self.path / "tmp") as spool:
            spool.write(header)
            for chunk in chunks:
                digest.update(chunk)
                spool.write(chunk)
            checksum = digest.hexdigest()
            with translated("cannot write a file"):
                # libostree looks only after it has written; for a small file that is no loss.
                is_here = spool.size > _SMALL and self._has_file(checksum)
                if not is_here:
                    self.repo.write_content_trusted(checksum, spool.stream(), spool.size, None)
        return checksum

    def _has_file(self, checksum: str) -> bool:
        return bool(self.repo.has_object(OSTree.ObjectType.FILE, checksum, None)[1])

    def _path_of(self, checksum: str) -> Path:
        return self._objects / checksum[:2] / f"{checksum[2:]}.file"

    def _open_elsewhere(self, checksum: str) -> BinaryIO:
        """What an archive repository packs has no descriptor of its own."""
        if self.repo.get_mode() == OSTree.RepoMode.BARE:
            return os.fdopen(self._descriptor_of(checksum), "rb")
        content = io.BytesIO()
        with translated(f"no file {checksum}"):
            _, stream, _, _ = self.repo.load_file(checksum, None)
            while data := stream.read_bytes(_CHUNK, None).get_data():
                content.write(data)
        content.seek(0)
        return content

    def _descriptor_of(self, checksum: str) -> int:
        """Objects of an open transaction lie in a place of libostree's own: ask it for them."""
        with translated(f"no file {checksum}"):
            _, stream, _, _ = self.repo.load_file(checksum, None)
        if stream is None:
            raise StoreError(f"{checksum} is not a regular file")
        descriptor = os.dup(stream.get_fd())
        stream.close(None)
        return descriptor

    def _link_staged(self, checksum: str, path: Path) -> None:
        attributes = self.read_file_attributes(checksum)
        if stat.S_ISLNK(attributes.mode):
            path.symlink_to(attributes.target)
            os.chown(path, attributes.uid, attributes.gid, follow_symlinks=False)
            return
        descriptor = self._descriptor_of(checksum)
        # os.link follows /proc's links only when it is given a directory.
        folder = os.open("/proc/self/fd", os.O_PATH)
        try:
            os.link(str(descriptor), path, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
            os.close(descriptor)


def copy_file(store: OstreeStore, checksum: str, path: Path) -> None:
    """Writes the content of a file to `path`, which may then be changed."""
    with store.open_file(checksum) as source, path.open("wb") as destination:
        shutil.copyfileobj(source, destination, _CHUNK)
