"""The set of repositories that a tree and its administrator name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from layer.config import parse_repositories
from layer.errors import InvalidInput
from layer.model import Repository


def read_repositories(
    directories: Sequence[Path], variables: Mapping[str, str]
) -> tuple[Repository, ...]:
    """Return the repositories of all `*.repo` files, disabled ones included, sorted by id.

    Of several with one id the last directory's wins, and in it the last file's
    by name. A directory that is missing has none. InvalidInput names every
    file that is wrong.
    """
    found: dict[str, Repository] = {}
    errors: list[str] = []
    for file in (file for directory in directories for file in sorted(directory.glob("*.repo"))):
        try:
            repositories = parse_repositories(_read(file), str(file), variables)
        except InvalidInput as error:
            errors.append(error.message)
        else:
            found.update({repository.id: repository for repository in repositories})
    if errors:
        raise InvalidInput("\n".join(errors), "correct the files, or remove them")
    return tuple(found[id_] for id_ in sorted(found))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidInput(f"{file}: {reason}") from error
