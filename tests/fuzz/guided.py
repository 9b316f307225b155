"""A run of one parser with atheris, in a process of its own: libFuzzer ends it when it is done.

`python -m tests.fuzz.guided TARGET SECONDS SEED` prints what came of it as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["layer"]):
    from tests.fuzz.corpus import corpus
    from tests.fuzz.mutation import LONGEST
    from tests.fuzz.running import Tally


def main(target: str, seconds: float, seed: int) -> None:
    """Runs for so long, and prints."""
    tally, end = Tally(target), time.monotonic() + seconds

    def one(data: bytes) -> None:
        tally.execute(data)
        if time.monotonic() > end:
            finds = {place: found.hex() for place, found in tally.finds.items()}
            said = {"executions": tally.executions, "refused": tally.refused, "finds": finds}
            print(json.dumps(said), flush=True)
            os._exit(0)  # an exception would be a find of libFuzzer's

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(corpus(target)):
            Path(folder, str(number)).write_bytes(data)
        words = ["fuzz", f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=0"]
        atheris.Setup([*words, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
