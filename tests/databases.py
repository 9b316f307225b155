"""rpm databases as files, for tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layer.rpmfile.database import DATABASE_FILE
from layer.rpmfile.writing import new_database


def write_database(
    source: Path | None, destination: Path, blobs: Sequence[bytes], **options: Any
) -> None:
    """Keeps what `layer.rpmfile.writing.new_database` makes in the directory `destination`."""
    with new_database(source, blobs, destination, **options) as database:
        shutil.copy(database, destination / DATABASE_FILE)
