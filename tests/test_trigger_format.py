"""The trigger file: what it may say, and how its mistakes are shown."""

import pytest

from layer.errors import TriggerFailed
from layer.triggers.format import Trigger, parse_trigger, trigger_digest
from layer.triggers.globs import parse_glob
from layer.triggers.order import digest

SMALL = """
schema = 1
name = "demo"
description = "A demo."

[match]
include = ["usr/share/demo/{word}/*"]

[run]
exec = ["demo"]
"""


def faults(text: str) -> list[str]:
    """What is wrong with a file, without the file's name, which every line must begin with."""
    with pytest.raises(TriggerFailed) as failure:
        parse_trigger(text, "demo.toml")
    lines = failure.value.message.splitlines()
    assert all(line.startswith("demo.toml: ") for line in lines)
    return [line.removeprefix("demo.toml: ") for line in lines]


def test_everything_a_file_says_is_read() -> None:
    trigger = parse_trigger(
        """
        schema = 1
        name = "mime-database"
        description = "Rebuild the MIME type cache."
        [match]
        include = ["usr/share/{kind}/packages/*.xml"]
        exclude = ["usr/share/mime/packages/x.xml"]
        exists = ["usr/share/{kind}"]
        on = ["remove", "add"]
        [run]
        exec = ["/usr/bin/update-mime-database", "/usr/share/{kind}"]
        search = ["usr/libexec"]
        needs = ["usr/libexec/*-mime"]
        per = "capture"
        env = { B = "2", A = "1" }
        timeout = 7
        [order]
        after = ["sysusers"]
        before = ["@owners"]
        [io]
        reads = ["usr/etc/mime.types"]
        writes = ["usr/share/{kind}/**"]
        scratch = ["usr/share/{kind}/tmp"]
        mtimes = "It copies them."
        phase = "live"
        [sandbox]
        proc = true
        dlopens_payload = true
        [policy]
        on_failure = "warn"
        missing_tool = "abort"
        [covers]
        commands = ['update-mime-database .*']
        [live]
        action = "udev-reload"
        """,
        "mime.toml",
    )

    assert trigger == Trigger(
        name="mime-database",
        description="Rebuild the MIME type cache.",
        include=(parse_glob("usr/share/{kind}/packages/*.xml"),),
        exclude=(parse_glob("usr/share/mime/packages/x.xml"),),
        exists=(parse_glob("usr/share/{kind}"),),
        on=("add", "remove"),
        exec=("/usr/bin/update-mime-database", "/usr/share/{kind}"),
        search=(parse_glob("usr/libexec"),),
        needs=(parse_glob("usr/libexec/*-mime"),),
        per="capture",
        env=(("A", "1"), ("B", "2")),
        timeout=7,
        after=("sysusers",),
        before=("@owners",),
        reads=(parse_glob("usr/etc/mime.types"),),
        writes=(parse_glob("usr/share/{kind}/**"),),
        scratch=(parse_glob("usr/share/{kind}/tmp"),),
        mtimes="It copies them.",
        phase="live",
        needs_proc=True,
        dlopens_payload=True,
        on_failure="warn",
        missing_tool="abort",
        covers=("update-mime-database .*",),
        live_action="udev-reload",
    )
    assert trigger.source == "mime.toml"


def test_what_is_not_said_has_a_default() -> None:
    trigger = parse_trigger(SMALL, "demo.toml")

    assert (trigger.on, trigger.per, trigger.phase) == (
        ("add", "change", "remove"),
        "once",
        "build",
    )
    assert [glob.text for glob in trigger.search] == ["usr/bin", "usr/sbin"]
    assert (trigger.on_failure, trigger.missing_tool, trigger.timeout) == ("abort", "skip", 120)


def test_all_mistakes_of_a_file_are_shown_at_once() -> None:
    assert faults(
        """
        schema = 2
        name = "Demo Trigger"
        colour = "red"
        [match]
        include = ["usr/share/[ab]", "etc/demo", "usr/ok"]
        on = ["delete"]
        when = "now"
        [run]
        exec = "demo"
        per = "often"
        timeout = "long"
        env = { "A-B" = "x", C = 1 }
        [io]
        writes = ["usr/a", 7]
        phase = "never"
        [sandbox]
        proc = "yes"
        [order]
        after = "ldconfig"
        [covers]
        commands = ["("]
        """
    ) == [
        "schema: this program knows schema = 1",
        "name: 'Demo Trigger' must match [a-z0-9][a-z0-9._-]*",
        "description: is missing",
        "match.include[0]: bad pattern 'usr/share/[ab]': [ ] has no meaning here;"
        " only *, ** and {name} have",
        "match.include[1]: bad pattern 'etc/demo': it must begin with \"usr/\""
        " (/etc is usr/etc in a tree)",
        "match.on: must be a list out of add, change, remove",
        "run.exec: must be a list of texts",
        "run.per: must be one of once, capture, file, files",
        "run.env.A-B: must be a variable's name and a text",
        "run.env.C: must be a variable's name and a text",
        "run.timeout: must be a whole number from 1 up",
        "order.after: must be a list of texts",
        "io.writes: must be a list of texts",
        "io.phase: must be one of build, boot, live",
        "sandbox.proc: must be true or false",
        "covers.commands[0]: bad regular expression '(': missing ), unterminated subpattern at"
        " position 0",
        "match.when: unknown key",
        "colour: unknown key",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        pytest.param('name = "demo"', "", "name: is missing", id="no-name"),
        pytest.param('["demo"]', "[]", "run.exec: must not be empty", id="no-program"),
        pytest.param(
            '["demo"]',
            '["../demo"]',
            "run.exec[0]: a program is a plain name or a path that begins with /usr/",
            id="relative-program",
        ),
        pytest.param(
            '["demo"]', '["{word}"]', "run.exec[0]: the program is a fixed name", id="any-program"
        ),
        pytest.param(
            '["demo"]',
            '["demo", "{wrd}"]',
            "run.exec[1]: {wrd} is captured by no pattern of match.include, or not by each",
            id="unknown-capture",
        ),
        pytest.param(
            '["demo"]',
            '["demo"]\nper = "capture"\n[io]\nwrites = ["usr/{other}"]',
            "io.writes[0]: {other} is captured by no pattern of match.include, or not by each",
            id="unknown-capture-in-writes",
        ),
        pytest.param(
            "[match]",
            '[match]\nexists = ["usr/*/x"]',
            "match.exists[0]: 'usr/*/x' is one path, without * and **",
            id="exists-with-star",
        ),
        pytest.param('["demo"]', '["demo"]\nwriets = []', "run.wriets: unknown key", id="typo"),
    ],
)
def test_a_mistake_names_its_key(old: str, new: str, fault: str) -> None:
    assert faults(SMALL.replace(old, new)) == [fault]


def test_a_capture_that_nothing_captures_makes_no_runs() -> None:
    text = f'{SMALL.replace("{word}/*", "x")}per = "capture"'

    assert faults(text) == [
        'run.per: "capture" needs a {capture} that every pattern of match.include has'
    ]


def test_what_is_not_toml_is_refused() -> None:
    (fault,) = faults(SMALL.replace("[run]", "[run"))

    assert fault.startswith("not TOML: ")


def test_two_captures_in_one_argument_are_refused_where_there_is_one_run() -> None:
    text = SMALL.replace("{word}/*", "{one}/{two}").replace('["demo"]', '["demo", "{one}-{two}"]')

    assert faults(text) == ["run.exec[1]: '{one}-{two}' holds two captures, with per = \"once\""]


def test_the_digest_is_of_what_is_said_and_not_of_how_or_where() -> None:
    one = parse_trigger(SMALL, "demo.toml")
    same = parse_trigger(f"# a comment\n{SMALL}timeout = 120\n", "/etc/layer/triggers.d/demo.toml")
    other = parse_trigger(f"{SMALL}timeout = 121\n", "demo.toml")
    second = parse_trigger(SMALL.replace('"demo"', '"second"'), "second.toml")

    assert trigger_digest(same) == trigger_digest(one)
    assert trigger_digest(other) != trigger_digest(one)
    assert digest([one, second]) == digest([second, same])
    assert digest([one, second]) != digest([other, second])
    assert digest([one]) != digest([one, second])
