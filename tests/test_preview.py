"""The preview is the result: what a plan says, against the machine once the plan is applied.

`make test-preview` takes 30 packages of the full set, chosen by a seed, on a filesystem of their
own, and prints a table; a few of the small world are in the default suite. Everything on the
side of the result is read from disk: statvfs, lstat, the two checkouts, rpm's own answers.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testdata.distro.build import ensure_demo
from testdata.distro.cache import default_cache
from testdata.distro.full import find_full
from tests.world import Machine, World, layer, remove, write_repo_file

TREEFILE = Path(__file__).parent.parent / "testdata/distro/demo-tree.toml"
REF = "demo/12/x86_64/base"
SEED = int(os.environ.get("LAYER_PREVIEW_SEED", "20261121"))
PACKAGES = 30
# A plan that was built knows all but how much directories grow that were there: 0.3 % of it.
SLACK = 96 << 10
# Before packages are here: what triggers will make is a guess, byte-code above all.
GUESS = 0.05
ALLOWANCE = 512 << 10
UNITS = (".service", ".socket", ".timer", ".path", ".target", ".mount", ".automount", ".slice")


@dataclass(frozen=True)
class Tree:
    """What a checkout has: paths with their lstat, and the numbers of accounts."""

    files: Mapping[str, os.stat_result]
    accounts: Mapping[tuple[str, str], int]
    root: Path


@dataclass(frozen=True)
class Row:
    """A package: what was foreseen on disk, what the plan counted, what statvfs says."""

    name: str
    packages: int
    foreseen: int
    counted: int
    measured: int
    differences: tuple[str, ...]


# --- the machine as it is -------------------------------------------------------------------------


def read_tree(root: Path) -> Tree:
    """A deployment's /usr as it lies on disk."""
    files = {}
    for folder, _, names in os.walk(root / "usr"):
        for name in names:
            path = f"{folder}/{name}"
            files[path[len(str(root)) + 1 :]] = os.lstat(path)
    accounts = {}
    for kind, file in (("user", "passwd"), ("group", "group")):
        for line in (root / "usr/etc" / file).read_text().splitlines():
            fields = line.split(":")
            accounts[kind, fields[0]] = int(fields[2])
    return Tree(files, accounts, root)


def free(path: Path) -> int:
    """Bytes of the filesystem that are free once everything is written."""
    # Not sync(2): other tests look for what is not on their disks yet.
    subprocess.run(["sync", "--file-system", path], check=True)
    found = os.statvfs(path)
    return found.f_bfree * found.f_frsize


def raised(tree: Tree, path: str) -> dict[str, str]:
    """What a file gives whoever runs it, as the plan has it; capabilities by getcap."""
    status = tree.files[path]
    found = {}
    if status.st_mode & stat.S_ISUID:
        found["setuid"] = name_of(tree, "user", status.st_uid)
    if status.st_mode & stat.S_ISGID:
        found["setgid"] = name_of(tree, "group", status.st_gid)
    if "security.capability" in os.listxattr(tree.root / path, follow_symlinks=False):
        command = ["getcap", tree.root / path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found["capabilities"] = done.stdout.split()[-1]
    return found


def name_of(tree: Tree, kind: str, number: int) -> str:
    """The name of an account."""
    return next(n for (k, n), found in tree.accounts.items() if (k, found) == (kind, number))


def is_unit(tree: Tree, path: str) -> bool:
    """Whether a path is a unit of systemd that can be enabled, and no alias."""
    parts = path.split("/")
    return (
        parts[:3] == ["usr", "lib", "systemd"]
        and parts[3] in ("system", "user")
        and len(parts) == 5
        and path.endswith(UNITS)
        and stat.S_ISREG(tree.files[path].st_mode)
    )


def differences(
    found: Mapping[str, Any], rpms: Path, old: Tree, new: Tree, commit: Mapping[str, Any]
) -> list[str]:
    """Every field of a plan that is not what came of it."""
    result, said = outcome(rpms, old, new, commit), told(found)
    wrong = [
        f"{key}: said {said[key]}, is {result[key]}" for key in said if said[key] != result[key]
    ]
    return [*wrong, *presets(found, new), *var(found, old, new)]


def outcome(rpms: Path, old: Tree, new: Tree, commit: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a plan."""
    added = sorted(path for path in new.files if path not in old.files)
    inodes = {path: status.st_ino for path, status in old.files.items()}
    changed = [
        path
        for path, status in new.files.items()
        if inodes.get(path) != status.st_ino and stat.S_ISREG(status.st_mode)
    ]
    written = commit["written"]
    return {
        "privileged-files": sorted(
            (path, sorted(raised(new, path).items())) for path in changed if raised(new, path)
        ),
        "units": sorted(
            (path.split("/")[3], path.split("/")[4])
            for path in added
            if path not in written and is_unit(new, path)
        ),
        "accounts": sorted(
            (*key, number) for key, number in new.accounts.items() if key not in old.accounts
        ),
        "etc": sorted(
            path[3:] for path in added if path.startswith("usr/etc/") and path not in written
        ),
        "opt": sorted(path[7:] for path in added if path.startswith("usr/lib/opt/")),
        "triggers": commit["triggers"],
        "packages": commit["packages"],
        "download-size": sum((rpms / p["file"]).stat().st_size for p in commit["files"]),
        "unpacked-size": sum(p["size"] for p in commit["files"]),
    }


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a plan says it."""
    gives = ("capabilities", "setgid", "setuid")
    return {
        "privileged-files": sorted(
            (tree_path(file["path"]), [(key, file[key]) for key in gives if file[key]])
            for file in found["privileged-files"]
        ),
        "units": sorted((unit["scope"], unit["name"]) for unit in found["units"]),
        "accounts": sorted((a["kind"], a["name"], a["id"]) for a in found["accounts"]),
        "etc": sorted(item["path"] for item in found["etc"]),
        "opt": sorted(item["path"] for item in found["opt"]),
        "triggers": found["triggers"],
        "packages": sorted([p["nevra"], p["sha256"]] for p in found["packages"]),
        "download-size": found["download-size"],
        "unpacked-size": found["unpacked-size"],
    }


def tree_path(path: str) -> str:
    """Where a package's path lies in a tree."""
    for top in ("bin", "sbin", "lib", "lib64"):
        if path.startswith(f"/{top}/"):
            return f"usr{path}"
    if path.startswith("/opt/"):
        return f"usr/lib{path}"
    return path[1:] if path.startswith("/usr/") else f"usr{path}"


def presets(found: Mapping[str, Any], new: Tree) -> Iterator[str]:
    """Units that are enabled against their preset, or not enabled although they can be."""
    for unit in found["units"]:
        text = (new.root / f"usr/lib/systemd/{unit['scope']}/{unit['name']}").read_text()
        start, end = f"usr/etc/systemd/{unit['scope']}/", f"/{unit['name']}"
        links = [path for path in new.files if path.startswith(start) and path.endswith(end)]
        can = any(line.startswith(("WantedBy=", "RequiredBy=")) for line in text.splitlines())
        wanted = unit["preset"] == "enable" and can and "@" not in unit["name"]
        if bool(links) != wanted:
            yield f"units: {unit['name']}: {unit['preset']}, and its links are {links}"


def var(found: Mapping[str, Any], old: Tree, new: Tree) -> Iterator[str]:
    """Paths of /var that no line of tmpfiles.d makes, and copies for it that nobody foretold."""
    lines = set()
    for path in new.files:
        if path.startswith("usr/lib/tmpfiles.d/") and path.endswith(".conf"):
            for row in (new.root / path).read_text(errors="replace").splitlines():
                fields = row.split()
                if len(fields) > 1 and not row.startswith("#"):
                    lines.add(fields[1].strip('"').rstrip("/"))
    foretold = {item["path"] for item in found["var"]}
    for path in sorted(foretold):
        if path.rstrip("/") not in lines:
            yield f"var: nothing makes {path}"
    top = "usr/share/factory"
    for path in new.files:
        if (
            path.startswith(f"{top}/var/")
            and path not in old.files
            and path[len(top) :] not in foretold
        ):
            yield f"var: {path[len(top) :]} was not foretold"


# --- one package ----------------------------------------------------------------------------------


def preview(machine: Machine, repos: Path, rpms: Path, name: str, folder: Path) -> Row | str:
    """Foresees, plans, applies and compares; why not, where the package cannot be layered."""
    options = ["--sysroot", str(machine.path), "--repo-dir", str(repos)]
    done = layer("install", "-n", "--json", *options, name, status=None)
    if done.returncode:
        return next(s for s in done.stderr.splitlines() if s.startswith("error: "))
    foreseen = json.loads(done.stdout)
    before, old = machine.pending(), read_tree(machine.pending().path)
    start, file = free(machine.path), folder / f"{name}.plan"
    layer("plan", "-o", str(file), "install", *options, name)
    planned = json.loads(file.read_text())
    layer("apply", "-y", "--sysroot", str(machine.path), str(file))
    measured = start - free(machine.path)
    pending = machine.pending()
    new = read_tree(pending.path)
    commit = read_commit(machine, pending.checksum, planned["plan"], rpms)
    plan = planned["plan"]
    wrong = differences(plan, rpms, old, new, commit)
    wrong += [
        f"foreseen {text}" for text in differences(as_far(foreseen, plan), rpms, old, new, commit)
    ]
    if planned["commit"] != pending.checksum:
        wrong.append(f"commit: said {planned['commit']}, is {pending.checksum}")
    row = Row(
        name,
        len(plan["packages"]),
        foreseen["disk"]["total"],
        plan["disk"]["total"],
        measured,
        tuple(wrong),
    )
    layer("cleanup", "-pb", "--sysroot", str(machine.path))
    assert machine.pending().checksum == before.checksum
    return row


def as_far(foreseen: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """The first plan, with what it says that only the payload tells taken from the second."""
    known = {(a["kind"], a["name"]): a["id"] for a in foreseen["accounts"]}
    accounts = plan["accounts"]
    if not foreseen["accounts-unread"] or any(
        known.get((a["kind"], a["name"]), a["id"]) not in (None, a["id"]) for a in accounts
    ):
        accounts = foreseen["accounts"]
    return {**foreseen, "accounts": accounts}


def read_commit(
    machine: Machine, checksum: str, plan: Mapping[str, Any], rpms: Path
) -> dict[str, Any]:
    """What `ostree show` and rpm say of the commit and its packages."""

    def key(name: str) -> Any:
        command = [
            "ostree",
            f"--repo={machine.path}/ostree/repo",
            "show",
            f"--print-metadata-key={name}",
        ]
        done = subprocess.run([*command, checksum], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.strip()[1:-1].replace("\\'", "'").replace("\\\\", "\\"))

    files = []
    for package in plan["packages"]:
        path = next(
            p for p in rpms.rglob(f"{package['name']}-*.rpm") if is_it(p, package["sha256"])
        )
        query = ["rpm", "-qp", "--qf", "%{LONGSIZE}", path]
        size = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        files.append({"file": path.relative_to(rpms), "size": int(size)})
    runs = key("layer.trigger-runs")
    return {
        "written": key("layer.written"),
        "triggers": list(dict.fromkeys(run["name"] for run in runs)),
        "packages": sorted(key("layer.packages")),
        "files": files,
    }


def is_it(path: Path, checksum: str) -> bool:
    """Whether a file has that SHA-256."""
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0] == checksum


def faults(rows: list[Row]) -> list[str]:
    """All that differs, and disks that are too far off."""
    found = [f"{row.name}: {text}" for row in rows for text in row.differences]
    for row in rows:
        if abs(row.counted - row.measured) > SLACK + 0.003 * row.measured:
            found.append(f"{row.name}: disk: counted {row.counted}, statvfs says {row.measured}")
    return found


# --- the small world, and the full set ------------------------------------------------------------


@contextmanager
def filesystem(folder: Path, size: str) -> Iterator[Path]:
    """An ext4 filesystem of its own, in a file."""
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    subprocess.run(["truncate", "-s", size, image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)
        image.unlink()


def test_the_preview_is_the_result(world: World, tmp_path: Path) -> None:
    with filesystem(tmp_path, "512M") as mount:
        machine = world.machine(mount / "machine")
        settings = machine.pending().path / "etc/layer"
        settings.mkdir()
        (settings / "layer.toml").write_text('scriptlets = "warn"\n')
        names = ("apple", "daemon", "suid")
        rows = [preview(machine, world.repo_dir, world.packages, name, tmp_path) for name in names]
        remove([machine.path])
    assert [row for row in rows if isinstance(row, str)] == []
    assert faults([row for row in rows if isinstance(row, Row)]) == []


@pytest.mark.slow
@pytest.mark.skipif(find_full() is None, reason="python -m testdata.distro.build --set full")
def test_the_preview_is_the_result_of_thirty_packages(tmp_path: Path) -> None:
    full, demo = find_full(), ensure_demo()
    assert full is not None
    folder = default_cache() / f"preview-{os.getpid()}"
    folder.mkdir()
    try:
        rows = thirty(
            folder, full.path, sorted({*full.base, *full.layers} - {*demo.base}), demo.path
        )
    finally:
        shutil.rmtree(folder)
    found = faults(rows)
    off = [r for r in rows if abs(r.foreseen - r.measured) > GUESS * r.measured + ALLOWANCE]
    for text in found:
        print(text[:400])
    print(f"{len(rows)} packages by seed {SEED}: {len(found)} differences")
    print(f"foreseen from headers beyond 5 %: {', '.join(row.name for row in off) or 'none'}")
    assert (len(rows), found) == (PACKAGES, [])


def thirty(folder: Path, rpms: Path, names: list[str], demo: Path) -> list[Row]:
    """The rows of as many packages as can be layered, in the order that the seed gives."""
    for name, path in (("full", rpms), ("demo", demo)):
        (folder / name).mkdir()
        write_repo_file(folder / name, name, f"file://{path}")
    layer(
        "compose",
        "tree",
        str(TREEFILE),
        "--repo",
        str(folder / "served"),
        "--repo-dir",
        str(folder / "demo"),
    )
    rows: list[Row] = []
    print(f"\n{'package':34} {'with':>4} {'foreseen':>9} {'counted':>9} {'statvfs':>9}  (MB)")
    with filesystem(folder, "6G") as mount:
        sysroot = mount / "machine"
        options = ["--sysroot", str(sysroot)]
        layer("init", *options, "--stateroot", "demo")
        layer("remote", "add", *options, "--no-gpg-verify", "demo", f"file://{folder}/served")
        layer("rebase", *options, "-y", f"demo:{REF}")
        machine = Machine(sysroot, World(folder, "", None))  # type: ignore[arg-type]
        settings = machine.pending().path / "etc/layer"
        settings.mkdir()
        (settings / "layer.toml").write_text('scriptlets = "warn"\n')
        chosen = random.Random(SEED).sample(names, len(names))
        while len(rows) < PACKAGES:
            name = chosen.pop(0)
            row = preview(machine, folder / "full", rpms, name, folder)
            if isinstance(row, str):
                print(f"{name:34} left out: {row[:90]}")
                continue
            rows.append(row)
            shown = "  ".join(f"{n / 1e6:8.2f}" for n in (row.foreseen, row.counted, row.measured))
            print(
                f"{name:34} {row.packages:4} {shown}  {len(row.differences)} differences",
                flush=True,
            )
            for text in row.differences:
                print(f"    {text[:300]}")
        sys.stdout.flush()
        remove([sysroot])
    return rows
