"""Carry out a change that was prepared: the same for every verb about content."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from layer import booting, bootplan, downloads, pipeline, plans, spans
from layer.change import Change
from layer.errors import InvalidInput, PackageRefused
from layer.feasibility import check_room_to_boot
from layer.fetch.packages import fetch_packages
from layer.host import Host, require_root
from layer.importer import find_package, import_packages, remember_sources
from layer.local_files import import_files
from layer.model import (
    Deployment,
    NewDeployment,
    Package,
    PackageHeader,
)
from layer.origin import format_origin
from layer.preparation import previous_ids
from layer.recording import record_change
from layer.report import Reporter
from layer.rpmfile.header import read_header
from layer.signing import trust
from layer.store.commit_copies import KEY, copy_of
from layer.store.remote import set_remote_ref
from layer.trimming import without
from layer.words import count


def apply(host: Host, change: Change) -> Deployment:
    """Makes the change: fetches, imports, assembles, commits, and at last deploys.

    Must be called with the host's lock held since `prepare`. Whatever happens
    before its last step leaves refs and deployments as they were, and the
    machine booting as before.
    """
    require_root()
    with _refs_kept_on_failure(host):
        files, checksum = _made(host, change)
        check_room_to_boot(host, host.store.read_commit(checksum).root, change.overlay)
        host.reporter.step("Deploying")
        deployments = host.sysroot.deployments()
        new = NewDeployment(
            stateroot=host.stateroot,
            checksum=checksum,
            origin=format_origin(change.after),
            merge=bootplan.merge_source(deployments, host.stateroot),
            kernel_arguments=change.kernel_arguments,
            overlay=change.overlay,
        )
        plan = bootplan.deploy(deployments, new, host.settings().keep)
        with _remote_ref_moved(host, change):
            deployed = booting.write(host, plan)[0]
    for path in files:
        path.unlink(missing_ok=True)
    downloads.settle(host, change)
    plans.settle(host, deployed.checksum)
    trust(host.sysroot.var(host.stateroot), change.keys)
    record_change(host, change, deployed)
    host.reporter.deployed(deployed.checksum)
    return deployed


def build(host: Host, change: Change) -> str:
    """Makes the change's commit as `apply` does, and deploys nothing; returns its checksum."""
    require_root()
    with _refs_kept_on_failure(host):
        files, checksum = _made(host, change)
    for path in files:
        path.unlink(missing_ok=True)
    return checksum


def download(host: Host, change: Change) -> None:
    """Fetches and imports all that the change takes, so that it can be made without a network.

    As `apply`, with the lock held since `prepare`; what boots stays as it is. No clean-up takes
    it until it is deployed, or something else downloaded.
    """
    require_root()
    with _refs_kept_on_failure(host):
        files = _import(host, change)
        with host.store.transaction():
            host.store.set_ref(f"layer/base/{change.base.checksum}", change.base.checksum)
            downloads.remember(host, change)
    if not change.after.override_commit and change.after.base.remote:
        set_remote_ref(host.store, str(change.after.base), change.base.checksum)
    for path in files:
        path.unlink(missing_ok=True)


@contextmanager
def _refs_kept_on_failure(host: Host) -> Iterator[None]:
    """Takes away the refs that came since, unless the boot entries came to need them.

    Downloads stay in the cache, so that trying again fetches nothing twice.
    """
    before = host.store.refs("layer")
    try:
        yield
    except BaseException:
        if not host.sysroot.has_written:
            with host.store.transaction():
                for ref in sorted(set(host.store.refs("layer")) - set(before)):
                    host.store.set_ref(ref, None)
        raise


@contextmanager
def _remote_ref_moved(host: Host, change: Change) -> Iterator[None]:
    """Moves the ref of the base's remote, and back on failure.

    Before what boots: of who is killed in between, a newer base is here and not yet deployed.
    """
    if change.base == change.previous_base or not change.after.base.remote:
        yield
        return
    refspec = str(change.after.base)
    before = host.store.find_commit(refspec)
    set_remote_ref(host.store, refspec, change.base.checksum)
    try:
        yield
    except BaseException:
        if not host.sysroot.has_written:
            set_remote_ref(host.store, refspec, before)
        raise


def _made(host: Host, change: Change) -> tuple[tuple[Path, ...], str]:
    """The downloads and the commit; InvalidInput where another one was to come of it."""
    files = _import(host, change)
    checksum = _commit(host, change)
    if change.expected not in ("", checksum):
        made, wanted = host.store.read_commit(checksum), change.expected[:12]
        raise InvalidInput(
            f"the packages are those of the lock, and make commit {checksum[:12]} here in place "
            f"of {wanted}: the trigger set is {str(made.metadata.get('layer.triggers', ''))[:12]}",
            "take the same version of layer, and the same /etc/layer/triggers.d",
        )
    return files, checksum


@spans.phase("import")
def _import(host: Host, change: Change) -> tuple[Path, ...]:
    """Fetches and unpacks what is not in the store; returns the downloads."""
    import_files(host.store, change.files)
    if not change.to_fetch:
        return ()
    downloads = host.cache / "packages"
    files = fetch_packages(
        change.to_fetch,
        change.repositories,
        downloads,
        host.reporter,
        cache_only=host.options.cache_only,
    )
    host.reporter.step(f"Importing {count(len(files), 'package')}")
    try:
        with host.store.transaction():
            import_packages(host.store, _as_planned(change, files, host.reporter))
        remember_sources(host.store, change.to_fetch)
    except PackageRefused as error:
        # What is refused is refused for good; the others need not be fetched again.
        for package, path in files.items():
            if str(package.nevra) in error.message:
                path.unlink(missing_ok=True)
        raise
    return tuple(files.values())


def _as_planned(
    change: Change, files: Mapping[Package, Path], reporter: Reporter
) -> Iterator[tuple[Path, PackageHeader, str]]:
    """What `import_packages` takes; PackageRefused for a header that the plan did not show."""
    planned = {h.nevra: h for h in change.headers}
    ordered = sorted(files.items(), key=lambda item: item[0].nevra)
    for number, (package, path) in enumerate(ordered, 1):
        reporter.progress(str(package.nevra), number, len(ordered), "packages")
        header = read_header(path)
        if header.blob != planned[package.nevra].blob:
            raise PackageRefused(
                f"{package.nevra} is not the package that the plan showed",
                "its repository changed meanwhile; run the command again",
            )
        yield path, header, package.checksum


@spans.phase("commit")
def _commit(host: Host, change: Change) -> str:
    """The commit to deploy: the base itself where nothing is layered."""
    store = host.store
    if change.again:
        with store.transaction():
            pipeline.keep(store, change.again, change.base.checksum)
        return change.again
    packages = [find_package(store, p.checksum) for p in change.resolution.packages]
    with host.scratch() as scratch, store.transaction():
        gone = change.resolution.gone
        if not (packages or gone or change.after.options.regenerate_initramfs):
            pipeline.keep(store, change.base.checksum, change.base.checksum)
            return change.base.checksum
        workshop = pipeline.Workshop(host.near(change.base), scratch, host.options.sandbox)
        assembled = pipeline.assemble(
            store,
            change.base.root,
            [p for p in packages if p is not None],
            host.triggers,
            workshop,
            epoch=change.base.timestamp,
            previous_ids=previous_ids(host, change.lock),
            reporter=host.reporter,
            tree_options=change.after.options,
            without=without(change.base, gone),
        )
        checksum = pipeline.commit_derived(store, change.base, assembled)
    for note in assembled.notes:
        host.reporter.note(note)
    from importlib.metadata import version  # takes long to load, and no plan needs it

    made = {
        "layer.made-by": f"layer {version('layer')}",
        "layer.made-at": str(int(time.time())),
        KEY: copy_of(store, checksum),
    }
    store.write_detached_metadata(checksum, made)
    return checksum
