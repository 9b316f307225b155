"""How servers are reached: through proxies, with names and passwords, over TLS, not too fast."""

from __future__ import annotations

import base64
import hashlib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from layer.config import default_access, parse_defaults, parse_repositories
from layer.errors import InvalidInput, RepositoryError
from layer.fetch.metadata import fetch_metadata
from layer.fetch.packages import fetch_packages
from layer.model import Nevra, Package, Repository
from layer.report import SILENT
from layer.repository import Access, Tls
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine

SECRET = "s3cret"


def parse(*lines: str, main: str = "") -> Repository:
    defaults = parse_defaults(f"[main]\n{main}\n", "dnf.conf", {})
    text = "\n".join(["[r]", "baseurl=http://r.example/", *lines])
    (found,) = parse_repositories(text, "x.repo", {}, defaults)
    return found


def test_all_of_it_is_read() -> None:
    found = parse(
        *("proxy=http://proxy.example:3128", "proxy_username=p", "proxy_password=hush"),
        *("proxy_auth_method=basic", "proxy_sslverify=0", "username=u", "password=a:b"),
        *("sslverify=no", "sslverifystatus=1", "sslcacert=/ca", "sslclientcert=/c"),
        *("sslclientkey=/k", "timeout=1m", "minrate=2k", "bandwidth=4M", "throttle=50%"),
        *("retries=3", "max_parallel_downloads=2", "ip_resolve=IPv4", "user_agent=me/1"),
        *("metadata_expire=1.5h", "skip_if_unavailable=1"),
    )
    assert found.access == Access(
        proxy="http://proxy.example:3128",
        proxy_login="p:hush",
        proxy_method="basic",
        proxy_tls=Tls(is_checked=False),
        login="u:a:b",
        tls=Tls(is_checked=False, asks_status=True, authorities="/ca", certificate="/c", key="/k"),
        timeout=60,
        slowest=2048,
        fastest=2 << 20,
        retries=3,
        parallel=2,
        family="4",
        agent="me/1",
    )
    assert (found.metadata_expire, found.may_be_missing) == (5400, True)
    assert "hush" not in repr(found)
    assert "a:b" not in repr(found)


@pytest.mark.parametrize(
    ("text", "seconds"), [("never", -1), ("-1", -1), ("90", 90), ("6h", 21600), ("7d", 604800)]
)
def test_how_long_metadata_are_good(text: str, seconds: int) -> None:
    assert parse(f"metadata_expire={text}").metadata_expire == seconds


def test_main_stands_in_for_what_a_repository_does_not_say() -> None:
    main = "proxy=http://p:1\ntimeout=7\ngpgcheck=0\nexcludepkgs=a b\ncost=3\npriority=1"
    found = parse("timeout=8", "excludepkgs=c", main=main)
    assert (found.access.proxy, found.access.timeout) == ("http://p:1", 8)
    assert not found.checks_packages
    assert found.excludes == ("a", "b", "c")
    assert (found.cost, found.priority) == (1000, 99)  # as in dnf: a repository's own alone
    assert parse("proxy=_none_", main=main).access.proxy == ""
    assert parse().access.proxy is None
    assert default_access(parse_defaults(f"[main]\n{main}", "x", {})).timeout == 7


def test_what_is_wrong_is_named_where_it_stands_and_no_password() -> None:
    lines = ("timeout=soon", f"proxy=http://u:{SECRET}@p x", "retries=-1", "sslcacert=ca")
    with pytest.raises(InvalidInput) as caught:
        parse(*lines, "ip_resolve=5", main="minrate=fast\nproxy_auth_method=magic")
    assert caught.value.message.splitlines() == [
        "x.repo, [r]: proxy must be http://HOST:PORT, socks5://HOST:PORT or _none_",
        "dnf.conf, [main]: proxy_auth_method must be one of any, basic, digest, digest_ie, "
        "negotiate, none, ntlm, ntlm_wb, not 'magic'",
        "x.repo, [r]: sslcacert must be an absolute path, not 'ca'",
        "x.repo, [r]: timeout must be a time such as 90, 6h or 2d, not 'soon'",
        "dnf.conf, [main]: minrate must be a rate such as 500k or 2M, not 'fast'",
        "x.repo, [r]: retries must be a number, not '-1'",
        "x.repo, [r]: ip_resolve must be one of 4, 6, ipv4, ipv6, whatever, not '5'",
    ]


# --- against servers ----------------------------------------------------------------------------


@dataclass
class Seen:
    """What a server was asked: paths, and who asked."""

    paths: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    proxy_logins: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)


class _Handler(SimpleHTTPRequestHandler):
    """A web server that wants a login where `wanted` is one; a proxy for any host as well."""

    def __init__(self, *arguments: object, seen: Seen, wanted: str, **rest: object) -> None:
        self.seen, self.wanted = seen, wanted
        super().__init__(*arguments, **rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        headers = [self.headers.get(name, "") for name in ("Authorization", "Proxy-Authorization")]
        login, proxy_login = (_decoded(text) for text in headers)
        self.seen.paths.append(self.path)
        self.seen.logins.append(login)
        self.seen.proxy_logins.append(proxy_login)
        self.seen.agents.append(self.headers.get("User-Agent", ""))
        is_proxy = self.path.startswith("http:")
        if self.wanted not in ("", proxy_login if is_proxy else login):
            self.send_response(407 if is_proxy else 401)
            name = "Proxy-Authenticate" if is_proxy else "WWW-Authenticate"
            self.send_header(name, 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.path = urlsplit(self.path).path
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def _decoded(header: str) -> str:
    return base64.b64decode(header.removeprefix("Basic ")).decode()


@contextmanager
def serving(
    folder: Path, *, wanted: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Seen]]:
    seen = Seen()
    handler = partial(_Handler, directory=str(folder), seen=seen, wanted=wanted)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/", seen
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "www", tiny_rpm("small", "/usr/bin/small"))


def fetch(repository: Repository, tmp_path: Path) -> None:
    fetch_metadata(replace(repository, metadata_expire=0), tmp_path / "cache", SILENT)


def with_urls(repository: Repository, *urls: str) -> Repository:
    return replace(repository, base_urls=urls)


def test_a_proxy_is_asked_with_its_own_login(folder: Path, tmp_path: Path) -> None:
    with serving(folder, wanted=f"u:{SECRET}") as (url, seen):
        proxied = parse(f"proxy={url}", "proxy_username=u", f"proxy_password={SECRET}")
        fetch(proxied, tmp_path)
        assert "http://r.example/repodata/repomd.xml" in seen.paths
        assert set(seen.logins) == {""}


def test_a_url_is_fetched_as_dnf_conf_says(folder: Path, machine: Machine) -> None:
    conf = machine.pending().path / "etc/dnf/dnf.conf"
    conf.parent.mkdir(exist_ok=True)
    url = "http://r.example/small-1-1.noarch.rpm"
    with serving(folder, wanted=f"u:{SECRET}") as (proxy, seen):
        conf.write_text(
            f"[main]\nproxy={proxy}\nproxy_username=u\nproxy_password={SECRET}\n"
            f"username=me\npassword={SECRET}\nuser_agent=mine/1\n"
        )
        do(machine, "install", "-n", url)
        assert url in seen.paths
        assert (set(seen.logins), set(seen.agents)) == ({""}, {"mine/1"})
    conf.write_text("[main]\nproxy=http://a b\n")
    (error, *_) = fails(machine, "install", "-n", url)
    assert error.startswith("error: /etc/dnf/dnf.conf, [main]: proxy must be http://HOST:PORT")


def test_a_proxy_of_the_environment_counts_unless_none_is_wanted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder) as (url, seen), serving(folder) as (own, _):
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        fetch(with_urls(parse(), own), tmp_path)
        assert f"{own}repodata/repomd.xml" in seen.paths
        seen.paths.clear()
        fetch(with_urls(parse("proxy=_none_"), own), tmp_path)
        assert seen.paths == []


def test_a_dead_proxy_is_named_without_its_password(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        fetch(parse(f"proxy=http://u:{SECRET}@127.0.0.1:1"), tmp_path)
    assert "127.0.0.1" in caught.value.message
    assert SECRET not in caught.value.message


def test_a_server_gets_name_password_and_agent(folder: Path, tmp_path: Path) -> None:
    with serving(folder, wanted=f"u:{SECRET}") as (url, seen):
        right = parse("username=u", f"password={SECRET}", "user_agent=me/1")
        fetch(with_urls(right, url), tmp_path)
        assert set(seen.agents) == {"me/1"}
        seen.agents.clear()
        for wrong in (parse(), parse("username=u", f"password=not-{SECRET}")):
            with pytest.raises(RepositoryError) as caught:
                fetch(with_urls(wrong, url), tmp_path)
            assert caught.value.message.endswith("the server answers 401")
            assert SECRET not in caught.value.message
        assert set(seen.agents) == {"layer"}
        named = url.replace("//", f"//u:{SECRET}x@")
        with pytest.raises(RepositoryError) as caught:
            fetch(with_urls(parse(), named), tmp_path)
        assert "//u:***@127.0.0.1" in caught.value.message
        assert SECRET not in caught.value.message


def test_nobody_else_gets_the_password(folder: Path, tmp_path: Path) -> None:
    """Packages may lie elsewhere (xml:base), which metadata say that anybody may have written."""
    with serving(folder) as (url, ours), serving(folder) as (other, theirs):
        repository = with_urls(parse("username=u", f"password={SECRET}"), url)
        fetch(repository, tmp_path)
        (path,) = folder.glob("*.rpm")
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        nevra = Nevra.parse(path.stem)
        package = Package(nevra, checksum, size, 0, "r", f"{other}{path.name}")
        fetch_packages([package], [repository], tmp_path / "packages", SILENT)
    assert set(theirs.logins) == {""}
    assert f"u:{SECRET}" in ours.logins


def make_certificates(folder: Path) -> None:
    """An authority with a certificate for 127.0.0.1, which is good for a client as well."""
    folder.mkdir()
    run = partial(subprocess.run, check=True, capture_output=True, cwd=folder)
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "9"]
    run([*new, "-x509", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"])
    run([*new[:-2], "-subj", "/CN=127.0.0.1", "-keyout", "own.key", "-out", "own.csr"])
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ["openssl", "x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
    run([*sign, "-CAcreateserial", "-days", "9", "-extfile", "names", "-out", "own.pem"])


def test_tls_wants_known_authorities_and_may_want_a_clients_certificate(
    folder: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    make_certificates(keys)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "own.pem", keys / "own.key")
    context.load_verify_locations(keys / "ca.pem")
    known = f"sslcacert={keys}/ca.pem"
    ours = (f"sslclientcert={keys}/own.pem", f"sslclientkey={keys}/own.key")
    with serving(folder, tls=context) as (url, _):
        with pytest.raises(RepositoryError, match=r"(?i)certificate"):
            fetch(with_urls(parse(), url), tmp_path)
        fetch(with_urls(parse("sslverify=0"), url), tmp_path)
        fetch(with_urls(parse(known), url), tmp_path)
        with pytest.raises(RepositoryError):
            fetch(with_urls(parse("sslcacert=/no/such"), url), tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(folder, tls=context) as (url, _):
        with pytest.raises(RepositoryError):
            fetch(with_urls(parse(known), url), tmp_path)
        fetch(with_urls(parse(known, *ours), url), tmp_path)


def test_a_throttle_slows_down(tmp_path: Path) -> None:
    folder = tiny_repository(tmp_path / "www", tiny_rpm("small", "/usr/bin/small"))
    (folder / "repodata/repomd.xml").write_text(
        (folder / "repodata/repomd.xml").read_text() + f"<!--{'x' * 100_000}-->" * 35
    )
    with serving(folder) as (url, _):
        began = time.monotonic()
        fetch(with_urls(parse("throttle=1M"), url), tmp_path)
        assert time.monotonic() - began > 0.3
