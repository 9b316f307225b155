"""`layer run` on a machine that runs: what a command has for itself there, and what it shares."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live import Living, living, tree
from tests.live_world import base_of_live, layers_of_live
from tests.world import make_world, remove

_HOMES = "/home/user/ /root"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """A machine with a user, and a package pending."""
    folder = tmp_path_factory.mktemp("world")
    with make_world(folder, *base_of_live()) as world:
        world.publish(*layers_of_live())
        machine = world.machine(folder / "machine")
        with living(machine, folder / "live") as found:
            for name, owner in (("home", 0), ("home/user", 1000), ("roothome", 0)):
                place = found.var / name
                place.mkdir(exist_ok=True)
                if name != "home":
                    place.chmod(0o700)
                    (place / "kept").write_text("kept\n")
                os.chown(place, owner, owner)
            found.install("web")
            yield found
        remove([folder / "machine"])


def shell(running: Living, script: str, *options: str, status: int = 0) -> tuple[str, str]:
    """What a command says that is tried, and what is said of it."""
    done = running.layer("run", *options, "--", "sh", "-c", script, status=status)
    return done.stdout, done.stderr


def test_it_sees_what_is_pending_and_the_machine(running: Living) -> None:
    pending = running.status()["deployments"][0]["checksum"]
    said, line = shell(running, f"cat /usr/bin/web; for h in {_HOMES}; do cat $h/kept; done")
    assert said == "web 1\nkept\nkept\n"
    assert line == (
        f"note: private: /usr (of {pending[:12]}, read-only), /etc (what it writes is thrown "
        "away); all else is this machine's, and changes there stay\n"
    )
    assert running.sh("[ -e /usr/bin/web ] || echo none") == "none\n"


def test_what_runs_already_can_be_tried_with_nothing_pending(running: Living) -> None:
    running.layer("cleanup", "-p")
    said, line = shell(running, "echo 1 >/etc/new && cat /etc/new && exit 7", status=7)
    booted = running.status()["deployments"][0]["checksum"]
    assert (said, line[:40]) == ("1\n", f"note: private: /usr (of {booted[:12]}, re")
    assert not (running.etc / "new").exists()
    running.install("web")


def test_what_it_writes_to_a_real_home_stays(running: Living) -> None:
    shell(running, "echo 1 >/home/user/real")
    assert (running.var / "home/user/real").read_text() == "1\n"
    (running.var / "home/user/real").unlink()


def test_what_it_writes_to_a_copy_of_homes_is_thrown_away(running: Living) -> None:
    before = tree(running.var)
    script = f"for h in {_HOMES}; do echo 1 >>$h/kept; cat $h/kept; : >$h/new; done; rm /root/kept"
    said, line = shell(running, script, "--home=copy")
    assert said == "kept\n1\nkept\n1\n"
    assert "homes (as they are; what it writes is thrown away); all else" in line
    assert tree(running.var) == before


def test_an_empty_home_has_its_owner_and_nothing_else(running: Living) -> None:
    before = tree(running.var)
    script = f"for h in {_HOMES}; do ls -An $h/ | cat; echo 1 >$h/new; done; ls -ldn {_HOMES}/"
    said, line = shell(running, script, "--home", "empty")
    rows = [words for words in map(str.split, said.splitlines()) if words[0] != "total"]
    found = [(row[0][:10], *row[2:4], row[-1]) for row in rows]
    assert found == [
        ("drwx------", "1000", "1000", "/home/user/"),
        ("drwx------", "0", "0", "/root/"),
    ]
    assert "homes (empty; what it writes is thrown away)" in line
    assert tree(running.var) == before


def test_it_can_be_without_a_network(running: Living) -> None:
    script = "while read -r name rest; do echo $name; done </proc/net/dev"
    mine, _ = shell(running, script)
    none, line = shell(running, script, "--net=none")
    assert [name for name in none.split() if name.endswith(":")] == ["lo:"]
    assert [name for name in mine.split() if name.endswith(":")] != ["lo:"]
    assert ", no network; all else is" in line


def test_options_behind_the_command_are_its_own(running: Living) -> None:
    done = running.layer("run", "sh", "-c", 'echo "$@"', "sh", "--net", "none", "--home=x")
    assert done.stdout == "--net none --home=x\n"
    wrong = running.layer("run", "--home=mine", "sh", status=2).stderr
    assert "'mine' is not one of 'real', 'copy', 'empty'" in wrong
