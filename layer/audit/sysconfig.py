"""openSUSE's settings below /etc/sysconfig, which packages fill from templates: fillup(8)."""

from __future__ import annotations

import re

from layer.audit.ruling import Call, Gathered, Ruling, parse_options, rewritten
from layer.audit.state import GuardKind
from layer.audit.verdict import Settings

_PATH = re.compile(r"/etc/sysconfig/([A-Za-z0-9_-]+/)?([A-Za-z0-9_][A-Za-z0-9_.+-]*)")
_TEMPLATES = "/usr/share/fillup-templates/sysconfig."
_ASKS = (GuardKind.TOOL,)


def rewrite_settings(call: Call, gathered: Gathered) -> Ruling | None:
    """The ruling on what %fillup_only runs; None where others have to judge it."""
    if call.name not in {"fillup", "touch"} or not call.is_known or call.fed is not None:
        return None
    options = parse_options(call.texts, frozenset(["-q"]), frozenset())
    if options is None or not options.words:
        return None
    path, *templates = options.words
    found = _PATH.fullmatch(path)
    if found is None or not call.hangs_only_on(_ASKS, (path, *templates)):
        return None
    if call.name == "touch":
        is_ours = any(own.startswith(_TEMPLATES + found[2]) for own in gathered.files)
        if templates or not is_ours:
            return None
        gathered.settings.append(Settings(path, ""))
    else:
        is_ours = len(templates) == 1 and _is_template(templates[0], gathered)
        if not is_ours:
            return None
        gathered.settings.append(Settings(path, templates[0]))
    return rewritten("the file is made from the package's template")


def _is_template(path: str, gathered: Gathered) -> bool:
    file = gathered.file(path)
    is_file = file is not None and file.mode & 0o170000 == 0o100000 and not file.is_ghost
    return path.startswith(_TEMPLATES) and is_file
