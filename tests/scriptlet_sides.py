"""One base, and over it the same packages twice: with layer's triggers, and with their scriptlets.

The scriptlets really run, in a root of their own, with dpkg's state around them.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import rpm

from layer import alternatives
from layer.audit.judge import audit_package, coverage
from layer.audit.verdict import Audit, Verdict
from layer.fetch.metadata import fetch_metadata
from layer.importer import import_packages
from layer.model import (
    BaseState,
    Commit,
    NearTree,
    PackageHeader,
    PackageTree,
    Repository,
    Request,
    RequestKind,
    Tree,
)
from layer.pipeline import Assembled, Workshop, assemble, scratch_in
from layer.report import SILENT
from layer.rpmfile.header import read_header
from layer.scriptlets import is_installing
from layer.skeleton import skeleton
from layer.solver.resolve import resolve
from layer.store.objects import OstreeStore
from layer.store.trees import empty_tree
from layer.treefile import parse_treefile
from layer.trigger_set import packaged_triggers, read_triggers
from tests.dpkg_state import Dpkg
from tests.world import ostree

TREEFILE = Path(__file__).parent.parent / "testdata/distro/demo-tree.toml"
EPOCH = 1_600_000_000
# What maintainer scripts call without naming it as a dependency: dpkg itself is there for all.
TOOLS = ("adduser", "debconf", "dpkg", "init-system-helpers", "libc-bin", "perl-base", "ucf")
BASE = "the base"  # whose alternatives dpkg must know
# A service must not start in a chroot; this is Debian's own way of saying so.
POLICY = "usr/sbin/policy-rc.d"
_STRACE = ("strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none")
_EXECUTED = re.compile(r"\bexecve\(.* = 0$")


@dataclass(frozen=True)
class Chosen:
    """A package whose scriptlets layer stands in for, all of them."""

    rpm: Path
    header: PackageHeader
    audit: Audit


@dataclass(frozen=True)
class Ran:
    """One script that ran: of which package, how it ended, how many programs it executed."""

    name: str
    script: str
    status: int
    commands: int
    output: str


@dataclass(frozen=True)
class Sides:
    """The two roots as a machine would have them after its first boot, and the scripts that ran."""

    triggers: Path
    scriptlets: Path
    chosen: tuple[Chosen, ...]
    ran: tuple[Ran, ...]


# --- the choice ---------------------------------------------------------------------------------


def candidates(repository: Path) -> dict[str, Chosen]:
    """By NEVRA: those with a covered or a rewritten line and with no unknown one."""
    triggers = packaged_triggers()
    found = {}
    for path in sorted(repository.glob("*.rpm")):
        header = read_header(path)
        audit = audit_package(header, coverage(header, triggers))
        verdicts = {item.verdict for item in audit.judged}
        if not audit.unknown and verdicts & {Verdict.COVERED, Verdict.REWRITTEN}:
            found[str(header.nevra)] = Chosen(path, header, audit)
    return found


def choose(found: Mapping[str, Chosen], number: int, seed: int) -> tuple[Chosen, ...]:
    """As many of them, by a seed; all where there are fewer."""
    names = sorted(found)
    chance = random.Random(seed)
    return tuple(found[name] for name in sorted(chance.sample(names, min(number, len(names)))))


# --- the trees ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workplace:
    """A base without the chosen packages, with all that they need."""

    path: Path
    store: OstreeStore
    base: Commit
    chosen: tuple[Chosen, ...]
    others: tuple[PackageHeader, ...]  # of the base


def make_base(repository: Path, chosen: Sequence[Chosen], scratch: Path) -> Workplace:
    """The demonstration's base, the tools of maintainer scripts, and what the chosen need."""
    store = OstreeStore.create(scratch / "repo")
    treefile = parse_treefile(TREEFILE.read_text(), str(TREEFILE))
    names = {one.header.nevra.name for one in chosen}
    present = {path.name: path for path in repository.glob("*.rpm")}
    offered = {name.rpartition("-")[0].rpartition("-")[0] for name in present}
    wanted = {*treefile.packages, *names, *(tool for tool in TOOLS if tool in offered)}
    headers = {n: read_header(present[n]) for n in _closure(repository, wanted, scratch)}
    headers = {n: h for n, h in headers.items() if h.nevra.name not in names}
    trees = _import(store, {present[name]: header for name, header in headers.items()})
    nothing = empty_tree(store)
    with store.transaction():
        made = _assemble(
            store, skeleton(store, treefile), trees, NearTree(None, nothing), before=nothing
        )
        checksum = store.write_commit(
            made.tree, parent=None, timestamp=EPOCH, subject="base", metadata={}
        )
        store.set_ref("base", checksum)
    commit = store.read_commit(checksum)
    return Workplace(scratch, store, commit, tuple(chosen), tuple(headers.values()))


def _closure(repository: Path, names: set[str], scratch: Path) -> list[str]:
    """The file names of the packages that these names take."""
    source = Repository("all", "all", (f"file://{repository}",))
    offered = [fetch_metadata(source, scratch / "metadata", SILENT)]
    wanted = [Request(RequestKind.PACKAGE, name) for name in sorted(names)]
    resolution = resolve(BaseState(None, "x86_64"), offered, wanted)
    return sorted(Path(s.package.location).name for s in resolution.selections)


def _import(store: OstreeStore, rpms: Mapping[Path, PackageHeader]) -> tuple[PackageTree, ...]:
    with store.transaction():
        return import_packages(
            store,
            [(p, h, hashlib.sha256(p.read_bytes()).hexdigest()) for p, h in rpms.items()],
        )


def _assemble(
    store: OstreeStore,
    base: Tree,
    packages: Sequence[PackageTree],
    near: NearTree,
    before: Tree | None = None,
) -> Assembled:
    with scratch_in(store.path / "tmp") as scratch:
        return assemble(
            store,
            base,
            packages,
            partial(read_triggers, store),
            Workshop(near, scratch),
            epoch=EPOCH,
            previous_ids={},
            reporter=SILENT,
            before=before,
        )


@contextmanager
def both_sides(place: Workplace, mutate: Mapping[str, str] | None = None) -> Iterator[Sides]:
    """The two roots, mounted as long as they are looked at.

    `mutate` puts a line at the end of the last script of packages, by their names.
    """
    store = place.store
    checkout = place.path / "base"
    if not checkout.exists():
        _checkout(store, place.base.checksum, checkout)
    trees = _import(store, {one.rpm: one.header for one in place.chosen})
    with store.transaction():
        made = _assemble(store, place.base.root, trees, NearTree(checkout, place.base.root))
        commit = store.write_commit(
            made.tree, parent=None, timestamp=EPOCH, subject="layered", metadata={}
        )
        store.set_ref("layered", commit)
    layered = place.path / "layered"
    if not layered.exists():
        _checkout(store, commit, layered)
    with (
        _root(layered, place.path / "ours") as ours,
        _root(checkout, place.path / "theirs") as root,
    ):
        ran = tuple(_install(place, root, mutate or {}))
        boot(root)
        yield Sides(ours, root, place.chosen, ran)


def _checkout(store: OstreeStore, commit: str, where: Path) -> None:
    ostree(f"--repo={store.path}", "checkout", commit, str(where))


@contextmanager
def _root(lower: Path, folder: Path) -> Iterator[Path]:
    """A checkout as the machine that boots it has it: its own /etc, and /var made by tmpfiles.d."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    root = folder / "root"
    places = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", places, root], check=True)
    try:
        subprocess.run(["cp", "-a", root / "usr/etc", root / "etc"], check=True)
        boot(root)
        yield root
    finally:
        subprocess.run(["umount", root], check=True)
        shutil.rmtree(folder)


def boot(root: Path) -> None:
    """What every boot does to /var; lines that need a kernel may fail."""
    command = ("systemd-tmpfiles", "--create", "--boot", "--exclude-prefix=/dev")
    subprocess.run([*inside(root), *command], check=False, capture_output=True)


def inside(root: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """The beginning of a command line that runs a program in a root, without a network."""
    words = ["bwrap", "--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc"]
    words += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--cap-add", "ALL"]
    words += ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--clearenv"]
    settings = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "SYSTEMD_OFFLINE": "1",
        **(environment or {}),
    }
    for name, value in settings.items():
        words += ["--setenv", name, value]
    return [*words, "--"]


# --- their side ---------------------------------------------------------------------------------


def _install(place: Workplace, root: Path, mutate: Mapping[str, str]) -> Iterator[Ran]:
    """Files and scriptlets in rpm's order, then the triggers that dpkg would process."""
    headers = [one.header for one in place.chosen]
    dpkg = Dpkg(root)
    dpkg.write([*place.others, *headers])
    (root / POLICY).write_text("#!/bin/sh\nexit 101\n")
    (root / POLICY).chmod(0o755)
    yield from _offer_alternatives(root)
    for one in _in_order(place.chosen, root):
        own = [s for s in one.header.scriptlets if is_installing(s.slot)]
        before = [s for s in own if s.slot in {"pretrans", "pre"}]
        line = mutate.get(one.header.nevra.name, "")
        for scriptlet in before:
            yield _run(root, one, "preinst", scriptlet.interpreter, scriptlet.body)
        yield from _make_accounts(root, one)
        _unpack(root, one.rpm)
        for scriptlet in own:
            if scriptlet.slot in {"post", "posttrans"}:
                body = _with_line(scriptlet.body, line)
                yield _run(root, one, "postinst", scriptlet.interpreter, body)
    # A package of the base may offer what only came now; dpkg had configured it after that.
    yield from _offer_alternatives(root, is_late=True)
    paths = [file.path for header in headers for file in header.files]
    names = [header.nevra.name for header in headers]
    for package, script, activated in dpkg.triggered(names, paths):
        yield _execute(root, package, "postinst", [script, "triggered", " ".join(activated)])


def _with_line(body: str, line: str) -> str:
    """A body with one more line that runs, right behind the arguments that dpkg gives."""
    return re.sub(r"(?m)^(set -- .*)$", lambda m: f"{m[1]}\n{line}", body, count=1)


def _offer_alternatives(root: Path, *, is_late: bool = False) -> Iterator[Ran]:
    """Tells dpkg's database what the base's packages offer, as their scriptlets had."""
    record = root / alternatives.RECORD
    offers = alternatives.parse_record(record.read_text(), str(record)) if record.exists() else ()
    if is_late:
        offers = tuple(o for o in offers if not os.path.lexists(root / o.link[1:]))
    else:
        offers = tuple(o for o in offers if _is_alternative(root, o.link, o.name))
        for name in {name for o in offers for name in (o.name, *(s[1] for s in o.slaves))}:
            # What the database does not know yet would count as the admin's own choice.
            (root / "etc/alternatives" / name).unlink(missing_ok=True)
    for offer in offers:
        if (root / offer.path[1:]).exists():
            words = ["--install", offer.link, offer.name, offer.path, str(offer.priority)]
            words += [word for slave in offer.slaves for word in ("--slave", *slave)]
            yield _execute(root, BASE, "alternatives", ["update-alternatives", *words])


def _is_alternative(root: Path, link: str, name: str) -> bool:
    """Whether a link leads through /etc/alternatives, and is not a package's own."""
    path = root / link[1:]
    return path.is_symlink() and str(path.readlink()) == f"{alternatives.FOLDER}/{name}"


def _in_order(chosen: Sequence[Chosen], root: Path) -> list[Chosen]:
    """As rpm installs them in one transaction."""
    transaction = rpm.TransactionSet(str(root))
    transaction.setVSFlags(-1)
    by_name = {}
    for one in chosen:
        with one.rpm.open("rb") as file:
            transaction.addInstall(transaction.hdrFromFdno(file), str(one.rpm), "i")
        by_name[one.header.nevra.name] = one
    transaction.order()
    ordered = [by_name[element.N()] for element in transaction]
    transaction.closeDB()
    return ordered


def _make_accounts(root: Path, one: Chosen) -> Iterator[Ran]:
    """As rpm does from 4.19 on: from the package's own sysusers.d, before its files come."""
    if any(entry.user != "root" or entry.group != "root" for entry in one.header.files):
        wanted = "./usr/lib/sysusers.d/*"
        command = f"rpm2cpio {shlex.quote(str(one.rpm))} | cpio -i --quiet --to-stdout '{wanted}'"
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
        if done.stdout:
            (root / "sysusers").write_bytes(done.stdout)
            words = ["systemd-sysusers", "/sysusers"]
            yield _execute(root, one.header.nevra.name, "sysusers", words)
            (root / "sysusers").unlink()


def _unpack(root: Path, package: Path) -> None:
    """The package's files, by rpm itself and without its scriptlets."""
    where = ("--root", str(root), "--dbpath", "/.rpmdb", "--force-debian")
    less = ("--noscripts", "--notriggers", "--nodeps", "--noplugins", "--ignoresize")
    all_files = ("--define", "_install_langs all", "--define", "_netsharedpath %{nil}")
    command = ["rpm", "-i", "--nosignature", *where, *less, *all_files, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{package.name}: {done.stderr}"


def _run(root: Path, one: Chosen, script: str, interpreter: str, body: str) -> Ran:
    """One scriptlet, as a file where dpkg keeps it: debconf looks there for its templates."""
    name = one.header.nevra.name
    path = Dpkg(root).script(name, script)
    path.write_text(body if body.startswith("#!") else f"#!{interpreter}\n{body}")
    path.chmod(0o755)
    return _execute(root, name, script, [*interpreter.split(), f"/{path.relative_to(root)}", "1"])


def _execute(root: Path, package: str, script: str, words: Sequence[str]) -> Ran:
    environment = {
        "DEBIAN_FRONTEND": "noninteractive",
        "DPKG_MAINTSCRIPT_PACKAGE": package,
        "DPKG_MAINTSCRIPT_NAME": script,
        "DPKG_MAINTSCRIPT_ARCH": "amd64",
        "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
        "DPKG_ADMINDIR": "/var/lib/dpkg",
        "DPKG_ROOT": "",
    }
    log = root.parent / "executed"
    command = [*_STRACE, "-o", str(log), *inside(root, environment), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    executed = [line for line in log.read_text().splitlines() if _EXECUTED.search(line)]
    # The first is bubblewrap itself.
    output = f"{done.stdout}{done.stderr}"
    label = " ".join([script, *words[1:]]) if words[0].startswith("/var") else script
    return Ran(package, label, done.returncode, len(executed) - 1, output)
