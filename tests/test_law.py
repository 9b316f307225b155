"""The law: a derived commit is a function of base and lock, whatever was done before.

A machine lives through any sequence of verbs; after each, a machine that was
made this minute and is given the same base and the same lock must come to the
same commit, bit for bit.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from layer import overriding, preparation, transaction, verbs
from layer.host import Host
from layer.lock import Lock
from layer.model import Request, RequestKind
from layer.origin import Origin, OstreeRef, with_local, with_overrides, with_requests
from layer.overrides import Overrides
from layer.sources import open_sources
from layer.store.sysroot import initialize as initialize_sysroot
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_repository, tiny_rpm
from tests.policy import local_contexts_package, policy_package
from tests.test_accounts import colliding_names
from tests.world import REF, STATEROOT, Machine, World, base_packages, make_world, ostree, remove

_MEMORY = Path("/dev/shm")
NAMES = (
    "apple",
    "pear",
    "daemon",
    "web",
    "suid",
    "old-and-new",
    "omega",
    "alpha-too",
    "documented",
)
FILES = ("loc",)  # packages that are in no repository
# A longer search by hand: LAW_EXAMPLES=200 pytest tests/test_law.py
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "4"))


def more_users(version: str) -> tuple[RpmSpec, ...]:
    """Packages whose users meet on one number, so that exceptions come about."""
    first, *others = colliding_names(3)
    lines = "".join(f"u {name} -\n" for name in (*others, f"v{version}"))
    return (
        tiny_rpm(
            "omega",
            FileSpec("/usr/lib/sysusers.d/omega.conf", lines.encode()),
            FileSpec("/usr/bin/omega", b"o", user=others[0], group=others[1]),
            version=version,
        ),
        tiny_rpm(
            "alpha-too",
            FileSpec("/usr/lib/sysusers.d/alpha-too.conf", f"u {first} -\n".encode()),
            FileSpec("/usr/bin/alpha-too", b"a", user=first, group=first),
            version=version,
        ),
    )


def documented(version: str) -> RpmSpec:
    """A package with documentation, some of it alone in its directory."""
    return tiny_rpm(
        "documented",
        "/usr/bin/documented",
        FileSpec.directory("/usr/share/doc/documented"),
        FileSpec("/usr/share/doc/documented/README", version.encode(), doc=True),
        FileSpec("/usr/share/man/man1/documented.1", b"x", doc=True, user="root"),
        FileSpec("/var/lib/documented/manual", b"x", doc=True),
        version=version,
    )


def origin_of_lock(lock: Lock) -> Origin:
    """What asks for a lock's packages, whoever asked for them before and in which way."""
    gone = {nevra.name for nevra in lock.gone}
    placed = {p for p in lock.packages if p.nevra.name in gone}
    local = [p for p in lock.packages if p.nevra.name in FILES and p not in placed]
    rest = [p for p in lock.packages if p not in placed and p not in local]
    wanted = [Request(RequestKind.PACKAGE, str(p.nevra)) for p in rest]
    overrides = Overrides(removed=tuple(gone - {p.nevra.name for p in placed}), files=tuple(placed))
    origin = with_requests(Origin(OstreeRef("", REF)), wanted)
    return with_overrides(with_local(origin, local), overrides)


def commit_of_fresh_machine(world: World, used: Host, base: str, lock: Lock) -> tuple[str, Lock]:
    """What a new machine makes of a base and a lock; its base comes from `used`'s repository."""
    path = Path(tempfile.mkdtemp(dir=world.path, prefix="fresh-"))
    try:
        initialize_sysroot(path, STATEROOT)
        repo = f"--repo={path}/ostree/repo"
        ostree(repo, "pull-local", str(used.store.path), base)
        host = Machine(path, world).host()
        source = host.store.read_commit(base)
        for ref in used.store.refs("layer/pkg"):  # files that are in no repository
            ostree(repo, "pull-local", str(used.store.path), ref)
        origin = replace(origin_of_lock(lock), options=lock.options)
        with (
            host.locked(),
            open_sources(host, source, lock, needs_repositories=True, kept=origin.files) as sources,
        ):
            change = preparation.prepare(host, origin, source, sources)
            deployment = transaction.apply(host, change)
        host = Machine(path, world).host()
        return deployment.checksum, host.lock_of(host.require_pending())
    finally:
        remove([path])


class AnyHistory(RuleBasedStateMachine):
    """Verbs in any order on one machine."""

    names: tuple[str, ...] = NAMES
    more_of_base: tuple[RpmSpec, ...] = ()
    more_to_layer: tuple[RpmSpec, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.checked = ""

    @initialize()
    def a_machine(self) -> None:
        folder = _MEMORY if _MEMORY.is_dir() else None
        path = Path(tempfile.mkdtemp(prefix="law-", dir=folder))
        self.stack.callback(shutil.rmtree, path)
        self.stack.callback(lambda: remove([path / "machine"]))
        (path / "world").mkdir()
        self.world = self.stack.enter_context(make_world(path / "world", *self.more_of_base))
        self.world.publish(*more_users("1"), documented("1"), *self.more_to_layer)
        self.machine = self.world.machine(path / "machine")
        self.versions = itertools.count(2)

    def teardown(self) -> None:
        self.stack.close()

    def requested(self) -> list[str]:
        host = self.machine.host()
        return [r.text for r in host.origin(host.require_pending()).requests]

    @rule(data=st.data())
    def install(self, data: st.DataObject) -> None:
        names = data.draw(st.sets(st.sampled_from(self.names), min_size=1, max_size=4))
        self.machine.apply(lambda host: verbs.install(host, sorted(names), idempotent=True))

    @rule(documentation=st.booleans())
    def decide_about_documentation(self, documentation: bool) -> None:
        self.machine.apply(
            lambda host: verbs.install(
                host, ["documented"], idempotent=True, documentation=documentation
            )
        )

    @rule(data=st.data())
    @precondition(lambda self: self.requested())
    def uninstall(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.requested())))
        self.machine.uninstall(name)

    @rule()
    def reset(self) -> None:
        self.machine.reset()

    @rule()
    def upgrade(self) -> None:
        self.machine.apply(verbs.upgrade)

    @rule()
    @precondition(lambda self: len(self.machine.host().sysroot.deployments()) > 1)
    def rollback(self) -> None:
        host = self.machine.host()
        with host.locked():
            host.sysroot.write(verbs.rollback(host)[0])

    @rule()
    def a_newer_base_appears(self) -> None:
        self.world.publish(*base_packages(str(next(self.versions))))
        self.world.compose()

    @rule()
    def newer_packages_appear(self) -> None:
        version = str(next(self.versions))
        newer = tiny_rpm("old-and-new", "/usr/bin/old-and-new", version=version)
        self.world.publish(newer, documented(version), *more_users(version))

    @invariant()
    def commit_follows_from_base_and_lock(self) -> None:
        host = self.machine.host()
        pending = host.require_pending()
        if pending.checksum == self.checked:
            return
        lock, base = host.lock_of(pending), host.base_commit(pending)
        fresh = commit_of_fresh_machine(self.world, host, base.checksum, lock)
        assert fresh == (pending.checksum, lock)
        self.checked = pending.checksum


AnyHistory.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=10,
    deadline=None,
    derandomize="LAW_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
TestAnyHistory = AnyHistory.TestCase


class AnyHistoryWithOverrides(AnyHistory):
    """The same where packages of the base are taken away and replaced, and files are layered."""

    names = ("apple", "daemon", "web")
    more_of_base = (
        tiny_rpm("editor", "/usr/bin/editor", "/usr/share/editor/old", arch="x86_64"),
        tiny_rpm("pager", FileSpec("/usr/lib/libpager.so.1", b"x", mode=0o755), arch="x86_64"),
    )

    @initialize()
    def a_machine(self) -> None:
        super().a_machine()
        self.files = self.world.path / "files"
        specs = [tiny_rpm("editor", "/usr/bin/editor", version=v, arch="x86_64") for v in "02"]
        local = [tiny_rpm(FILES[0], "/usr/bin/loc", version=v, arch="x86_64") for v in "12"]
        tiny_repository(self.files, *specs, *local)

    def overridden(self) -> set[str]:
        host = self.machine.host()
        overrides = host.origin(host.require_pending()).overrides
        return {*overrides.removed, *(p.nevra.name for p in overrides.files)}

    @rule(name=st.sampled_from(["editor", "pager"]))
    def take_away(self, name: str) -> None:
        if name not in self.overridden():
            self.machine.apply(lambda host: overriding.override_remove(host, [name]))

    @rule(version=st.sampled_from("02"))
    def put_in_its_place(self, version: str) -> None:
        path = next(self.files.rglob(f"editor-{version}-*.rpm"))
        if "editor" not in self.overridden():
            self.machine.apply(lambda host: overriding.override_replace(host, [str(path)]))

    @rule()
    @precondition(lambda self: self.overridden())
    def have_again(self) -> None:
        name = min(self.overridden())
        self.machine.apply(lambda host: overriding.override_reset(host, [name]))

    @rule(version=st.sampled_from("12"))
    def layer_a_file(self, version: str) -> None:
        path = str(next(self.files.rglob(f"loc-{version}-*.rpm")))
        self.machine.apply(lambda host: verbs.install(host, [path], idempotent=True))


AnyHistoryWithOverrides.TestCase.settings = settings(
    AnyHistory.TestCase.settings, max_examples=EXAMPLES // 2, stateful_step_count=8
)
TestAnyHistoryWithOverrides = AnyHistoryWithOverrides.TestCase


class AnyHistoryWithLabels(AnyHistory):
    """The same where the base has an SELinux policy, and a layer may change it."""

    names = ("apple", "daemon", "local-contexts")
    more_of_base = (policy_package(),)
    more_to_layer = (local_contexts_package(),)

    @initialize()
    def a_machine(self) -> None:
        super().a_machine()
        self.machine.install("apple")  # to be labelled by one policy, and then by another


AnyHistoryWithLabels.TestCase.settings = settings(
    AnyHistory.TestCase.settings, max_examples=EXAMPLES // 2, stateful_step_count=6
)
TestAnyHistoryWithLabels = AnyHistoryWithLabels.TestCase
