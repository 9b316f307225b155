"""`make demo`: from nothing to a layered package on a machine's next boot.

python -m testdata.distro.demo [--boot] [--directory DIR]

Builds the demonstration's packages, composes a base of them, serves it over
HTTP, makes a sysroot, pulls, layers strace, and shows what came of it. With
--boot the sysroot is booted in QEMU. What was made stays in DIR to look at.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from testdata.distro.boot import boot_sysroot
from testdata.distro.build import ensure_demo

TREEFILE = Path(__file__).parent / "demo-tree.toml"
REF = "demo/12/x86_64/base"
LAYER = str(Path(sys.executable).with_name("layer"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration; exits with 1 where a command of it fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boot", action="store_true", help="boot the result in QEMU")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp/layer-demo"))
    options = parser.parse_args(arguments)
    started = time.monotonic()
    _say("the distribution: Debian's packages as RPMs")
    demo = ensure_demo()
    print(f"{len(demo.base)} packages for the base, {len(demo.layers)} to layer")
    work: Path = options.directory
    _clear(work)
    try:
        sysroot = _layer_strace(work, demo.path)
        if options.boot:
            _boot(sysroot)
    except subprocess.CalledProcessError as error:
        sys.exit(f"demo: {shlex.join(map(str, error.cmd))} failed with {error.returncode}")
    print(f"\n== done in {time.monotonic() - started:.0f} s; all of it is in {work}")


def _layer_strace(work: Path, packages: Path) -> Path:
    repos, served, sysroot = work / "repos", work / "served", work / "sysroot"
    repos.mkdir(parents=True)
    repos.joinpath("demo.repo").write_text(
        f"[demo]\nname=Demonstration\nbaseurl=file://{packages}\nenabled=1\ngpgcheck=0\n"
    )
    _say("a base commit, composed and published")
    _run(LAYER, "compose", "tree", TREEFILE, "--repo", served, "--repo-dir", repos)
    with _serve(served) as url:
        _say("a machine, on that base")
        _run(LAYER, "init", "--sysroot", sysroot, "--stateroot", "demo")
        _run(LAYER, "remote", "add", "--sysroot", sysroot, "--no-gpg-verify", "demo", url)
        _run(LAYER, "rebase", "--sysroot", sysroot, "-y", f"demo:{REF}")
    _say("strace, layered")
    _run(LAYER, "install", "--sysroot", sysroot, "--repo-dir", repos, "-y", "strace")
    _say("what there is now")
    _run(LAYER, "status", "--sysroot", sysroot)
    _run(LAYER, "run", "--sysroot", sysroot, "--", "strace", "-V")
    database = _deployment(sysroot) / "usr/share/rpm"
    _run("bwrap", "--ro-bind", "/", "/", "rpm", "--dbpath", database, "-q", "strace")
    _run("ostree", "fsck", "--quiet", f"--repo={sysroot}/ostree/repo")
    _run("ostree", "admin", "status", f"--sysroot={sysroot}")
    return sysroot


def _boot(sysroot: Path) -> None:
    _say("and it boots")
    result = boot_sysroot(sysroot)
    print("\n".join(result.lines))
    print(f"{result.state} after {result.seconds:.1f} s")
    if not result.is_running:
        sys.exit(f"demo: the machine came to {result.state}:\n{result.console}")


def _deployment(sysroot: Path) -> Path:
    """The directory of what boots next."""
    done = subprocess.run(
        [LAYER, "status", "--json", "--sysroot", sysroot], check=True, capture_output=True
    )
    first = json.loads(done.stdout)["deployments"][0]
    name = f"{first['checksum']}.{first['serial']}"
    return sysroot / "ostree/deploy" / first["osname"] / "deploy" / name


def _run(*words: str | Path) -> None:
    print("$", shlex.join(_short(word) for word in words), flush=True)
    subprocess.run([str(word) for word in words], check=True)


def _short(word: str | Path) -> str:
    return "layer" if word == LAYER else str(word)


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _clear(work: Path) -> None:
    """Deployments are immutable until told otherwise."""
    deployments = [str(path) for path in work.glob("sysroot/ostree/deploy/*/deploy/*.[0-9]")]
    if deployments:
        subprocess.run(["chattr", "-i", *deployments], check=True)
    subprocess.run(["rm", "-rf", str(work)], check=True)
    work.mkdir(parents=True)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def _serve(directory: Path) -> Iterator[str]:
    """Serve a directory over plain HTTP on loopback; gives its URL."""
    handler = partial(_Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


if __name__ == "__main__":
    main()
