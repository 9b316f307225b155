"""Which scriptlets of a package would matter, had layer run them."""

from __future__ import annotations

# Every tree is made anew from its base, so what runs when a package goes, or is
# checked, or when another one changes after it, never applies.
_NEVER = frozenset({"preun", "postun", "preuntrans", "postuntrans", "verify"})
_NEVER_TRIGGERS = ("triggerun", "triggerpostun", "filetriggerun", "filetriggerpostun")


def is_installing(slot: str) -> bool:
    """Whether rpm runs this slot while packages are installed."""
    return slot not in _NEVER and not slot.removeprefix("trans").startswith(_NEVER_TRIGGERS)
