"""Two machines live through the same verbs, one recycles trees, one never: they stay the same."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from layer import booting, cleaning, transaction, verbs
from layer.errors import LayerError
from layer.host import Host
from layer.model import Deployment
from tests.recycling import described, edit_etc
from tests.world import Machine, World, base_packages, ostree, remove

NAMES = ("apple", "pear", "daemon", "web", "suid", "old-and-new")
# What the programs that a change runs cannot do without; and what makes the difference.
SPARED = ("passwd", "group", "shadow", "gshadow", "ld.so.cache", "layer")
LENGTH = 6
EXAMPLES = int(os.environ.get("RECYCLING_EXAMPLES", "200"))


@dataclass
class Two:
    """The two machines, and how often the first one really recycled a tree."""

    world: World
    machines: tuple[Machine, Machine]
    recycled: int = 0
    versions: list[int] = field(default_factory=lambda: [1])

    def do(self, act: Callable[[Host], object]) -> None:
        """Does the same on both, with the same outcome; they are the same afterwards."""
        before = self._trees()
        outcomes = [_outcome(machine.host(), act) for machine in self.machines]
        assert outcomes[0] == outcomes[1]
        new = self.machines[0].host().sysroot.deployments()
        self.recycled += any(_top(d.path) in before for d in new if str(d.path) not in before)
        assert _state(self.machines[0]) == _state(self.machines[1])

    def _trees(self) -> set[int | str]:
        path = self.machines[0].path
        found = [*path.glob("ostree/deploy/*/deploy/*.?"), *path.glob("ostree/layer/spare/*")]
        return {*map(_top, found), *map(str, found)}


def _top(tree: Path) -> int:
    return (tree / "usr").stat().st_ino


def _outcome(host: Host, act: Callable[[Host], object]) -> str:
    try:
        with host.locked():
            act(host)
    except LayerError as error:
        return error.message.replace(str(host.sysroot.path), "")
    return ""


def _state(machine: Machine) -> list[object]:
    deployments = machine.host().sysroot.deployments()
    entries = sorted(machine.path.glob("boot/loader/entries/*"))
    # Where a tree was recycled its number is free again.
    texts = [re.sub(r"(/\d+|\.\d|ostree:\d+)\b", "", path.read_text()) for path in entries]
    return [*map(_noun, deployments), texts]


def _noun(deployment: Deployment) -> tuple[object, ...]:
    paths = described(deployment.path, is_one_store=False)
    del paths["etc/layer/layer.toml"]
    return (deployment.checksum, deployment.origin, deployment.is_pinned, paths)


def install(two: Two, random: Random) -> None:
    names = sorted(random.sample(NAMES, random.randrange(1, 4)))
    two.do(lambda host: transaction.apply(host, verbs.install(host, names, idempotent=True)))


def uninstall(two: Two, random: Random) -> None:
    name = random.choice(NAMES)
    two.do(lambda host: transaction.apply(host, verbs.uninstall(host, [name])))


def upgrade(two: Two, random: Random) -> None:
    if random.random() < 0.7:
        two.versions.append(two.versions[-1] + 1)
        two.world.publish(*base_packages(str(two.versions[-1])))
        two.world.compose()
    two.do(lambda host: transaction.apply(host, verbs.upgrade(host)))


def roll_back(two: Two, random: Random) -> None:
    keep_etc = random.random() < 0.5
    two.do(lambda host: booting.write(host, verbs.rollback(host, keep_etc=keep_etc)[0]))


def clean_up(two: Two, random: Random) -> None:
    may_check_out = random.random() < 0.5
    two.do(lambda host: cleaning.clean_up(host, may_check_out=may_check_out))


def edit(two: Two, random: Random) -> None:
    seed = random.random()
    for machine in two.machines:
        edit_etc(machine.pending().path / "etc", Random(seed), spared=SPARED)


VERBS = (install, install, uninstall, upgrade, roll_back, clean_up, edit, edit)


@pytest.fixture
def two(own_world: World, tmp_path: Path) -> Iterator[Two]:
    """Both machines, on the same base, with some files in /etc for the admin to edit."""
    machines = (own_world.machine(tmp_path / "one"), own_world.machine(tmp_path / "other"))
    for machine, recycle in zip(machines, ("sampled", "never"), strict=True):
        etc = machine.pending().path / "etc"
        (etc / "layer").mkdir()
        (etc / "layer/layer.toml").write_text(f'recycle = "{recycle}"\n')
        for name in ("own/a/b.conf", "own/a/c.conf", "own/d.conf", "e.conf"):
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).write_text(name)
    yield Two(own_world, machines)
    remove([tmp_path / "one", tmp_path / "other"])


def run_sequences(two: Two, seeds: range) -> None:
    """Each sequence goes on where the last one ended."""
    for seed in seeds:
        random = Random(seed)
        for _ in range(LENGTH):
            random.choice(VERBS)(two, random)
        assert ostree("fsck", f"--repo={two.machines[0].path}/ostree/repo").endswith("found.\n")


def test_some_sequences_of_verbs_end_the_same(two: Two) -> None:
    run_sequences(two, range(4))
    assert two.recycled >= 3


# RECYCLING_EXAMPLES=1000 for more of them.
@pytest.mark.slow
def test_many_sequences_of_verbs_end_the_same(two: Two) -> None:
    run_sequences(two, range(EXAMPLES))
    assert two.recycled > EXAMPLES
