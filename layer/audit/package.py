"""The audit of one package, as a verb asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from layer.audit.verdict import Audit, Rewrites
from layer.model import PackageHeader
from layer.triggers.format import Trigger


def audit_of(header: PackageHeader, triggers: Sequence[Trigger] = ()) -> Audit:
    """Reads every scriptlet of a package, where these triggers run; see `Audit`."""
    if not header.scriptlets:
        return Audit(str(header.nevra), (), Rewrites(), ())
    # Grammars and tables: a quarter of all that a verb imports, and most packages have no script.
    from layer.audit.judge import audit_package, coverage

    return audit_package(header, coverage(header, triggers))
