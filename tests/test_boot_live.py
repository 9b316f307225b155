"""Live changes on a machine that really booted: two boots in QEMU (`make test-boot`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from testdata.distro.apt import ensure_selection
from testdata.distro.cache import default_cache
from testdata.distro.configuration import read_demo_set
from testdata.distro.debian import convert_deb
from testdata.distro.rpmwriter import encode_rpm
from tests.guest import Step, live

pytestmark = pytest.mark.slow

STEPS = ("live-1-apply", "live-2-after")
LAYERS = ["demo-daemon", "htop", "strace"]
_TIMEOUT = 1500  # seconds: a dozen verbs in one boot, and the machine may be busy


def newer_libc() -> bytes:
    """The base's C library once more: a byte longer, and newer by name."""
    wanted = read_demo_set()
    selection = ensure_selection(default_cache(), wanted.base, wanted.layers)
    spec = convert_deb(selection.path("libc6"), selection.known_names)
    files = tuple(
        replace(file, content=file.content + b"\0") if file.path.endswith("/libc.so.6") else file
        for file in spec.files
    )
    assert files != spec.files
    other = replace(spec, release=f"{spec.release}.1", scriptlets=(), file_triggers=())
    return encode_rpm(replace(other, files=files))


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Two boots."""
    scratch = tmp_path_factory.mktemp("boot")
    return live(STEPS, scratch, files={"libc6.rpm": newer_libc()}, timeout=_TIMEOUT)


@pytest.fixture(scope="module")
def first(life: Mapping[str, Step]) -> Step:
    """The boot in which things are live."""
    return life["live-1-apply"]


def test_every_command_does_what_it_should(first: Step) -> None:
    statuses = {k: int(v) for k, v in first.said.items() if k.startswith("status.")}
    views = ("before", "live", "reset", "more", "refused", "back")
    commands = (
        *("pin", "htop", "reset", "apply", "always", "daemon", "start", "verify", "strace", "libc"),
        "back",
    )
    assert statuses == {
        **{f"status.json-{name}": 0 for name in views},
        **{f"status.{name}": 0 for name in commands},
        "status.refused": 1,
    }


def test_a_program_runs_at_once_and_after_a_reset_no_more(first: Step) -> None:
    assert (first.said["htop-before"], first.said["htop-reset"]) == ("", "")
    for name in ("live", "more", "refused", "back"):
        assert first.said[f"htop-{name}"].startswith("htop ")
    print(f"\nfrom the command to a usable program: {first.said['usable']} s", end="")
    print(f", {first.said['swap']}")
    assert first.said["worker"] == "alive"


def test_status_says_at_every_moment_what_is_live(first: Step) -> None:
    def checksums(name: str) -> tuple[object, ...]:
        """What boots next, what has booted, and what is live."""
        found = [first.deployment(n, name) for n in (0, 1)]
        next_one, booted = found if found[0]["staged"] else (None, found[0])
        assert booted["booted"] is True
        assert booted["live-inprogress"] is None
        pending = next_one["checksum"] if next_one else None
        return (pending, booted["checksum"], booted["live-replaced"])

    assert "json-before.1" not in first.said
    booted = first.deployment(0, "before")
    assert (booted["booted"], booted["live-replaced"]) == (True, None)
    htop, base, seen = checksums("live")
    assert (base, seen) == (booted["checksum"], htop)
    assert checksums("reset") == (htop, base, None)
    more, _, seen = checksums("more")
    assert more == seen != htop
    other, _, seen = checksums("refused")
    assert seen == more != other
    assert checksums("back") == (more, base, more)


def test_a_service_of_a_package_can_be_started(first: Step) -> None:
    said = first.said
    assert (said["daemon"], said["daemon-runs-as"]) == ("active", "demod")
    assert said["demod-owns"] == "demod:demod:640"
    assert said["demod-state"] == "demod:demod:640 demod:demod:755"


def test_a_service_with_mounts_of_its_own_stays_where_it_is_pinned(first: Step) -> None:
    assert first.said["htop-of-pinned"] == "none"


def test_a_service_that_is_always_pinned_keeps_what_it_saw_at_its_start(first: Step) -> None:
    assert first.said["strace"].startswith("strace -- version ")
    assert first.said["strace-of-daemon"] == "none"


def test_another_c_library_is_refused(first: Step) -> None:
    assert "the C library, which every program has loaded" in first.said["refused"]


def test_after_the_reboot_all_is_there_for_good(life: Mapping[str, Step]) -> None:
    after, first = life["live-2-after"], life["live-1-apply"]
    assert after.said["htop"].startswith("htop ")
    assert after.said["strace"].startswith("strace -- version ")
    assert (after.said["daemon"], after.said["demod-owns"][-15:]) == ("active", "demod:demod:640")
    booted = after.deployment(0)
    assert (booted["booted"], booted["packages"]) == (True, LAYERS)
    assert booted["checksum"] == first.deployment(0, "back")["checksum"]
    assert (booted["live-replaced"], after.said["left"]) == (None, "")
    assert sorted(after.said["settled"].split()) == ["ActiveState=active", "Result=success"]
    assert after.said["usr"] == "read-only"


def test_nothing_fails(life: Mapping[str, Step]) -> None:
    for step in life.values():
        assert (step.result.state, step.result.values("failed")) == ("running", ())
