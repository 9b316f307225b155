"""The guest's disks: a machine on a base with layer in it, and what it is served."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from testdata.distro.boot import make_image
from testdata.distro.cache import locked, remove_old_builds
from testdata.distro.demo import TREEFILE
from testdata.guest.build import GuestRepository, ensure_guest

REF = "demo/12/x86_64/guest"
STATEROOT = "guest"
# The guest serves its second disk to itself.
SERVED = "http://127.0.0.1:8000"
_LAYER = (sys.executable, "-m", "layer")
_SPARE = 1 << 30  # bytes: two more deployments, and packages
_KEPT_BUILDS = 2


@dataclass(frozen=True, slots=True)
class GuestDisks:
    """Images that are to be copied before they are written to."""

    system: Path
    served: Path  # `base/`: an OSTree repository with a newer base; `rpms/`, `more/`


def ensure_disks(work: Path, cache: Path | None = None) -> GuestDisks:
    """Return the disks, made first where `work` has none of these sources."""
    guest = ensure_guest(cache)
    sources = Path(__file__).read_bytes() + TREEFILE.read_bytes()
    key = sha256(guest.key.encode() + sources).hexdigest()[:16]
    target = work / f"disks-{key}"
    with locked(work):
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix="making-", dir=work) as scratch:
                finished = Path(scratch, "disks")
                finished.mkdir()
                _make(guest, work / "composed", finished)
                finished.rename(target)
            remove_old_builds(target, "disks-*", _KEPT_BUILDS)
    return GuestDisks(target / "system.img", target / "served.img")


def _make(guest: GuestRepository, kept: Path, finished: Path) -> None:
    """Write both images; what was composed and published stays in `kept`, for the next ones."""
    work = finished.parent
    cache, base = kept / "cache", kept / "base"
    for repo in (cache / "repo", base):
        if repo.exists():  # versions count from 1 again; imports and triggers' outputs stay
            _run("ostree", f"--repo={repo}", "refs", "--delete", REF)
    _compose(guest, cache, work, base)
    with _sysroot(work / "sysroot", base, cache / "repo") as sysroot:
        make_image(sysroot, finished / "system.img", spare=_SPARE)
    _compose(guest, cache, work, base, ("news", guest.news))
    _run("ostree", f"--repo={base}", "prune", "--refs-only")
    served = work / "served"
    shutil.copytree(guest.demo.path, served / "rpms", copy_function=os.link)
    shutil.copytree(base, served / "base", copy_function=os.link)
    shutil.copytree(guest.more, served / "more", copy_function=os.link)
    make_image(served, finished / "served.img", spare=_SPARE // 32)


def _compose(
    guest: GuestRepository, cache: Path, work: Path, base: Path, *more: tuple[str, Path]
) -> None:
    """The next version of the guest's base, published in `base`."""
    repos = work / "repos"
    repos.mkdir(exist_ok=True)
    repositories = {"demo": guest.demo.path, "guest": guest.path, **dict(more)}
    for name, path in repositories.items():
        (repos / f"{name}.repo").write_text(
            f"[{name}]\nname={name}\nbaseurl=file://{path}\nenabled=1\ngpgcheck=0\n"
        )
    text = TREEFILE.read_text()
    for line, instead in {
        'ref = "demo/12/x86_64/base"': f'ref = "{REF}"',
        'repositories = ["demo"]': f"repositories = {list(repositories)}",
        "packages = [": f"packages = [ {', '.join(map(_quoted, guest.packages))},",
    }.items():
        assert text.count(line) == 1, f"{TREEFILE} has no {line}"
        text = text.replace(line, instead)
    treefile = work / "guest-tree.toml"
    treefile.write_text(text)
    _layer("compose", "tree", treefile, "--repo", base, "--repo-dir", repos, "--cachedir", cache)


def _quoted(name: str) -> str:
    return f'"{name}"'


@contextmanager
def _sysroot(path: Path, base: Path, bare: Path) -> Iterator[Path]:
    """A machine on the base, that knows it by where the guest will find it.

    The objects come out of the `bare` repository, which is sooner done than pulling them.
    """
    where, repo = ("--sysroot", path), f"--repo={path}/ostree/repo"
    try:
        with _serving(base) as url:
            _layer("init", *where, "--stateroot", STATEROOT)
            _layer("remote", "add", *where, "--no-gpg-verify", "demo", url)
            _run("ostree", repo, "pull-local", "--remote=demo", bare, REF)
            _layer("rebase", *where, "-y", f"demo:{REF}")
        remote = '--group=remote "demo"'
        _run("ostree", "config", repo, remote, "set", "url", f"{SERVED}/base")
        yield path
    finally:
        # Deployments are immutable until told otherwise.
        deployments = path.glob("ostree/deploy/*/deploy/*.[0-9]")
        subprocess.run(["chattr", "-i", *map(str, deployments)], check=False)


def _layer(*words: str | Path) -> None:
    _run(*_LAYER, *words)


def _run(*words: str | Path) -> None:
    command = [str(word) for word in words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def _serving(directory: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
