"""`layer why`: chains from requests to packages, out of the store alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.model import Nevra, Request, RequestKind
from layer.reasons import Need, Needs, reason
from layer.solver.conditions import wanted_parts
from testdata.distro.tiny import tiny_rpm
from tests.cli import do, extra_repository, fails
from tests.world import Machine, World, remove


@pytest.fixture(scope="module")
def deep(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with a chain of packages, whose repository is gone."""
    folder = tmp_path_factory.mktemp("deep")
    options = extra_repository(
        folder,
        tiny_rpm("top", "/usr/bin/top", requires=("middle >= 1", "tiny-libc"), arch="x86_64"),
        tiny_rpm("middle", requires=("(bottom and (side if nowhere))",), arch="x86_64"),
        tiny_rpm("bottom", provides=("depth = 3",), arch="x86_64"),
        tiny_rpm("zzz", requires=("depth",), arch="x86_64"),
        tiny_rpm("helper", requires=("/usr/bin/top",), arch="x86_64"),
    )
    machine = world.machine(folder / "machine")
    do(machine, "install", "-y", *options, "top", "zzz", "/usr/bin/apple")
    shutil.rmtree(folder / "packages")
    yield machine
    remove([machine.path])


def test_a_request_is_its_own_reason(deep: Machine) -> None:
    assert do(deep, "why", "top").stdout == (
        "top-1-1.x86_64 is layered:\n  top was asked for: top-1-1.x86_64\n"
    )
    assert do(deep, "why", "apple").stdout == (
        "apple-1-1.x86_64 is layered:\n  /usr/bin/apple was asked for: apple-1-1.x86_64\n"
    )


def test_the_shortest_chain_names_each_dependency(deep: Machine) -> None:
    assert do(deep, "why", "middle").stdout == (
        "middle-1-1.x86_64 is layered:\n"
        "  top was asked for: top-1-1.x86_64\n"
        "    needs middle-1-1.x86_64  Requires: middle >= 1\n"
    )
    assert do(deep, "why", "bottom").stdout == (
        "bottom-1-1.x86_64 is layered:\n"
        "  zzz was asked for: zzz-1-1.x86_64\n"
        "    needs bottom-1-1.x86_64  Requires: depth\n"
    )


def test_all_has_a_chain_for_every_request(deep: Machine) -> None:
    assert do(deep, "why", "--all", "bottom-1").stdout.splitlines()[3:] == [
        "  top was asked for: top-1-1.x86_64",
        "    needs middle-1-1.x86_64  Requires: middle >= 1",
        "    needs bottom-1-1.x86_64  Requires: (bottom and (side if nowhere))",
    ]


def test_a_package_of_the_base_is_part_of_it(deep: Machine) -> None:
    assert do(deep, "why", "tiny-libc").stdout == (
        "tiny-libc-2.36-1.x86_64 is part of the base; 1 package of this tree need it\n"
        "  top-1-1.x86_64  Requires: tiny-libc\n"
    )
    assert do(deep, "why", "tiny-kernel").stdout == (
        "tiny-kernel-1-1.x86_64 is part of the base; 0 packages of this tree need it\n"
    )


def test_what_is_not_there_is_an_error(deep: Machine) -> None:
    assert fails(deep, "why", "helper") == [
        "error: helper is neither layered nor in the base of what boots next",
        "hint: `layer info helper` tells whether it could be",
    ]


def test_dot_is_a_graph_that_graphviz_reads(deep: Machine, tmp_path: Path) -> None:
    text = do(deep, "why", "--all", "--dot", "bottom").stdout
    done = subprocess.run(
        ["dot", "-Tplain"], input=text, capture_output=True, text=True, check=True
    )
    edges = [line.split(" ")[1:3] for line in done.stdout.splitlines() if line[:4] == "edge"]
    assert ['"middle-1-1.x86_64"', '"bottom-1-1.x86_64"'] in edges
    assert len(edges) == 5
    assert '"asked for: top" [shape=box];' in text


def test_svg_is_drawn_into_a_file(deep: Machine, tmp_path: Path) -> None:
    file = tmp_path / "why.svg"
    assert do(deep, "why", "--svg", str(file), "bottom").stdout == ""
    words = [e.text for e in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]
    assert "bottom-1-1.x86_64" in words and "Requires: depth" in words
    both = do(deep, "why", "--dot", "--svg", str(file), "bottom").stdout
    assert both == do(deep, "why", "--dot", "bottom").stdout
    assert "cannot write" in fails(deep, "why", "--svg", "/nonexistent/x.svg", "bottom")[0]


def test_without_graphviz_there_is_one_error(deep: Machine, tmp_path: Path) -> None:
    hide = (
        f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/upper {tmp_path}/work && "
        f"mount -t overlay -o lowerdir=/usr/bin,upperdir={tmp_path}/upper,workdir={tmp_path}/work "
        'none /usr/bin && rm /usr/bin/dot && exec "$@"'
    )
    words = ["why", "--sysroot", str(deep.path), "--svg", "/dev/null", "bottom"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hide, "sh", sys.executable, "-m", "layer", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "error: this machine has no program dot, which draws graphs",
            "hint: it is of Graphviz; --dot prints the graph, to be drawn elsewhere",
        ],
    )


def weak(by: Nevra, of: Nevra) -> Need:
    """One package recommends another."""
    return Need(by, of, True, "Recommends", of.name)


def strong(by: Nevra, of: Nevra) -> Need:
    """One package requires another."""
    return Need(by, of, False, "Requires", of.name)


def test_a_chain_without_weak_links_is_preferred() -> None:
    a, b, c = (Nevra(name, 0, "1", "1", "noarch") for name in "abc")
    asked = ((Request(RequestKind.PACKAGE, "a"), a),)
    links = (weak(a, c), strong(a, b), strong(b, c))
    (chain,) = reason(Needs((a, b, c), (), links, asked), c).chains
    assert chain.links == (strong(a, b), strong(b, c))
    (chain,) = reason(Needs((a, b, c), (), links[:1], asked), c).chains
    assert chain.links == (weak(a, c),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(a and b)", ("a", "b")),
        ("(a >= 1 or b(x)(64bit))", ("a >= 1", "b(x)(64bit)")),
        ("(a if b)", ("a",)),
        ("(a if b else c)", ("a", "c")),
        ("((a and b) if (c or d))", ("a", "b")),
        ("(a without b)", ("a",)),
        ("(a with b)", ("a", "b")),
        ("(a unless (b if c) else (d or e))", ("a", "d", "e")),
    ],
)
def test_the_parts_of_a_boolean_dependency_that_bring_something(
    text: str, parts: tuple[str, ...]
) -> None:
    assert wanted_parts(text) == parts
