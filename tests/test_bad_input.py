"""What cannot be meant, or cannot be read, is one clear error that changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import fails
from tests.test_cli_boot import rewrite_origin
from tests.world import REF, Machine, World

VERBS = (
    ["install", "-y", "web"],
    ["reset", "-y"],
    ["upgrade", "-y"],
    ["deploy", "-y", "1"],
    ["kargs", "-y", "--append=x"],
    ["initramfs", "-y", "--enable"],
    ["initramfs-etc", "-y", "--track", "/etc/tiny.conf"],
)
ORIGINS = {
    "container": (
        "[origin]\ncontainer-image-reference=ostree-unverified-registry:quay.io/x/y\n",
        "error: the base is a container image (ostree-unverified-registry:quay.io/x/y), "
        "which this version cannot layer over",
    ),
    # libostree itself reads all origins, and names the file.
    "no keyfile": ("this is no keyfile\n", "error: cannot open the sysroot "),
    "empty": ("", "error: the origin file names no base that this version knows"),
    "twice": (
        f"[origin]\nrefspec=tiny:{REF}\nrefspec=tiny:{REF}\n",
        "error: the origin file is corrupt: ",
    ),
    "regenerate": (
        f"[origin]\nrefspec=tiny:{REF}\n[rpmostree]\nregenerate-initramfs=maybe\n",
        "error: the origin file says regenerate-initramfs=maybe; it is true or false",
    ),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_an_origin_that_cannot_be_read_is_one_error(machine: Machine, name: str) -> None:
    text, error = ORIGINS[name]
    rewrite_origin(machine, text)
    for words in VERBS:
        assert fails(machine, *words)[0].startswith(error), words


@pytest.mark.parametrize("word", ["7", "1.2.3", "0123456789abcdef", "f" * 64, ""])
def test_an_unknown_version_is_one_error(machine_kept: Machine, word: str) -> None:
    assert fails(machine_kept, "deploy", "-y", word) == [
        f"error: the history of tiny:{REF} has no {word}",
        "hint: it has, the newest first: 1",
    ]


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_an_index_that_is_not_there_is_one_error(machine_kept: Machine, verb: str) -> None:
    assert fails(machine_kept, verb, "7") == [
        "error: there is no deployment 7 (there is: 0 to 1)",
        "hint: `layer status` lists the deployments, the first is 0",
    ]


def test_a_ref_whose_commit_is_partial_is_one_error(machine: Machine, world: World) -> None:
    """As an interrupted pull leaves it."""
    host = machine.host()
    checksum = world.base.checksum
    with host.store.transaction():
        host.store.set_ref("half/here", checksum)
    state = Path(machine.path, f"ostree/repo/state/{checksum}.commitpartial")
    state.parent.mkdir(exist_ok=True)
    state.touch()
    for words in (("rebase", "-y", "half/here"), ("rebase", "-n", "half/here")):
        assert fails(machine, *words) == [
            f"error: half/here: of commit {checksum} only a part is here",
            "hint: pull the rest of it while there is a network: leave out --cache-only",
        ]
