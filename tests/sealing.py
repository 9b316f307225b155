"""Files of ours whose author knows how they are sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from layer.sealed import seal


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    """An edit of such a file, with the seal that fits it."""

    def edit(text: str) -> str:
        value = json.loads(text)
        del value["seal"]
        change(value)
        return seal(value)

    return edit
