"""Reading .repo files."""

from pathlib import Path

import pytest

from layer.config import is_base_url, is_safe_href, parse_repositories
from layer.errors import InvalidInput
from layer.model import Repository
from layer.repos import read_repositories
from layer.sections import repository_variables


def parse(text: str) -> tuple[Repository, ...]:
    return parse_repositories(text, "x.repo", {"basearch": "x86_64", "releasever": "12"})


def test_a_repository_is_read_with_its_variables_expanded() -> None:
    text = """
# a comment
[demo-$releasever]
name = Demo $releasever - ${basearch}
baseurl = http://a.example/$releasever/$basearch/, https://b.example/x
    file:///srv/demo
enabled=yes
priority = 10
gpgcheck=0
madeupkey = whatever
cost = 10
exclude = old*
excludepkgs = kernel*, *.i686
  debug-?
includepkgs = k*

; another
[off]
baseurl=http://off.example/$unknown
enabled=0
repo_gpgcheck=True
gpgkey=file:///etc/pki/a
  https://k.example/b
"""
    assert parse(text) == (
        Repository(
            "demo-12",
            "Demo 12 - x86_64",
            ("http://a.example/12/x86_64/", "https://b.example/x", "file:///srv/demo"),
            source="x.repo",
            priority=10,
            excludes=("old*", "kernel*", "*.i686", "debug-?"),
            includes=("k*",),
            cost=10,
            metadata_expire=2 * 86400,
        ),
        Repository(
            "off",
            "off",
            ("http://off.example/$unknown",),
            False,
            "x.repo",
            metadata_expire=2 * 86400,
            checks_packages=True,
            checks_metadata=True,
            keys=("file:///etc/pki/a", "https://k.example/b"),
        ),
    )


def test_main_is_no_repository() -> None:
    assert parse("[main]\nkeepcache=1\n") == ()


@pytest.mark.parametrize(
    ("line", "unsupported"),
    [
        ("baseurl=ftp://old.example/", "baseurl=ftp://old.example/ (only file://, http:// and"),
    ],
)
def test_settings_that_matter_for_safety_are_never_dropped(
    line: str, unsupported: str | None
) -> None:
    (repository,) = parse(f"[r]\nbaseurl=http://r.example/\n{line}\n")
    assert [text[: len(unsupported or "")] for text in repository.unsupported] == (
        [unsupported] if unsupported else []
    )


@pytest.mark.parametrize("key", ["mirrorlist", "metalink"])
def test_a_repository_of_mirrors_alone_names_their_list(key: str) -> None:
    (repository,) = parse(f"[r]\n{key}=http://m.example/list\n")
    assert (repository.base_urls, repository.unsupported) == ((), ())
    assert getattr(repository, key) == "http://m.example/list"


def test_all_that_is_wrong_is_named_at_once_with_line_or_key() -> None:
    text = """stray=1
[good]
baseurl=http://a.example
priority=high
[..]
baseurl=http://b.example
[good]
nonsense
[other]
enabled=perhaps
"""
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert caught.value.message.splitlines() == [
        "x.repo, line 1: a setting before the first [id]: stray=1",
        "x.repo, line 5: not a repository id: [..]",
        "x.repo, line 7: repository good is already in line 2",
        "x.repo, line 8: neither [id] nor key=value: nonsense",
        "x.repo, [good]: priority must be a number, not 'high'",
        "x.repo, [other]: enabled must be 0 or 1, not 'perhaps'",
        "x.repo, [other]: baseurl is missing",
    ]


@pytest.mark.parametrize(
    ("href", "is_safe"),
    [
        ("Packages/s/strace-6.1-1.x86_64.rpm", True),
        ("a/..b/c++-1~rc^2.rpm", True),
        ("", False),
        ("/etc/passwd", False),
        ("../other/x.rpm", False),
        ("a/../../x.rpm", False),
        ("a/%2e%2e/%2e%2e/x.rpm", False),
        ("%2fetc/passwd", False),
        ("http://evil.example/x.rpm", False),
        ("file:///etc/passwd", False),
        ("x.rpm?a=b", False),
        ("x.rpm#b", False),
        ("a\\..\\x.rpm", False),
        ("a\nb.rpm", False),
    ],
)
def test_hrefs_stay_below_the_repository(href: str, is_safe: bool) -> None:
    assert is_safe_href(href) is is_safe


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("http://a.example/x", True),
        ("https://a.example", True),
        ("file:///srv/x", True),
        ("file://localhost/srv", True),
        ("file://other/srv", False),
        ("ftp://a.example", False),
        ("/srv/x", False),
        ("http://", False),
        ("http://[::1", False),
    ],
)
def test_base_urls(url: str, is_valid: bool) -> None:
    assert is_base_url(url) is is_valid


def test_variables_are_left_out_where_unknown() -> None:
    assert repository_variables("12") == {"releasever": "12", "releasever_major": "12"}
    assert repository_variables("12", arch="i686") == {
        "releasever": "12",
        "releasever_major": "12",
        "arch": "i686",
        "basearch": "i386",
    }


def test_later_directories_win_and_the_result_is_sorted(tmp_path: Path) -> None:
    first, second, missing = tmp_path / "a", tmp_path / "b", tmp_path / "nosuch"
    first.mkdir()
    second.mkdir()
    (first / "z.repo").write_text(
        "[zed]\nbaseurl=http://a.example\n[b]\nbaseurl=http://a.example\n"
    )
    (second / "y.repo").write_text("[zed]\nbaseurl=http://b.example\n")
    (second / "ignored.conf").write_text("[not]\nbaseurl=http://c.example\n")
    assert [
        (each.id, each.base_urls) for each in read_repositories((first, missing, second), {})
    ] == [
        ("b", ("http://a.example",)),
        ("zed", ("http://b.example",)),
    ]


def test_every_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.repo").write_bytes(b"[r]\nname=\xff\n")
    (tmp_path / "b.repo").write_text("nonsense\n")
    (tmp_path / "c.repo").mkdir()
    with pytest.raises(InvalidInput) as caught:
        read_repositories((tmp_path,), {})
    assert caught.value.message.splitlines() == [
        f"{tmp_path}/a.repo: not UTF-8",
        f"{tmp_path}/b.repo, line 1: neither [id] nor key=value: nonsense",
        f"{tmp_path}/c.repo: Is a directory",
    ]
