"""Gives a parser many inputs and keeps what it must not do."""

from __future__ import annotations

import hashlib
import time
import traceback
from dataclasses import dataclass, field

from layer.errors import LayerError
from tests.fuzz.corpus import FOUND
from tests.fuzz.targets import TARGETS

SLOW = 2.0  # seconds of the processor for one input of 20 kB


@dataclass
class Tally:
    """What became of the inputs of a target; `finds` are by the place that failed."""

    target: str
    executions: int = 0
    refused: int = 0
    finds: dict[str, bytes] = field(default_factory=dict)

    def execute(self, data: bytes) -> None:
        """Runs the parser once; whatever it does that it must not becomes a find."""
        self.executions += 1
        start = time.process_time()
        try:
            TARGETS[self.target](data)
        except LayerError as error:
            self.refused += 1
            if not error.message.strip():
                self._note("an error without words", data)
        except Exception as error:  # whatever is no LayerError would be a traceback
            self._note(_place(error), data)
        if time.process_time() - start > SLOW:
            self._note("slow", data)

    def _note(self, what: str, data: bytes) -> None:
        known = self.finds.get(what)
        if known is None or len(data) < len(known):
            self.finds[what] = data

    def keep(self) -> None:
        """Puts what was found where the next run begins with it."""
        for data in self.finds.values():
            folder = FOUND / self.target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def _place(error: Exception) -> str:
    """The failure, and the innermost line of ours that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/layer/" in f.filename or "/tests/fuzz/" in f.filename]
    last = ours[-1] if ours else frames[-1]
    where = last.filename.rpartition("/damage/")[2].rpartition("/layer/")[2]
    return f"{type(error).__name__} at {where}:{last.lineno}"
