"""Files of /etc that are the admin's to change, and that scripts copy from what is shipped.

A tree has the copy below /usr/etc, and OSTree merges it into the machine's /etc as it does all
files there: what the admin changed stays. That is what ucf(1) does with questions.
"""

from __future__ import annotations

import re
import stat

from layer.audit.ruling import Call, Gathered, Ruling, parse_options, rewritten
from layer.audit.state import GuardKind
from layer.audit.verdict import Settings

_TARGET = re.compile(r"(?!.*/\.{1,2}(/|$))/etc/[A-Za-z0-9_./+@:-]*[A-Za-z0-9_+@-]")
_SOURCE = re.compile(r"(?!.*/\.{1,2}(/|$))/usr/[A-Za-z0-9_./+@:-]+")
_FLAGS = frozenset(["--debconf-ok", "--three-way"])
# What dh_apparmor writes: an empty file, for an include of a profile.
_PROFILE = re.compile(r"/etc/apparmor\.d/local/[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def rewrite_copy(call: Call, gathered: Gathered) -> Ruling | None:
    """The ruling on ucf and on dh_apparmor's empty file; None where others have to judge it."""
    if not call.is_known or call.fed is not None:
        return None
    if call.name == "ucf":
        return _ucf(call, gathered)
    return _profile(call, gathered) if call.name == "install" else None


def _ucf(call: Call, gathered: Gathered) -> Ruling | None:
    options = parse_options(call.texts, _FLAGS, frozenset())
    if options is None or len(options.words) != 2:
        return None
    source, target = options.words
    file = gathered.file(source)
    is_file = file is not None and stat.S_ISREG(file.mode) and not file.is_ghost
    if not is_file or not _SOURCE.fullmatch(source) or not _TARGET.fullmatch(target):
        return None
    if gathered.file(target) or not call.hangs_only_on((GuardKind.TOOL,), (source,)):
        return None
    gathered.settings.append(Settings(target, source, whole=True))
    return rewritten("the file is a copy of the package's own, where there is none")


def _profile(call: Call, gathered: Gathered) -> Ruling | None:
    options = parse_options(call.texts, frozenset(), frozenset(["-m", "--mode"]))
    if options is None or len(options.words) != 2 or options.words[0] != "/dev/null":
        return None
    path = options.words[1]
    if options.value("-m", "--mode") not in {"644", "0644"} or not _PROFILE.fullmatch(path):
        return None
    if gathered.file(path) or not call.hangs_only_on((GuardKind.TOOL,), (path,)):
        return None
    gathered.settings.append(Settings(path, "", whole=True))
    return rewritten("the empty file is in the tree, where there is none")
