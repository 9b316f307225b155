"""Packages of version 6, as rpm 6 builds them: taken whole, refused where a digest is wrong."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from layer.errors import PackageRefused
from layer.rpmfile.header import read_header
from layer.rpmfile.payload import read_payload
from testdata.distro.forge import Draft, int32, with_tags
from testdata.distro.rpmheader import Tag
from testdata.distro.rpmspec import FileSpec, RpmSpec
from tests.rpm_v6 import HEADER_DIGESTS, PAYLOAD_DIGESTS, New, encode_rpm_v6
from tests.test_import_fidelity import ODD, compare_all

SPEC = RpmSpec(
    "six",
    files=(
        FileSpec("/usr/bin/one", b"linked" * 9, mode=0o755),
        FileSpec.hardlink("/usr/bin/two", "/usr/bin/one"),
        FileSpec("/usr/lib/a", b"content"),
        FileSpec.directory("/usr/lib/d"),
        FileSpec.symlink("/usr/lib/l", "a"),
        FileSpec("/var/log/ghost", ghost=True),
    ),
)
PAYLOAD = tuple(tag for tag, *_ in PAYLOAD_DIGESTS)
HEADER = tuple(tag for tag, _ in HEADER_DIGESTS)


def content_of(folder: Path, data: bytes) -> dict[tuple[str, ...], bytes]:
    path = folder / "six.rpm"
    path.write_bytes(data)
    return {
        tuple(file.path for file in entry.files): b"".join(entry.chunks)
        for entry in read_payload(path, read_header(path))
    }


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(PackageRefused) as caught:
        content_of(folder, data)
    assert caught.value.message.isprintable()
    assert "six" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("codec", ["zstd", "gzip", "xz", "ufdio"])
def test_a_package_is_read_whole(tmp_path: Path, codec: str) -> None:
    assert content_of(tmp_path, encode_rpm_v6(SPEC, codec=codec)) == {
        ("/usr/bin/one", "/usr/bin/two"): b"linked" * 9,
        ("/usr/lib/a",): b"content",
        ("/usr/lib/d",): b"",
        ("/usr/lib/l",): b"",
    }
    header = read_header(tmp_path / "six.rpm")
    assert header.installed_size == 54 + 7 + 1
    assert [name for name, _ in header.payload_digests] == ["sha256", "sha3_256", "sha512"]


def test_rpm_agrees_that_it_is_a_package(tmp_path: Path) -> None:
    path = tmp_path / "six.rpm"
    path.write_bytes(encode_rpm_v6(SPEC))
    command = ["rpm", "-Kv", "--nosignature", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Header SHA256 digest: OK" in done.stdout
    assert "Payload SHA256 digest: OK" in done.stdout


def test_packages_come_in_as_rpm_installs_them(tmp_path: Path) -> None:
    rpms = []
    for name, spec in (("six", SPEC), ("odd", ODD)):
        rpms.append(tmp_path / f"{name}.rpm")
        rpms[-1].write_bytes(encode_rpm_v6(spec))
    found = compare_all(rpms, tmp_path)
    assert found.differences == []
    assert (found.packages, found.hardlinks) == (2, 2)


@pytest.mark.parametrize("tag", HEADER)
def test_a_wrong_header_digest_is_refused(tmp_path: Path, tag: New) -> None:
    wrong = refusal(tmp_path, encode_rpm_v6(SPEC, wrong=[tag]))
    alone = [other for other in HEADER if other is not tag]
    assert "sha3_256 digest is wrong" in wrong or "does not pass rpm's checks" in wrong
    refusal(tmp_path, encode_rpm_v6(SPEC, wrong=[tag], without=alone))


@pytest.mark.parametrize("tag", PAYLOAD)
def test_a_wrong_payload_digest_is_refused(tmp_path: Path, tag: New) -> None:
    expected = "six-1-1.x86_64: the digest of its payload is wrong: "
    assert refusal(tmp_path, encode_rpm_v6(SPEC, wrong=[tag])).startswith(expected)
    alone = [other for other in PAYLOAD if other is not tag]
    assert refusal(tmp_path, encode_rpm_v6(SPEC, wrong=[tag], without=alone)).startswith(expected)


@pytest.mark.parametrize("tag", PAYLOAD)
def test_one_payload_digest_is_enough(tmp_path: Path, tag: New) -> None:
    alone = [other for other in PAYLOAD if other is not tag]
    assert content_of(tmp_path, encode_rpm_v6(SPEC, without=alone))


def test_a_wrong_file_digest_is_refused(tmp_path: Path) -> None:
    lie = FileSpec("/usr/lib/lie", b"a", digest=hashlib.sha256(b"b").hexdigest())
    data = encode_rpm_v6(replace(SPEC, files=(*SPEC.files, lie)))
    assert refusal(tmp_path, data).endswith("/usr/lib/lie: the digest of its content is wrong")


def saying(tag: New | Tag, value: int) -> Callable[[Draft], Draft]:
    return lambda parts: with_tags(parts, int32(tag, value))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode_rpm_v6(SPEC, without=HEADER), "it has no digest that can be checked"),
        (encode_rpm_v6(SPEC, without=PAYLOAD), "its payload has no digest that can be checked"),
        (
            encode_rpm_v6(SPEC, without=PAYLOAD[1:], spoil=saying(New.PAYLOADSHA256ALGO, 99)),
            "payload digest algorithm 99 is unknown",
        ),
        (
            encode_rpm_v6(SPEC, spoil=saying(New.RPMFORMAT, 7)),
            "packages of version 7 are unknown",
        ),
        (
            encode_rpm_v6(SPEC, spoil=saying(Tag.FILEDIGESTALGO, 1)),
            "the digests of its files are too weak for its version",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    assert refusal(tmp_path, data).endswith(expected)
