"""Imports packages into a repository as `layer` does, each in a process that can be measured.

python -m tests.importing REPOSITORY SECONDS MEMORY

Reads paths of packages from stdin, a line each. For each it forks, imports in
the child what the path names, and writes a line of JSON: the child's exit status
(negative for a signal), its standard error, and its peak memory in bytes. Whoever
takes longer than SECONDS of time, or more than MEMORY bytes beyond doubt, is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

from layer.errors import LayerError
from layer.importer import import_package
from layer.rpmfile.header import read_header
from layer.store.objects import OstreeStore


def main() -> None:
    """See above."""
    repository, seconds, memory = sys.argv[1:]
    for line in sys.stdin:
        print(
            json.dumps(_measured(repository, line.strip(), int(seconds), int(memory))), flush=True
        )


def _measured(repository: str, package: str, seconds: int, memory: int) -> dict[str, object]:
    with tempfile.TemporaryFile(dir="/dev/shm") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(errors.fileno(), 2)
            signal.alarm(seconds)
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            _import(repository, package)
            os._exit(0)
        _, status, usage = os.wait4(child, 0)
        errors.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "stderr": errors.read().decode(),
            "peak": usage.ru_maxrss << 10,
        }


def _import(repository: str, package: str) -> None:
    """A failure that is no LayerError shows its traceback."""
    path = Path(package)
    try:
        store = OstreeStore.open(Path(repository))
        header = read_header(path)
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        with store.transaction():
            import_package(store, path, header, checksum=checksum)
    except LayerError as error:
        print(f"error: {error.message}", file=sys.stderr, flush=True)
        os._exit(1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(2)


if __name__ == "__main__":
    main()
