"""Runs the tutorial's commands on a fresh Debian 12, and writes down what they print.

`python -m docs.making.tutorial` (`make tutorial`) makes docs/tutorial.transcript and
docs/pictures/why.svg. tests/test_tutorial.py holds that the page and the transcript agree.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent.parent
CHECKOUT = DOCS.parent
PAGE = DOCS / "tutorial.md"
TRANSCRIPT = DOCS / "tutorial.transcript"
PICTURE = DOCS / "pictures/why.svg"
_MARK = "\x1e"  # no output has it
_LONGEST, _HEAD, _TAIL = 40, 6, 12  # lines of an output that are kept


def commands(page: str) -> list[str]:
    """The commands of a page's consoles, in order; a here-document belongs to its command."""
    found: list[str] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(line.removeprefix("$ "))
            else:
                found[-1] += f"\n{line}"
    return found


def play(machine: Path) -> tuple[str, str]:
    """The transcript, and the picture that was drawn; CalledProcessError where a command fails."""
    _make_fresh(machine)
    script = ["set -eo pipefail"]
    for number, command in enumerate(commands(PAGE.read_text(encoding="utf-8"))):
        script += [f"printf '{_MARK}{number}\\n'", command]
    (machine / "root/tutorial").write_text("\n".join([*script, ""]), encoding="utf-8")
    done = subprocess.run(
        [*_entered(machine), "bash", "/root/tutorial"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"the tutorial fails with {done.returncode}:\n{done.stdout[-6000:]}")
    return _transcript(done.stdout), (machine / "srv/demo/why.svg").read_text(encoding="utf-8")


def main() -> None:
    """Plays it in the directory for temporary files, and writes what came of it."""
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        try:
            transcript, picture = play(Path(folder, "machine"))
        finally:
            make_removable(Path(folder))
    TRANSCRIPT.write_text(transcript, encoding="utf-8")
    PICTURE.write_text(picture, encoding="utf-8")


def make_removable(folder: Path) -> None:
    """Deployments below are immutable until told otherwise."""
    subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False)


def _make_fresh(machine: Path) -> None:
    """Debian's essential packages and apt, and the sources as they are here, in /root/layer."""
    bootstrap = ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "bookworm", str(machine)]
    subprocess.run(bootstrap, check=True)
    sources = machine / "root/layer"
    sources.mkdir(parents=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, check=True).stdout
    pack = ["tar", "--create", "--null", "--files-from=-"]
    packed = subprocess.run(pack, cwd=CHECKOUT, input=names, capture_output=True, check=True)
    unpack = ["tar", "--extract", "--directory", str(sources)]
    subprocess.run(unpack, input=packed.stdout, check=True)


def _entered(machine: Path) -> list[str]:
    """The command that enters it, with this machine's network and its ways to PyPI."""
    words = ["bwrap", "--die-with-parent", "--bind", str(machine), "/", "--dev", "/dev"]
    words += ["--proc", "/proc", "--tmpfs", "/run", "--cap-add", "ALL"]
    words += ["--unshare-pid", "--unshare-uts", "--hostname", "fresh", "--clearenv"]
    for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/opt"):
        words += ["--ro-bind-try", path, path]
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    if certificates.exists():
        words += ["--ro-bind", str(certificates), "/run/certificates.crt"]
        settings["PIP_CERT"] = "/run/certificates.crt"
    settings |= {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    settings |= {"DEBIAN_FRONTEND": "noninteractive"}
    for name, value in settings.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", "/root", "--"]


def _transcript(printed: str) -> str:
    """What was typed, and what was printed, which is cut where it is long."""
    lines: list[str] = []
    typed = commands(PAGE.read_text(encoding="utf-8"))
    for part in printed.split(_MARK)[1:]:
        number, _, output = part.partition("\n")
        lines += [f"$ {typed[int(number)]}", *_cut(output.replace("\r", "").splitlines())]
    return "\n".join([*lines, ""])


def _cut(output: list[str]) -> list[str]:
    if len(output) <= _LONGEST:
        return output
    left_out = len(output) - _HEAD - _TAIL
    return [*output[:_HEAD], f"[... {left_out} lines ...]", *output[-_TAIL:]]


if __name__ == "__main__":
    main()
