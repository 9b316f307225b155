"""The set of repositories that a tree and its administrator name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from layer.config import NO_DEFAULTS, Defaults, parse_repositories
from layer.errors import InvalidInput
from layer.model import Repository


def read_repositories(
    directories: Sequence[Path], variables: Mapping[str, str], defaults: Defaults = NO_DEFAULTS
) -> tuple[Repository, ...]:
    """Return the repositories of all `*.repo` files, disabled ones included, sorted by id.

    Of several with one id the last directory's wins, and in it the last file's
    by name. A directory that is missing has none. InvalidInput names every
    file that is wrong.
    """
    files = [file for directory in directories for file in sorted(directory.glob("*.repo"))]
    return gathered(((str(file), _read(file)) for file in files), variables, defaults)


def gathered(
    texts: Iterable[tuple[str, bytes | OSError]],
    variables: Mapping[str, str],
    defaults: Defaults = NO_DEFAULTS,
) -> tuple[Repository, ...]:
    """The same of files by their names with what they hold, or why they cannot be read."""
    found: dict[str, Repository] = {}
    errors: list[str] = []
    for source, content in texts:
        try:
            text = decoded(content, source)
            repositories = parse_repositories(text, source, variables, defaults)
        except InvalidInput as error:
            errors.append(error.message)
        else:
            found.update({repository.id: repository for repository in repositories})
    if errors:
        raise InvalidInput("\n".join(dict.fromkeys(errors)), "correct the files, or remove them")
    return tuple(found[id_] for id_ in sorted(found))


def decoded(content: bytes | OSError, source: str) -> str:
    """The text of a file; InvalidInput where there is none to be had."""
    try:
        if isinstance(content, OSError):
            raise content
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidInput(f"{source}: {reason}") from error


def _read(file: Path) -> bytes | OSError:
    try:
        return file.read_bytes()
    except OSError as error:
        return error
