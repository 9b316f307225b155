"""Solving over a locked base: real RPM metadata, real libsolv."""

from __future__ import annotations

import gzip
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layer.errors import InvalidInput, LayerError, NotFound, RepositoryError, StoreError, Unsolvable
from layer.fetch.packages import fetch_headers
from layer.model import (
    BaseState,
    LockedPackage,
    Nevra,
    Package,
    Preference,
    Repository,
    RepositoryMetadata,
    Request,
    RequestKind,
    Resolution,
    Selection,
)
from layer.report import SILENT
from layer.solver.resolve import classify, resolve
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import tiny_rpm
from tests.solving import added, installed, offered

COMPOSE = BaseState(None, "x86_64")


def package(*names: str) -> tuple[Request, ...]:
    return tuple(Request(RequestKind.PACKAGE, name) for name in names)


def provide(*texts: str) -> tuple[Request, ...]:
    return tuple(Request(RequestKind.PROVIDE, text) for text in texts)


def path(*texts: str) -> tuple[Request, ...]:
    return tuple(Request(RequestKind.PATH, text) for text in texts)


@pytest.fixture
def offer(tmp_path: Path) -> Callable[..., RepositoryMetadata]:
    """Makes a repository of packages and fetches its metadata."""

    def make(*specs: RpmSpec, name: str = "r", priority: int = 99) -> RepositoryMetadata:
        return offered(tmp_path, *specs, name=name, priority=priority)

    return make


@pytest.fixture
def base_of(tmp_path: Path) -> Callable[..., BaseState]:
    """Makes an rpm database that holds packages."""

    def make(*specs: RpmSpec) -> BaseState:
        return BaseState(installed(tmp_path, *specs))

    return make


Offer = Callable[..., RepositoryMetadata]
BaseOf = Callable[..., BaseState]


def raised(error: type[LayerError], call: Callable[[], object]) -> LayerError:
    with pytest.raises(error) as caught:
        call()
    return caught.value


# --- what is added ------------------------------------------------------------------------------


def test_requirements_are_added_with_who_asked_and_who_needs(
    offer: Offer, base_of: BaseOf, tmp_path: Path
) -> None:
    base = base_of(tiny_rpm("base-shell", arch="x86_64", provides=["shell"]))
    metadata = offer(
        tiny_rpm("app", "/usr/bin/app", arch="x86_64", requires=["lib >= 1", "shell"]),
        tiny_rpm("lib", requires=["deep"]),
        tiny_rpm("deep", epoch=1),
        tiny_rpm("other-shell", provides=["shell"]),
    )

    def expected(name: str, arch: str, installed: int, evr: str = "1-1") -> Package:
        file = tmp_path / "repositories/r" / f"{name}-1-1.{arch}.rpm"
        checksum = subprocess.check_output(["sha256sum", file], text=True).split()[0]
        range_ = subprocess.check_output(
            [sys.executable, "-c", _HEADER_END, file], text=True
        ).strip()
        return Package(
            Nevra.parse(f"{name}-{evr}.{arch}"),
            checksum,
            file.stat().st_size,
            installed,
            "r",
            file.name,
            (0, int(range_)),
            f"The package {name}",
        )

    assert resolve(base, [metadata], package("app")) == Resolution(
        selections=(
            Selection(expected("app", "x86_64", 6), requests=package("app")),
            Selection(expected("deep", "noarch", 0, "1:1-1"), needed_by=("lib",)),
            Selection(expected("lib", "noarch", 0), needed_by=("app",)),
        ),
        requests=package("app"),
    )


_HEADER_END = """
import sys
from pathlib import Path
from layer.fetch.packages import _needed_bytes
print(_needed_bytes(Path(sys.argv[1]).read_bytes()))
"""


def test_a_compose_starts_from_nothing_but_an_architecture(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("app", arch="x86_64", requires=["lib"]), tiny_rpm("lib", arch="x86_64")
    )
    assert added(resolve(COMPOSE, [metadata], package("app"))) == [
        "app-1-1.x86_64",
        "lib-1-1.x86_64",
    ]
    assert raised(StoreError, lambda: resolve(BaseState(), [metadata], package("app")))


def test_recommended_packages_are_left_out_unless_asked_for(offer: Offer) -> None:
    metadata = offer(tiny_rpm("app", recommends=["extra"]), tiny_rpm("extra"))
    assert added(resolve(COMPOSE, [metadata], package("app"))) == ["app-1-1.noarch"]
    both = resolve(
        COMPOSE, [metadata], package("app"), preference=Preference(with_recommended=True)
    )
    assert added(both) == ["app-1-1.noarch", "extra-1-1.noarch"]


def test_what_only_a_scriptlet_requires_counts_as_needed(offer: Offer) -> None:
    spec = RpmSpec("app", arch="noarch", pre_requires=("tool",))
    resolution = resolve(COMPOSE, [offer(spec, tiny_rpm("tool"))], package("app"))
    assert [each.needed_by for each in resolution.selections] == [(), ("app",)]


# --- requests -----------------------------------------------------------------------------------


FORMS = [
    (RequestKind.PACKAGE, "tool", "tool-1:3-1.x86_64"),
    (RequestKind.PACKAGE, "tool-2", "tool-2-5.x86_64"),
    (RequestKind.PACKAGE, "tool-2-5", "tool-2-5.x86_64"),
    (RequestKind.PACKAGE, "tool-0:2-5.x86_64", "tool-2-5.x86_64"),
    (RequestKind.PACKAGE, "tool-1:3-1.x86_64", "tool-1:3-1.x86_64"),
    (RequestKind.PACKAGE, "tool.x86_64", "tool-1:3-1.x86_64"),
    (RequestKind.PACKAGE, "dash-2-tool", "dash-2-tool-1-1.noarch"),
    (RequestKind.PROVIDE, "webserver", "httpd-1-1.noarch"),
    (RequestKind.PROVIDE, "pkgconfig(x)", "x-devel-1-1.noarch"),
    (RequestKind.PROVIDE, "pkgconfig(x) >= 2", "x-devel-1-1.noarch"),
    (RequestKind.PROVIDE, "pkgconfig(x)=2.1", "x-devel-1-1.noarch"),
    (RequestKind.PROVIDE, "libfoo.so.1()(64bit)", "x-devel-1-1.noarch"),
    (RequestKind.PROVIDE, "(webserver and tool < 3)", "tool-2-5.x86_64"),
    (RequestKind.PATH, "/usr/bin/tool", "tool-1:3-1.x86_64"),
    (RequestKind.PATH, "/usr/share/x/hidden", "x-devel-1-1.noarch"),
]


@pytest.fixture
def many(offer: Offer) -> RepositoryMetadata:
    return offer(
        tiny_rpm("tool", "/usr/bin/tool", version="2", release="5", arch="x86_64"),
        tiny_rpm("tool", "/usr/bin/tool", version="3", epoch=1, arch="x86_64"),
        tiny_rpm("dash-2-tool"),
        tiny_rpm("httpd", provides=["webserver"]),
        tiny_rpm(
            "x-devel",
            "/usr/share/x/hidden",
            provides=["pkgconfig(x) = 2.1", "libfoo.so.1()(64bit)"],
        ),
    )


@pytest.mark.parametrize(("kind", "text", "nevra"), FORMS)
def test_every_form_of_a_request_finds_its_package(
    many: RepositoryMetadata, kind: RequestKind, text: str, nevra: str
) -> None:
    assert classify([text], COMPOSE, [many]) == (Request(kind, text),)
    if not text.startswith("("):
        resolution = resolve(COMPOSE, [many], [Request(kind, text)])
        assert added(resolution) == [nevra]
        assert resolution.selections[0].requests == (Request(kind, text),)


def test_words_that_need_no_repository_are_classified(many: RepositoryMetadata) -> None:
    words = ["@editors", "./x.rpm", "https://h.example/x.rpm", "nosuch"]
    assert classify(words, COMPOSE, [many]) == (
        Request(RequestKind.GROUP, "@editors"),
        Request(RequestKind.FILE, "./x.rpm"),
        Request(RequestKind.FILE, "https://h.example/x.rpm"),
        Request(RequestKind.PROVIDE, "nosuch"),
    )
    for word in ("", " ", "a\nb"):
        assert raised(InvalidInput, lambda word=word: classify([word], COMPOSE, [many]))


def test_a_package_of_the_base_or_the_lock_is_a_package(base_of: BaseOf, tmp_path: Path) -> None:
    base = base_of(tiny_rpm("in-base", arch="x86_64"))
    header, locked = header_of(tmp_path, tiny_rpm("in-lock"))
    found = classify(["in-base", "in-lock"], base, [], lock=[locked], locked_headers=header)
    assert found == package("in-base", "in-lock")


def test_everything_missing_is_named_at_once_with_near_names(many: RepositoryMetadata) -> None:
    requests = [*provide("nosuch2", "nosuch1", "htpd"), *path("/nosuch"), *package("tool")]
    error = raised(NotFound, lambda: resolve(COMPOSE, [many], requests))
    assert (error.message, error.hint) == (
        "no enabled repository has /nosuch, htpd, nosuch1, nosuch2",
        "did you mean httpd?",
    )
    error = raised(NotFound, lambda: resolve(COMPOSE, [], package("tool")))
    assert error.message == "without repositories, nothing has tool"


def test_kinds_that_come_later_are_refused(many: RepositoryMetadata) -> None:
    requests = [Request(kind, "x") for kind in (RequestKind.GROUP, RequestKind.BUNDLE)]
    error = raised(InvalidInput, lambda: resolve(COMPOSE, [many], requests))
    assert error.message == "x: bundles are not supported yet\nx: groups are not supported yet"


# --- filelists ----------------------------------------------------------------------------------


def without_filelists(metadata: RepositoryMetadata) -> RepositoryMetadata:
    """The same metadata with filelists that must not be read."""
    assert metadata.filelists
    damaged = metadata.filelists.with_name("damaged.xml")
    damaged.write_text("<filelists")
    return RepositoryMetadata(
        metadata.repository, metadata.repomd_checksum, metadata.primary, damaged
    )


def test_filelists_are_read_only_where_a_solution_depends_on_them(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("app", "/usr/bin/app", requires=["/usr/bin/tool"]),
        tiny_rpm("tool", "/usr/bin/tool", "/usr/share/tool/data"),
        tiny_rpm("unrelated", requires=["/usr/share/tool/data"]),
    )
    blind = without_filelists(metadata)
    assert len(added(resolve(COMPOSE, [blind], package("app")))) == 2
    assert len(added(resolve(COMPOSE, [blind], path("/usr/bin/app")))) == 2
    assert raised(NotFound, lambda: resolve(COMPOSE, [blind], path("/usr/bin/nosuch")))
    for requests in (package("unrelated"), path("/usr/share/tool/data"), path("/usr/lib/nosuch")):
        assert raised(RepositoryError, lambda r=requests: resolve(COMPOSE, [blind], r))
    assert added(resolve(COMPOSE, [metadata], package("unrelated"))) == [
        "tool-1-1.noarch",
        "unrelated-1-1.noarch",
    ]


def test_the_newest_version_is_not_passed_over_for_a_file_in_filelists(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("app", version="1"),
        tiny_rpm("app", version="2", requires=["/usr/share/data/x"]),
        tiny_rpm("data", "/usr/share/data/x"),
    )
    assert added(resolve(COMPOSE, [metadata], package("app"))) == [
        "app-2-1.noarch",
        "data-1-1.noarch",
    ]


def test_a_file_that_nobody_has_is_named(offer: Offer) -> None:
    metadata = offer(tiny_rpm("app", requires=["/usr/share/data/x"]))
    error = raised(Unsolvable, lambda: resolve(COMPOSE, [metadata], package("app")))
    assert error.message == (
        "app-1-1.noarch needs /usr/share/data/x, which no enabled repository provides"
    )


# --- the base stays as it is --------------------------------------------------------------------


def test_another_version_of_what_the_base_has_names_both(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("libc6", version="2.36", release="9", arch="x86_64"))
    metadata = offer(
        tiny_rpm("demo-newglibc", arch="x86_64", requires=["libc6 = 9.99-1"]),
        tiny_rpm("newer", arch="x86_64", requires=["libc6 >= 2.40"]),
        tiny_rpm("libc6", version="2.40", release="1", arch="x86_64"),
    )
    error = raised(Unsolvable, lambda: resolve(base, [metadata], package("newer", "demo-newglibc")))
    assert error.message.splitlines() == [
        "demo-newglibc-1-1.x86_64 needs libc6 = 9.99-1, which no enabled repository provides;"
        " the base has libc6-2.36-9.x86_64",
        "libc6-2.40-1.x86_64 would replace libc6-2.36-9.x86_64 of the base:"
        " newer-1-1.x86_64 needs libc6 >= 2.40",
    ]
    assert error.hint == (
        "packages of the base stay as they are: ask for another version, or wait for a newer base"
    )
    error = raised(Unsolvable, lambda: resolve(base, [metadata], package("libc6-2.40")))
    assert error.message == "libc6-2.40-1.x86_64 would replace libc6-2.36-9.x86_64 of the base"


def test_obsoleting_or_conflicting_with_the_base_is_refused(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("old", version="1", arch="x86_64"))
    metadata = offer(
        tiny_rpm("renamed", obsoletes=["old < 2"]),
        tiny_rpm("enemy", conflicts=["old"]),
        tiny_rpm("wants", requires=["renamed"]),
    )
    error = raised(Unsolvable, lambda: resolve(base, [metadata], package("wants", "enemy")))
    assert error.message.splitlines() == [
        "enemy-1-1.noarch would conflict with old-1-1.x86_64 of the base",
        "renamed-1-1.noarch would obsolete old-1-1.x86_64 of the base:"
        " wants-1-1.noarch needs renamed",
    ]


def test_an_older_version_that_fits_the_base_is_taken(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("libc6", version="2.36", arch="x86_64"))
    metadata = offer(
        tiny_rpm("app", version="2", requires=["libc6 >= 2.40"]),
        tiny_rpm("app", version="1", requires=["libc6 >= 2.30"]),
        tiny_rpm("libc6", version="2.41", arch="x86_64"),
    )
    assert added(resolve(base, [metadata], package("app"))) == ["app-1-1.noarch"]


def test_requests_that_exclude_each_other_are_named(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("lib", version="1"),
        tiny_rpm("lib", version="2"),
        tiny_rpm("a", requires=["lib = 1"]),
        tiny_rpm("b", requires=["lib = 2"]),
    )
    error = raised(Unsolvable, lambda: resolve(COMPOSE, [metadata], package("b", "a")))
    assert error.message == (
        "lib-1-1.noarch and lib-2-1.noarch exclude each other:"
        " a-1-1.noarch needs lib = 1, b-1-1.noarch needs lib = 2"
    )


def test_every_reason_is_named_at_once(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("libc6", version="2.36", arch="x86_64"))
    metadata = offer(
        tiny_rpm("app", requires=["gone", "lost", "plugin"]),
        tiny_rpm("plugin", requires=["vanished(x)", "libc6 >= 9"]),
        tiny_rpm("more", requires=["gone"]),
        tiny_rpm("newest", requires=["libc6 > 2.36"]),
        tiny_rpm("libc6", version="2.40", arch="x86_64"),
    )
    requests = package("app", "more", "newest")
    error = raised(Unsolvable, lambda: resolve(base, [metadata], requests))
    missing = "which no enabled repository provides"
    assert error.message.splitlines() == [
        f"app-1-1.noarch needs gone, {missing}",
        f"app-1-1.noarch needs lost, {missing}",
        "libc6-2.40-1.x86_64 would replace libc6-2.36-1.x86_64 of the base:"
        " newest-1-1.noarch needs libc6 > 2.36",
        f"more-1-1.noarch needs gone, {missing}",
        f"plugin-1-1.noarch needs libc6 >= 9, {missing}; the base has libc6-2.36-1.x86_64",
        f"plugin-1-1.noarch needs vanished(x), {missing}",
    ]


def test_a_broken_requirement_within_the_base_is_no_concern(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("lame", arch="x86_64", requires=["gone"]))
    assert added(resolve(base, [offer(tiny_rpm("app"))], package("app"))) == ["app-1-1.noarch"]


# --- requests that the base fulfils -------------------------------------------------------------


def test_only_new_requests_may_be_refused_because_the_base_has_them(
    offer: Offer, base_of: BaseOf
) -> None:
    base = base_of(
        tiny_rpm("bash", "/usr/bin/bash", version="5.2", arch="x86_64", provides=["shell"])
    )
    metadata = offer(tiny_rpm("bash", version="5.3", arch="x86_64"), tiny_rpm("jq"))
    requests = (*package("bash", "jq"), *path("/usr/bin/bash"), *provide("shell"))
    inactive = (requests[0], requests[2], requests[3])

    old = resolve(base, [metadata], requests)
    assert (added(old), old.inactive) == (["jq-1-1.noarch"], inactive)
    assert set(old.requests) == set(requests)
    new = frozenset((requests[0], requests[3]))
    allowed = resolve(base, [metadata], requests, new=new, allow_inactive=True)
    assert allowed == old
    error = raised(InvalidInput, lambda: resolve(base, [metadata], requests, new=new))
    assert error.message.splitlines() == [
        "bash is already in the base: bash-5.2-1.x86_64",
        "shell is already in the base: bash-5.2-1.x86_64",
    ]
    assert error.hint and error.hint.startswith("--allow-inactive")


# --- the lock -----------------------------------------------------------------------------------


def header_of(tmp_path: Path, spec: RpmSpec) -> tuple[dict[str, Path], LockedPackage]:
    """A package that was layered before: its header alone, and its place in the lock."""
    directory = tmp_path / "earlier"
    directory.mkdir(exist_ok=True)
    file = write_rpm(spec, directory)
    checksum = subprocess.check_output(["sha256sum", file], text=True).split()[0]
    nevra = Nevra.parse(f"{spec.name}-{spec.evr}.{spec.arch}")
    whole = Package(nevra, checksum, file.stat().st_size, 0, "earlier", file.name)
    repository = Repository("earlier", "", (directory.as_uri(),))
    header = fetch_headers([whole], [repository], tmp_path / "headers", SILENT)[whole]
    return {checksum: header}, LockedPackage(nevra, checksum)


def lock_of(resolution: Resolution) -> tuple[LockedPackage, ...]:
    return tuple(
        LockedPackage(each.package.nevra, each.package.checksum) for each in resolution.selections
    )


def test_a_locked_package_stays_though_a_newer_one_is_there(offer: Offer) -> None:
    old = offer(tiny_rpm("tmux", requires=["lib"]), tiny_rpm("lib"), name="old")
    lock = lock_of(resolve(COMPOSE, [old], package("tmux")))
    new = offer(
        tiny_rpm("tmux", version="2", requires=["lib >= 2"]),
        tiny_rpm("lib", version="2"),
        tiny_rpm("jq", requires=["lib"]),
        name="new",
        priority=1,
    )
    requests = package("tmux", "jq")
    assert added(resolve(COMPOSE, [old, new], requests, lock=lock)) == [
        "jq-1-1.noarch",
        "lib-1-1.noarch",
        "tmux-1-1.noarch",
    ]
    assert added(resolve(COMPOSE, [old, new], requests)) == [
        "jq-1-1.noarch",
        "lib-2-1.noarch",
        "tmux-2-1.noarch",
    ]


def test_a_locked_package_moves_where_a_request_demands_it(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("lib", version="1"),
        tiny_rpm("lib", version="2"),
        tiny_rpm("other", version="1"),
        tiny_rpm("other", version="2"),
        tiny_rpm("app", requires=["lib", "other"]),
        tiny_rpm("strict", requires=["lib >= 2"]),
    )
    start = resolve(COMPOSE, [metadata], package("app", "lib-1", "other-1"))
    requests = package("app", "strict")
    assert added(resolve(COMPOSE, [metadata], requests, lock=lock_of(start))) == [
        "app-1-1.noarch",
        "lib-2-1.noarch",
        "other-1-1.noarch",
        "strict-1-1.noarch",
    ]
    named = resolve(COMPOSE, [metadata], package("app", "lib-2"), lock=lock_of(start))
    assert "lib-2-1.noarch" in added(named)


def test_a_new_package_comes_in_the_version_that_leaves_the_others_alone(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("app", requires=["lib"]),
        tiny_rpm("lib", version="1"),
        tiny_rpm("lib", version="2"),
        tiny_rpm("new", version="1", requires=["lib"]),
        tiny_rpm("new", version="2", requires=["lib >= 2"]),
    )
    lock = lock_of(resolve(COMPOSE, [metadata], package("app", "lib-1")))
    requests = package("app", "new")
    assert added(resolve(COMPOSE, [metadata], requests, lock=lock)) == [
        "app-1-1.noarch",
        "lib-1-1.noarch",
        "new-1-1.noarch",
    ]
    assert added(resolve(COMPOSE, [metadata], requests)) == [
        "app-1-1.noarch",
        "lib-2-1.noarch",
        "new-2-1.noarch",
    ]


def test_the_locked_provider_stays(offer: Offer) -> None:
    metadata = offer(
        tiny_rpm("apache", provides=["webserver"]),
        tiny_rpm("nginx", provides=["webserver"]),
        tiny_rpm("site", requires=["webserver"]),
    )
    assert added(resolve(COMPOSE, [metadata], package("site"))) == [
        "apache-1-1.noarch",
        "site-1-1.noarch",
    ]
    lock = lock_of(resolve(COMPOSE, [metadata], package("nginx")))
    assert added(resolve(COMPOSE, [metadata], package("site"), lock=lock)) == [
        "nginx-1-1.noarch",
        "site-1-1.noarch",
    ]


def test_what_nothing_asks_for_any_more_goes_though_locked(offer: Offer) -> None:
    metadata = offer(tiny_rpm("tmux", requires=["lib"]), tiny_rpm("lib"), tiny_rpm("jq"))
    lock = lock_of(resolve(COMPOSE, [metadata], package("tmux", "jq")))
    assert added(resolve(COMPOSE, [metadata], package("jq"), lock=lock)) == ["jq-1-1.noarch"]


@pytest.mark.parametrize("has_repository", [False, True])
def test_a_locked_package_is_had_from_its_header_alone(
    offer: Offer, tmp_path: Path, has_repository: bool
) -> None:
    headers, locked = header_of(
        tmp_path, tiny_rpm("tmux", "/usr/bin/tmux", arch="x86_64", provides=["multiplexer"])
    )
    offered = [offer(tiny_rpm("tmux", version="2", arch="x86_64"))] if has_repository else []
    for requests in (package("tmux"), provide("multiplexer"), path("/usr/bin/tmux")):
        resolution = resolve(COMPOSE, offered, requests, lock=[locked], locked_headers=headers)
        assert resolution.selections == (
            Selection(
                Package(locked.nevra, locked.checksum, 0, 7, "", "", summary="The package tmux"),
                requests=requests,
            ),
        )


def test_a_locked_package_that_a_repository_has_is_had_from_there(
    offer: Offer, tmp_path: Path
) -> None:
    spec = tiny_rpm("tmux")
    headers, locked = header_of(tmp_path, spec)
    resolution = resolve(
        COMPOSE, [offer(spec)], package("tmux"), lock=[locked], locked_headers=headers
    )
    assert [each.package.repository for each in resolution.selections] == ["r"]


def test_a_rebuild_under_the_same_name_does_not_replace_the_locked_one(
    offer: Offer, tmp_path: Path
) -> None:
    headers, locked = header_of(tmp_path, tiny_rpm("tmux", "/usr/bin/tmux"))
    rebuilt = offer(tiny_rpm("tmux", "/usr/bin/tmux", "/usr/bin/more"))
    kept = resolve(COMPOSE, [rebuilt], package("tmux"), lock=[locked], locked_headers=headers)
    assert lock_of(kept) == (locked,)
    free = resolve(COMPOSE, [rebuilt], package("tmux"))
    assert lock_of(free) != (locked,)


def test_of_two_files_under_one_name_the_locked_one_stays(offer: Offer) -> None:
    a = offer(tiny_rpm("tmux", "/usr/bin/a"), name="a")
    z = offer(tiny_rpm("tmux", "/usr/bin/z"), name="z")
    for known in (a, z):
        lock = lock_of(resolve(COMPOSE, [known], package("tmux")))
        assert lock_of(resolve(COMPOSE, [a, z], package("tmux"), lock=lock)) == lock


def test_a_lock_does_not_hold_back_what_is_in_the_base_by_now(
    offer: Offer, base_of: BaseOf, tmp_path: Path
) -> None:
    headers, locked = header_of(tmp_path, tiny_rpm("tmux"))
    base = base_of(tiny_rpm("tmux", version="3", arch="x86_64"))
    resolution = resolve(base, [offer()], package("tmux"), lock=[locked], locked_headers=headers)
    assert resolution == Resolution((), package("tmux"), package("tmux"))


# --- the same result whatever the order ---------------------------------------------------------


def test_the_result_depends_on_no_order(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("base", arch="x86_64"))
    twin = tiny_rpm("twin", "/usr/bin/twin")
    repositories = [
        offer(twin, tiny_rpm("zebra", provides=["animal"]), name="c"),
        offer(twin, tiny_rpm("ape", provides=["animal"]), tiny_rpm("x", "/usr/bin/c"), name="b"),
        offer(tiny_rpm("x", "/usr/bin/a"), tiny_rpm("yak", provides=["animal"]), name="a"),
    ]
    requests = (*package("twin", "x"), *provide("animal"))
    results = {
        resolve(base, offered, wanted)
        for offered in itertools.permutations(repositories)
        for wanted in itertools.permutations(requests)
    }
    (result,) = results
    assert [(s.package.nevra.name, s.package.repository) for s in result.selections] == [
        ("ape", "b"),
        ("twin", "b"),
        ("x", "a"),
    ]


def test_lists_within_a_repository_may_come_in_any_order(offer: Offer, tmp_path: Path) -> None:
    metadata = offer(*(tiny_rpm(name, provides=["animal"]) for name in ("yak", "ape", "zebra")))
    text = gzip.decompress(metadata.primary.read_bytes()).decode()
    start, *packages = text.replace("</metadata>", "").split("<package ")
    results = set()
    for order in itertools.permutations(packages):
        primary = tmp_path / "primary.xml"
        primary.write_text("<package ".join([start, *order]) + "</metadata>")
        shuffled = RepositoryMetadata(metadata.repository, "", primary)
        results.add(resolve(COMPOSE, [shuffled], provide("animal")))
    assert [added(each) for each in results] == [["ape-1-1.noarch"]]


def test_the_preferred_repository_serves_what_several_have(offer: Offer) -> None:
    spec = tiny_rpm("app")
    offered = [offer(spec, name="a"), offer(spec, name="b", priority=10)]
    (selection,) = resolve(COMPOSE, offered, package("app")).selections
    assert selection.package.repository == "b"


def test_a_preferred_repository_wins_over_a_newer_version_elsewhere(offer: Offer) -> None:
    newer = offer(tiny_rpm("app", version="2"), name="a")
    preferred = offer(tiny_rpm("app", version="1"), name="b", priority=10)
    assert added(resolve(COMPOSE, [newer, preferred], package("app"))) == ["app-1-1.noarch"]


# --- architectures ------------------------------------------------------------------------------


def test_another_architecture_is_taken_only_when_asked_for(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("base", arch="x86_64"), tiny_rpm("old", arch="i686"))
    metadata = offer(
        tiny_rpm("wine", arch="x86_64"),
        tiny_rpm("wine", arch="i686", requires=["lib32"]),
        tiny_rpm("lib32", arch="i686"),
        tiny_rpm("app", arch="x86_64", requires=["lib32"]),
    )
    assert added(resolve(base, [metadata], package("wine"))) == ["wine-1-1.x86_64"]
    error = raised(Unsolvable, lambda: resolve(base, [metadata], package("app")))
    assert error.message == "app-1-1.x86_64 needs lib32, which no enabled repository provides"
    assert added(resolve(base, [metadata], package("wine.i686", "wine"))) == [
        "lib32-1-1.i686",
        "wine-1-1.i686",
        "wine-1-1.x86_64",
    ]


def test_an_asked_for_architecture_goes_beside_the_one_in_the_base(
    offer: Offer, base_of: BaseOf
) -> None:
    base = base_of(tiny_rpm("lib", arch="x86_64"))
    metadata = offer(tiny_rpm("lib", arch="i686"), tiny_rpm("lib", arch="x86_64"))
    assert added(resolve(base, [metadata], package("lib.i686"))) == ["lib-1-1.i686"]


def test_another_architecture_obsoletes_only_its_own(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("old", arch="x86_64"))
    metadata = offer(tiny_rpm("new", arch="i686", obsoletes=["old"]))
    assert added(resolve(base, [metadata], package("new.i686"))) == ["new-1-1.i686"]


def test_the_architecture_is_the_bases_and_not_the_hosts(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("base", arch="aarch64"), tiny_rpm("more"))
    metadata = offer(tiny_rpm("app", arch="aarch64"), tiny_rpm("app", version="2", arch="x86_64"))
    assert added(resolve(base, [metadata], package("app"))) == ["app-1-1.aarch64"]


def test_source_packages_are_not_offered(offer: Offer) -> None:
    metadata = offer(tiny_rpm("app", arch="src"))
    for text in ("app", "app.src", "app-1-1.src"):
        assert raised(NotFound, lambda text=text: resolve(COMPOSE, [metadata], package(text)))


# --- the base's database ------------------------------------------------------------------------


def test_reading_the_base_leaves_no_trace_in_it(offer: Offer, base_of: BaseOf) -> None:
    base = base_of(tiny_rpm("base", arch="x86_64"))
    assert base.database
    before = {file: file.read_bytes() for file in base.database.iterdir()}
    resolve(base, [offer(tiny_rpm("app"))], package("app"))
    assert {file: file.read_bytes() for file in base.database.iterdir()} == before


@pytest.mark.parametrize("macro", ["/var/lib/rpm", "/some/where/else", "/usr/lib/sysimage/rpm"])
def test_the_base_is_found_whatever_rpm_takes_for_its_database(
    offer: Offer, base_of: BaseOf, macro: str
) -> None:
    import rpm

    base = base_of(tiny_rpm("base", arch="x86_64"))
    metadata = offer(tiny_rpm("app", requires=["base"]))
    rpm.addMacro("_dbpath", macro)
    try:
        assert added(resolve(base, [metadata], package("app"))) == ["app-1-1.noarch"]
    finally:
        rpm.delMacro("_dbpath")


@pytest.mark.parametrize("home", ["/root", "/", "/no/such", ""])
def test_the_base_is_found_whatever_home_is(
    base_of: BaseOf, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    base = base_of(tiny_rpm("base", arch="x86_64"))
    assert classify(["base"], base, []) == package("base")


def test_a_base_without_packages_is_an_error(tmp_path: Path) -> None:
    error = raised(StoreError, lambda: resolve(BaseState(tmp_path), [], package("x")))
    assert str(tmp_path) in error.message


# --- bad metadata -------------------------------------------------------------------------------


def with_primary(metadata: RepositoryMetadata, path: Path) -> RepositoryMetadata:
    return RepositoryMetadata(metadata.repository, metadata.repomd_checksum, path)


def test_an_empty_repository_is_no_error(offer: Offer) -> None:
    offered = [offer(name="empty"), offer(tiny_rpm("app"))]
    assert added(resolve(COMPOSE, offered, package("app"))) == ["app-1-1.noarch"]


@pytest.mark.parametrize("suffix", [".xml", ".xml.gz", ".xml.zst", ".xml.xz", ".xml.bz2"])
def test_what_is_no_metadata_names_the_repository(
    offer: Offer, tmp_path: Path, suffix: str
) -> None:
    metadata = offer(tiny_rpm("app"))
    page = tmp_path / f"page{suffix}"
    page.write_text("<!DOCTYPE html><html><body>Please log in</body></html>")
    error = raised(
        RepositoryError, lambda: resolve(COMPOSE, [with_primary(metadata, page)], package("app"))
    )
    assert error.message.startswith("repository r (file://")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_truncated_metadata_names_the_repository(
    offer: Offer, tmp_path: Path, part: float, is_compressed: bool
) -> None:
    metadata = offer(*(tiny_rpm(f"p{number}") for number in range(20)))
    whole = metadata.primary.read_bytes()
    whole = whole if is_compressed else gzip.decompress(whole)
    cut = tmp_path / ("cut.xml.gz" if is_compressed else "cut.xml")
    cut.write_bytes(whole[: int(len(whole) * part)])
    error = raised(
        RepositoryError, lambda: resolve(COMPOSE, [with_primary(metadata, cut)], package("p0"))
    )
    assert error.message.startswith("repository r (file://")


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ('href="app-1-1', 'href="../app-1-1', "app-1-1.noarch lies outside of the repository: ../"),
        ('href="app-1-1', 'href="/etc/app-1-1', "app-1-1.noarch lies outside of the repository: /"),
        ('href="app-1-1', 'href="http://evil/app', "app-1-1.noarch lies outside"),
        ("<location ", '<location xml:base="gopher://x" ', "app-1-1.noarch lies outside"),
        ('ver="1" rel="1"/>\n  <c', 'ver="a/../b" rel="1"/>\n  <c', "not a package's NEVRA"),
        ('type="sha256"', 'type="sha1"', "app-1-1.noarch comes without a SHA-256 checksum"),
    ],
)
def test_hostile_metadata_is_refused(
    offer: Offer, tmp_path: Path, old: str, new: str, fact: str
) -> None:
    metadata = offer(tiny_rpm("app"))
    text = gzip.decompress(metadata.primary.read_bytes()).decode()
    assert old in text
    primary = tmp_path / "primary.xml"
    text = text.replace(old, new)
    if "sha1" in new:
        text = re.sub("[0-9a-f]{64}", "ab" * 20, text)
    primary.write_text(text)
    error = raised(
        RepositoryError, lambda: resolve(COMPOSE, [with_primary(metadata, primary)], package("app"))
    )
    assert fact in error.message


def test_packages_of_another_url_have_it_in_their_location(offer: Offer, tmp_path: Path) -> None:
    metadata = offer(tiny_rpm("app"))
    text = gzip.decompress(metadata.primary.read_bytes()).decode()
    primary = tmp_path / "primary.xml"
    primary.write_text(text.replace("<location ", '<location xml:base="http://cdn.example/x/" '))
    (selection,) = resolve(COMPOSE, [with_primary(metadata, primary)], package("app")).selections
    assert selection.package.location == "http://cdn.example/x/app-1-1.noarch.rpm"
