"""The tree that triggers make is the one that really running the scriptlets makes.

`make test-scriptlets` runs all of this and prints the report.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.build import ensure_demo
from testdata.distro.cache import default_cache
from testdata.distro.full import find_full
from tests.scriptlet_equivalence import compare, report
from tests.scriptlet_reasons import ALLOWED
from tests.scriptlet_sides import Workplace, both_sides, candidates, choose, make_base

# Fixed before anything was compared; another one: make test-scriptlets SEED=1
SEED = int(os.environ.get("LAYER_SCRIPTLETS_SEED", "20261121"))
FULL = 50
# Of the demonstration's: its alternative, its accounts, its caches, its unit.
SMALL = 4
# Packages whose scriptlets fail under dpkg, too.
FAILING = {"desktop-file-utils": "its program fails as long as there is no directory to read"}


@pytest.fixture(scope="module")
def small() -> Iterator[Workplace]:
    """A few packages over the demonstration's base, on a disk: an overlay needs one with xattrs."""
    repository = ensure_demo().path
    with tempfile.TemporaryDirectory(prefix="scriptlets-", dir=default_cache()) as scratch:
        chosen = choose(candidates(repository), SMALL, SEED)
        yield make_base(repository, chosen, Path(scratch))


def test_a_few_packages_give_the_same_tree(small: Workplace) -> None:
    with both_sides(small) as sides:
        found = compare(sides)
    print(f"\ndemo: {report(sides, SEED, len(candidates(ensure_demo().path)), found)}")
    assert found.differences == []
    assert [one for one in sides.ran if one.status and one.name not in FAILING] == []
    assert sum(one.commands for one in sides.ran) > len(sides.chosen)
    assert found.paths > 10_000


# A line that a real scriptlet gains, and what the comparison says.
MUTATIONS = (
    ("chmod 0700 /usr/bin/tar", "/usr/bin/tar: mode 0755 here, 0700 there"),
    ("chown games /usr/bin/sed", "/usr/bin/sed: user root here, games there"),
    ("chgrp games /usr/share/doc", "/usr/share/doc: group root here, games there"),
    ("echo >> /etc/issue", "/etc/issue: content"),
    ("mkdir -p /var/lib/mutant", "/var/lib/mutant: the triggers do not make it"),
    ("rm /usr/share/common-licenses/GPL", "/usr/share/common-licenses/GPL: the scriptlets do not"),
    ("ln -sfn elsewhere /etc/os-release", "/etc/os-release: target ../usr/lib/os-release here"),
    ("useradd -r -s /bin/sh mutant", "/etc/passwd: content [] here, ['mutant:x:mutant"),
    ("usermod -aG audio games", "/etc/group: content"),
    ("systemctl mask debug-shell.service", "/etc/systemd/system/debug-shell.service: the triggers"),
    ("mkdir -p /etc/rc2.d; touch /etc/rc2.d/S01mutant", "/etc/rc2.d/S01mutant: the triggers"),
)


def test_lines_with_effects_that_nothing_stands_in_for_are_seen(small: Workplace) -> None:
    body = "\n".join(f"{line} || :" for line, _ in MUTATIONS)
    name = next(
        one.header.nevra.name
        for one in small.chosen
        if any(s.slot == "post" and "\nset -- " in s.body for s in one.header.scriptlets)
    )
    with both_sides(small, {name: body}) as sides:
        differences = compare(sides).differences
    unseen = [
        (line, said)
        for line, said in MUTATIONS
        if not any(difference.startswith(said) for difference in differences)
    ]
    assert unseen == [], differences


def test_every_allowed_difference_has_a_reason() -> None:
    assert [row for row in ALLOWED if len(row.reason.split()) < 3] == []


@pytest.mark.slow
def test_fifty_packages_of_the_full_set_give_the_same_tree() -> None:
    full = find_full()
    if full is None:
        pytest.skip("not built: python -m testdata.distro.build --set full")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scriptlets-", dir=default_cache()) as scratch:
        among = candidates(full.path)
        chosen = choose(among, FULL, SEED)
        place = make_base(full.path, chosen, Path(scratch))
        with both_sides(place) as sides:
            found = compare(sides)
    print(f"\nfull, {time.monotonic() - started:.0f} s: {report(sides, SEED, len(among), found)}")
    assert found.differences == []
    assert [one for one in sides.ran if one.status and one.name not in FAILING] == []
    assert len(sides.chosen) == min(FULL, len(among))
