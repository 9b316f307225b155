"""What a live change has put where, so that it can be taken back: nouns, and their record."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from layer.errors import InvalidInput
from layer.frozen import dataclass

SCHEMA = 1
EDITED = "edited"


class Stage(enum.Enum):
    """How far a live change has come; the values stand in the record."""

    PREPARING = "preparing"  # files come and go, /usr is what it was
    SWAPPING = "swapping"
    FINISHING = "finishing"  # /usr is what it is to be
    DONE = "done"


class Placed(enum.Enum):
    """What was put somewhere; the values stand in the record."""

    FILE = "file"
    LINK = "link"
    DIRECTORY = "directory"
    ATTRIBUTES = "attributes"  # of a directory that was there


@dataclass(frozen=True, slots=True, order=True)
class Addition:
    """A path that was not there (no leading slash, on the machine), and what was put there.

    `says` is of a file SHA-256 of its content, of a link its target, of attributes what they
    were, and "" of a directory.
    """

    path: str
    kind: str
    says: str = ""

    @property
    def placed(self) -> Placed:
        """The kind as a noun."""
        return Placed(self.kind)


@dataclass(frozen=True, slots=True, order=True)
class Replacement:
    """A file whose content is another; the old one is kept as `backup`.

    `says` is SHA-256 of the new content, "" until it is written, and `EDITED` where somebody has
    edited it since, so that the backup is not what it was.
    """

    path: str
    backup: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is to be seen, and all that was put where for its sake.

    `checkout` is the name of its directory; `accounts` are the names of users and groups that
    came; `made` lies outside /etc.
    """

    commit: str
    checkout: str
    additions: tuple[Addition, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    accounts: tuple[str, ...] = ()
    made: tuple[Addition, ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """What is being done, or was: in which boot, of which deployment's commit.

    `wanted` is what comes of it and `before` what was there; None is the boot's own /usr.
    """

    boot: str
    booted: str
    stage: Stage
    wanted: LiveState | None
    before: LiveState | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return self.stage is Stage.DONE

    @property
    def names(self) -> frozenset[str]:
        """The checkouts that it names."""
        return frozenset(s.checkout for s in (self.wanted, self.before) if s is not None)


def as_values(journal: Journal) -> dict[str, Any]:
    """The record's keys; docs/formats.md lists them."""
    return {**asdict(journal), "stage": journal.stage.value}


def parse_journal(values: Mapping[str, Any]) -> Journal:
    """The journal that a record tells; InvalidInput where another program wrote it."""
    try:
        return Journal(
            boot=str(values["boot"]),
            booted=str(values["booted"]),
            stage=Stage(values["stage"]),
            wanted=_state(values["wanted"]),
            before=_state(values["before"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the record of what is live cannot be read: {error}") from error


def _state(values: Any) -> LiveState | None:
    if values is None:
        return None
    return LiveState(
        commit=str(values["commit"]),
        checkout=str(values["checkout"]),
        additions=tuple(Addition(**one) for one in values["additions"]),
        replacements=tuple(Replacement(**one) for one in values["replacements"]),
        accounts=tuple(values["accounts"]),
        made=tuple(Addition(**one) for one in values["made"]),
    )
