"""layer's own packages, built and installed: each does the main job where there is no checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from testdata.distro.demo import TREEFILE
from testdata.distro.repository import make_repository
from testdata.guest.build import ensure_guest
from tests.test_architecture import ROOT
from tests.test_docs import MAN
from tests.world import Machine, World, layer, ostree, remove, write_repo_file

REF = "demo/12/x86_64/packaged"
UNITS = [p for p in (ROOT / "packaging/systemd").iterdir() if p.suffix != ".preset"]
TRIGGERS = sorted((ROOT / "triggers").glob("*.toml"))
DOCS = [
    *(page for kind in ("md", "json", "transcript") for page in (ROOT / "docs").glob(f"*.{kind}")),
    *(page for kind in ("how-to", "explanation") for page in (ROOT / "docs" / kind).glob("*.md")),
    *(ROOT / "docs/pictures").glob("*.svg"),
]
PLACES = {
    "/usr/bin/layer",
    "/usr/lib/systemd/system-preset/80-layer.preset",
    "/usr/share/bash-completion/completions/layer",
    *(f"/usr/share/doc/layer/{page.relative_to(ROOT / 'docs')}" for page in DOCS),
    "/usr/share/fish/vendor_completions.d/layer.fish",
    "/usr/share/zsh/site-functions/_layer",
    *(f"/usr/lib/systemd/system/{unit.name}" for unit in UNITS),
    *(f"/usr/share/layer/triggers/{trigger.name}" for trigger in TRIGGERS),
    *(f"/usr/share/man/man{page.suffix[1:]}/{page.name}" for page in MAN),
}


@pytest.mark.parametrize(
    ("shell", "name"), [("bash", "layer"), ("zsh", "_layer"), ("fish", "layer.fish")]
)
def test_the_completions_that_are_packaged_are_those_that_the_program_prints(
    shell: str, name: str
) -> None:
    printed = layer(env={"_LAYER_COMPLETE": f"{shell}_source"}).stdout
    assert (ROOT / "packaging/completions" / name).read_text() == printed


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with all of them, built anew."""
    built = tmp_path_factory.mktemp("packages")
    command = [ROOT / "packaging/packages", built]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return built


def lines(*command: str | Path) -> list[str]:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_everything_is_in_its_place(packages: Path) -> None:
    assert len(UNITS) > 5 and len(TRIGGERS) > 30 and len(DOCS) > 25
    (rpm,) = packages.glob("layer-[0-9]*.rpm")
    (deb,) = packages.glob("layer_*.deb")
    in_rpm = set(lines("rpm", "-qlp", rpm))
    in_deb = {line.split()[5].removeprefix(".") for line in lines("dpkg-deb", "-c", deb)}
    assert (PLACES - in_rpm, PLACES - in_deb) == (set(), set())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "layer").rglob("*.py")}
    assert modules == {m[0] for path in in_rpm if (m := re.search(r"\blayer/.*\.py$", path))}
    files = {path for path in in_rpm if not path.startswith("/usr/share/licenses")}
    assert files <= {path.rstrip("/") for path in in_deb}
    (link,) = packages.glob("layer-rpm-ostree-*.rpm")
    assert lines("rpm", "-qlp", link) == ["/usr/bin/rpm-ostree"]
    assert "rpm-ostree" in lines("rpm", "-qp", "--conflicts", link)


def do_the_main_job(root: Path, machine: Machine) -> None:
    """Layers a package with the program that is installed in `root`, and with nothing else."""
    world = machine.world.path
    view = [
        *("--bind", root, "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
        *("--tmpfs", "/run", "--bind", machine.path, "/run/machine", "--ro-bind", world, world),
        *("--cap-add", "ALL", "--unshare-pid", "--clearenv"),
        *("--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", "--setenv", "LC_ALL", "C.UTF-8"),
    ]

    def run(*words: str) -> str:
        command = ["bwrap", *map(str, view), "--", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("layer", "--version").startswith("layer ")
    repos = ("--sysroot", "/run/machine", "--repo-dir", str(machine.world.repo_dir))
    run("layer", "install", *repos, "-y", "apple")
    assert machine.layered() == ["apple", "libseed"]
    assert "ldconfig" in run("layer", "trigger", "list", "--sysroot", "/run/machine")
    run("rpm-ostree", "--version")


def compose(packages: Path, folder: Path) -> Path:
    """The tree of the demonstration's base with layer in it, from our own RPMs."""
    guest = ensure_guest()
    own, repos, repo = folder / "own", folder / "repos", folder / "repo"
    own.mkdir()
    repos.mkdir()
    for rpm in packages.glob("*.rpm"):
        shutil.copy(rpm, own)
    make_repository(own)
    repositories = {"demo": guest.demo.path, "guest": guest.path, "own": own}
    for name, path in repositories.items():
        write_repo_file(repos, name, f"file://{path}")
    # The guest's own layer is the same program, packaged for the tests of booting.
    with (repos / "guest.repo").open("a") as file:
        file.write("excludepkgs=layer\n")
    names = [*(n for n in guest.packages if not n.startswith("demo-")), "layer-rpm-ostree"]
    text = TREEFILE.read_text()
    for line, instead in (
        ('ref = "demo/12/x86_64/base"', f'ref = "{REF}"'),
        ('repositories = ["demo"]', f"repositories = {list(repositories)}"),
        ("packages = [", f"packages = [ {', '.join(map(_quoted, names))},"),
    ):
        text = text.replace(line, instead)
    (folder / "tree.toml").write_text(text)
    words = ("--repo", str(repo), "--repo-dir", str(repos))
    layer("compose", "tree", str(folder / "tree.toml"), *words)
    ostree("checkout", f"--repo={repo}", "-U", REF, str(folder / "root"))
    return folder / "root"


def _quoted(name: str) -> str:
    return f'"{name}"'


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for whole systems."""
    path = tmp_path_factory.mktemp("system")
    yield path
    remove([path])


@pytest.mark.slow
def test_the_rpm_in_a_base_of_our_own_compose_layers_packages(
    packages: Path, scratch: Path, machine: Machine
) -> None:
    root = compose(packages, scratch)
    (root / "etc").rmdir() if (root / "etc").is_dir() else None
    shutil.copytree(root / "usr/etc", root / "etc", symlinks=True)
    do_the_main_job(root, machine)


@pytest.mark.slow
def test_the_debian_package_on_a_clean_root_layers_packages(
    packages: Path, scratch: Path, world: World, machine: Machine
) -> None:
    root = scratch / "debian"
    debs = sorted(packages.glob("*.deb"))
    _clean_root(root, debs)
    modules = root / "usr/lib/python3/dist-packages/layer"
    compiled = {path.name.partition(".")[0] for path in modules.glob("__pycache__/*.pyc")}
    assert compiled == {path.stem for path in modules.glob("*.py")}
    do_the_main_job(root, machine)


def _clean_root(root: Path, debs: Sequence[Path]) -> None:
    """Debian's essential packages, ours, and what these depend on, as apt says."""
    names = " ".join(f"/tmp/{deb.name}" for deb in debs)
    command = [
        *("mmdebstrap", "--variant=apt", "--mode=root"),
        f"--customize-hook=copy-in {' '.join(map(str, debs))} /tmp",
        f'--customize-hook=chroot "$1" apt-get install -y --no-install-recommends {names}',
        *("bookworm", str(root)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
