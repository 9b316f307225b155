"""Scripts that run for the files of other packages: what the grammar alone cannot decide of them.

Most file triggers are constant commands that a trigger of layer's covers, and need no row. A row
is for one command of one package's trigger on one place, and holds for that command alone: in a
body that changes, what is new is judged anew. rpm feeds such a script the paths of the files, so
a word that is not known here is one of those, or an option that the row names.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Collection, Sequence

from layer.audit.ruling import Call, Ruling
from layer.audit.state import UNKNOWN
from layer.audit.verdict import Verdict
from layer.frozen import dataclass
from layer.model import Scriptlet
from layer.paths import tree_paths

_KINDS = ("filetrigger", "transfiletrigger")


@dataclass(frozen=True, slots=True)
class Row:
    """A command of a package's script for files below `place`, and why it is what it is.

    A covered one names the trigger of layer's that does it.
    """

    packages: str
    place: str
    expression: str
    verdict: Verdict
    reason: str
    by: str = ""


_MANDB = "/usr/share/man"
_FONTS = "/usr/share/(fonts|ghostscript/fonts|texmf/fonts)"
_MANDB_FOLDER = "the folder of the index, which the package's own tmpfiles.d makes at boot"

ROWS = (
    Row(
        "info|texinfo",
        "/usr/share/info",
        f"fix-info-dir( --create| {UNKNOWN})? /usr/share/info/dir",
        Verdict.COVERED,
        "the table of contents is made anew from all manuals",
        "info-dir",
    ),
    Row(
        "info|texinfo",
        "/usr/share/info",
        f"install-info( --quiet)? --info-dir=/usr/share/info/? {UNKNOWN}",
        Verdict.COVERED,
        "the table of contents is made anew from all manuals",
        "info-dir",
    ),
    Row(
        "vim(-common|-data)?",
        "/usr/share/vim",
        "vim( -u NONE)? -c :helptags\1/usr/share/vim/[a-z0-9/]+/doc -c :q",
        Verdict.COVERED,
        "each folder of help texts gets its index",
        "vim-helptags",
    ),
    Row("man-db", _MANDB, "rm /var/cache/man", Verdict.HARMLESS, _MANDB_FOLDER),
    Row("man-db", _MANDB, "mkdir /var/cache/man", Verdict.HARMLESS, _MANDB_FOLDER),
    Row("man-db", _MANDB, "chown man:man /var/cache/man", Verdict.HARMLESS, _MANDB_FOLDER),
    Row(
        "man-db",
        "(/usr|/usr/share|/usr/local|/usr/local/share|/usr/X11R6|/opt)/man",
        "install -d -o man -g man -m 0755 /var/cache/man",
        Verdict.HARMLESS,
        _MANDB_FOLDER,
    ),
    Row(
        "man-db",
        "(/usr|/usr/share|/usr/local|/usr/local/share|/usr/X11R6|/opt)/man",
        "(setpriv --reuid man --regid man --init-groups|runuser -u man) -- /usr/bin/mandb -pq",
        Verdict.COVERED,
        "the index for searches is made once the machine runs",
        "mandb",
    ),
    Row(
        "fontconfig",
        _FONTS,
        "mkdir -p /var/cache/fontconfig",
        Verdict.HARMLESS,
        "a cache in /var, which fontconfig does without where /usr has one",
    ),
    Row(
        "fontconfig",
        _FONTS,
        "fc-cache -s -v",
        Verdict.COVERED,
        "each folder of fonts gets its cache",
        "fonts",
    ),
    Row(
        "ibus",
        "/usr/share/ibus/component",
        "env -i /usr/bin/ibus write-cache --system",
        Verdict.HARMLESS,
        "a cache in /var; ibus reads the components themselves where it is not there",
    ),
    Row(
        "appstream",
        "/usr/share/(swcatalog|metainfo|app-info)",
        "appstreamcli refresh-cache (--force|--source=os)",
        Verdict.HARMLESS,
        "a cache in /var, which the program makes anew where it is old",
    ),
)  # fmt: skip
_COMPILED = tuple((re.compile(row.expression, re.DOTALL), row) for row in ROWS)


def is_for_files(scriptlet: Scriptlet) -> bool:
    """Whether a scriptlet runs for the files of any package."""
    return scriptlet.slot.startswith(_KINDS)


def is_within(places: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether patterns of a tree match files below one of these places of rpm's.

    For files at the others the command would find nothing that has changed.
    """
    return any(_meets(_in_tree(place), pattern) for place in places for pattern in patterns)


def _in_tree(place: str) -> str:
    path = tree_paths(posixpath.normpath(place))
    return path[-1] if path else place.strip("/")


def _meets(place: str, pattern: str) -> bool:
    """Whether the pattern could match a path below the place, by their segments."""
    given, wanted = place.split("/"), re.sub(r"\{\w+\}", "*", pattern).split("/")
    for number, segment in enumerate(given):
        if number >= len(wanted):
            return False
        if wanted[number].startswith("**"):
            return True
        if not fnmatch.fnmatchcase(segment, wanted[number]):
            return False
    return True


def rule_by_place(
    call: Call, package: str, scriptlet: Scriptlet, triggers: Collection[str]
) -> Ruling | None:
    """What the rows say of a command of this scriptlet; `triggers` are those in force."""
    if not is_for_files(scriptlet) or call.fed is not None:
        return None
    for expression, row in _COMPILED:
        if (
            expression.fullmatch(call.line)
            and re.fullmatch(row.packages, package)
            and all(re.match(f"{row.place}(/|$)", place) for place in scriptlet.about)
            and scriptlet.about
            and (not row.by or row.by in triggers)
        ):
            return Ruling(row.verdict, row.reason, row.by)
    return None
