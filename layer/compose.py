"""A base commit from repositories: the pipeline of every layer, over a skeleton tree."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from layer import consent, ids, pipeline, spans
from layer.accounts import read_accounts
from layer.errors import InvalidInput
from layer.fetch.packages import fetch_headers, fetch_packages
from layer.foresight import audits_of
from layer.frozen import dataclass
from layer.host import require_root
from layer.importer import find_package, import_packages, read_package_header
from layer.ingredients import AS_WRITTEN, Selecting, select
from layer.kernels import boot_metadata, initramfs_path, kernels_of
from layer.labelling import with_moved_labels
from layer.lock import TreeOptions, format_metadata
from layer.model import (
    Commit,
    NearTree,
    Package,
    PackageHeader,
    PackageTree,
    Repository,
    Tree,
)
from layer.report import Reporter
from layer.repos import read_repositories
from layer.rpmfile.header import read_header
from layer.sections import repository_variables
from layer.signing import Fetching, check_packages
from layer.skeleton import OS_RELEASE, own_paths, skeleton, with_version_id
from layer.store.archive import Archive
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.objects import OstreeStore
from layer.store.trees import empty_tree, lookup
from layer.treefile import Treefile, parse_treefile
from layer.trigger_set import read_triggers
from layer.triggers.format import Trigger
from layer.words import count, is_number


@dataclass(frozen=True, slots=True)
class Composed:
    """A base commit that was made, and what a person might want to know of it."""

    ref: str
    checksum: str
    version: int
    packages: int
    notes: tuple[str, ...]


def compose_and_publish(
    treefile: Path,
    repository: Path,
    repository_directories: Sequence[Path],
    cache: Path,
    reporter: Reporter,
    *,
    selecting: Selecting = AS_WRITTEN,
) -> Composed:
    """Composes in a bare repository below `cache` and publishes in an archive one.

    The archive repository is made where there is none; any web server can serve it.
    """
    require_root()
    parsed = parse_treefile(_read(treefile), str(treefile))
    cache.mkdir(parents=True, exist_ok=True)
    repositories = read_repositories(repository_directories, repository_variables(arch=parsed.arch))
    store = OstreeStore.create(cache / "repo")
    published = Archive.open(repository)
    if published is not None:
        published.fetch_back(store, parsed.ref)
    taken = published.versions(parsed.ref) if published else ()
    composed = compose_tree(
        parsed, store, repositories, cache, reporter, taken=taken, selecting=selecting
    )
    reporter.step("Publishing")
    Archive.create(repository).publish(store, parsed.ref)
    return composed


def compose_tree(
    treefile: Treefile,
    store: OstreeStore,
    repositories: Sequence[Repository],
    cache: Path,
    reporter: Reporter,
    *,
    taken: Sequence[str] = (),
    timestamp: int | None = None,
    selecting: Selecting = AS_WRITTEN,
) -> Composed:
    """Makes the next commit of the treefile's ref in a bare repository.

    `taken` are the versions that were published already. `selecting` chooses in place of the
    treefile, for once. `timestamp` (seconds) is that of the commit and of the packages'
    installation; without it SOURCE_DATE_EPOCH, else now, and later than the predecessor's:
    machines take a base that is not for the older one. An existing version is refused.
    """
    require_root()
    parent = store.find_commit(treefile.ref)
    previous = store.read_commit(parent) if parent else None
    epoch = _now(previous) if timestamp is None else timestamp
    present = str(previous.metadata.get("version", "")) if previous else ""
    number = _version(treefile, [present, *taken])
    packages, notes = _packages(treefile, repositories, store, cache, reporter, selecting)
    with (
        pipeline.scratch_in(store.path / "tmp") as scratch,
        spans.phase("commit"),
        store.transaction(),
    ):
        nothing = empty_tree(store)
        workshop = pipeline.Workshop(NearTree(None, nothing), scratch)
        assembled = pipeline.assemble(
            store,
            skeleton(store, treefile),
            packages,
            partial(read_triggers, store),
            workshop,
            epoch=epoch,
            previous_ids=dict(treefile.ids),
            reporter=reporter,
            before=nothing,
            finish=partial(_finish, store, treefile, number),
            tree_options=TreeOptions(documentation=treefile.documentation),
        )
        metadata = {
            **format_metadata(replace(assembled.lock, ids=()), assembled.record),
            "version": str(number),
            **_boot_metadata(store, assembled.tree, treefile),
        }
        checksum = store.write_commit(
            assembled.tree,
            parent=parent,
            timestamp=epoch,
            subject=f"{treefile.ref} {number}",
            metadata=metadata,
        )
        store.set_ref(treefile.ref, checksum)
        pipeline.keep_copies(store, assembled, treefile.ref)
    return Composed(treefile.ref, checksum, number, len(packages), (*assembled.notes, *notes))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error


def _now(previous: Commit | None) -> int:
    now = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return max(now, previous.timestamp + 1) if previous else now


def _version(treefile: Treefile, taken: Sequence[str]) -> int:
    known = [int(version) for version in taken if is_number(version)]
    if treefile.version is None:
        return max(known, default=0) + 1
    if treefile.version in known:
        raise InvalidInput(
            f"{treefile.ref} has a version {treefile.version} already",
            f'the next free one is {max(known) + 1}; version = "auto" takes it',
        )
    return treefile.version


def _packages(
    treefile: Treefile,
    repositories: Sequence[Repository],
    store: OstreeStore,
    cache: Path,
    reporter: Reporter,
    selecting: Selecting,
) -> tuple[list[PackageTree], tuple[str, ...]]:
    """The imported packages, and notes on groups and on scriptlets."""
    fetching = Fetching(cache, reporter, refresh=True)
    ingredients = select(treefile, repositories, selecting, fetching)
    chosen = ingredients.repositories
    packages = list(ingredients.resolution.packages)
    todo = [p for p in packages if find_package(store, p.checksum) is None]
    fetched = fetch_headers(todo, chosen, cache, reporter) if todo else {}
    check_packages(store, packages, fetched, chosen, fetching)
    present = [find_package(store, package.checksum) for package in packages]
    headers = [read_header(path) for path in fetched.values()]
    headers += [read_package_header(store, package) for package in present if package]
    # A package that brings triggers of its own cannot count on them here: they are not read yet.
    notes = _scriptlets(treefile, headers, read_triggers(store, empty_tree(store)))
    _import(store, todo, chosen, cache, reporter)
    imported = [find_package(store, package.checksum) for package in packages]
    found = [package for package in imported if package is not None]
    return found, (*ingredients.notes, *notes)


def _scriptlets(
    treefile: Treefile, headers: Sequence[PackageHeader], triggers: Sequence[Trigger]
) -> tuple[str, ...]:
    """Notes on the lines that are not run; PackageRefused where the treefile says `stop`."""
    headers = sorted(headers, key=lambda header: header.nevra)
    pairs = [(h.nevra, a) for h, a in zip(headers, audits_of(headers, triggers), strict=True)]
    policy, names = treefile.scriptlets, treefile.accept_unscripted
    consent.agree(pairs, (), names, policy, 'accept-unscripted = ["{}"] in the treefile')
    return tuple(
        f"{nevra}: {count(len(audit.unknown), 'line')} of its scriptlets not run: layer audit"
        for nevra, audit in pairs
        if audit.unknown
    )


@spans.phase("import")
def _import(
    store: OstreeStore,
    packages: Sequence[Package],
    repositories: Sequence[Repository],
    cache: Path,
    reporter: Reporter,
) -> None:
    if not packages:
        return
    files = fetch_packages(packages, repositories, cache / "packages", reporter)
    reporter.step(f"Importing {len(packages)} packages")
    with store.transaction():
        import_packages(store, _with_headers(files, reporter))
    for path in files.values():
        path.unlink(missing_ok=True)


def _with_headers(
    files: Mapping[Package, Path], reporter: Reporter
) -> Iterator[tuple[Path, PackageHeader, str]]:
    """What `import_packages` takes, in order."""
    for done, (package, path) in enumerate(sorted(files.items(), key=lambda f: f[0].nevra)):
        reporter.progress("import", done, len(files), "packages")
        yield path, read_header(path), package.checksum


def _finish(
    store: ObjectStore, treefile: Treefile, number: int, tree: Tree
) -> tuple[Tree, tuple[str, ...]]:
    """The finished base, and the paths that layer itself wrote."""
    texts = _texts(store, tree, treefile, number)
    return write_text(store, tree, texts), (*texts, *own_paths(treefile))


def _texts(store: ObjectStore, tree: Tree, treefile: Treefile, number: int) -> dict[str, str]:
    """What layer itself writes into a base: its version, its map of ids, labels of /usr/etc."""
    accounts = read_accounts(store, tree)
    reserved = dict(treefile.ids)
    shipped = ids.Accounts(
        {**reserved, **accounts.users},
        {**reserved, **accounts.groups},
    )
    return {
        OS_RELEASE: with_version_id(read_text(store, tree, OS_RELEASE), number),
        ids.MAP_PATH: ids.format_map(shipped),
        **with_moved_labels(store, tree),
    }


def _boot_metadata(store: ObjectStore, tree: Tree, treefile: Treefile) -> dict[str, str | bool]:
    """What libostree wants to know of a tree that boots; InvalidInput where it cannot."""
    if treefile.kernel is None:
        return {}
    kernels = kernels_of(store, tree)
    if len(kernels) != 1:
        raise InvalidInput(
            f"the tree has {len(kernels)} kernels ({', '.join(kernels) or 'none'}); it needs one",
            "a kernel is usr/lib/modules/VERSION/vmlinuz; see kernel.package in the treefile",
        )
    if lookup(store, tree, initramfs_path(kernels[0])) is None:
        raise InvalidInput(
            f"the tree has no {initramfs_path(kernels[0])}",
            "name a package that ships it as kernel.initramfs in the treefile",
        )
    return boot_metadata(kernels)
