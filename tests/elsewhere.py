"""Installs packages under circumstances that must not matter; run by test_demo_base.

python -m tests.elsewhere SYSROOT REPO_DIR FAKETIME_LIBRARY SHIFT [--date-trigger] PACKAGE...

The process has umask 077, another locale and one processor; its clock and that
of the sandbox are shifted by SHIFT, as libfaketime writes it. Prints the commit.
"""

from __future__ import annotations

import locale
import os
import sys
from pathlib import Path

from layer import host as host_module
from layer import transaction, verbs
from layer.host import Options, open_host
from layer.sandbox.box import SandboxOptions
from layer.triggers.format import parse_trigger
from layer.triggers.order import in_order

INSIDE = "/tmp/libfaketime.so.1"
CLOCK = "usr/share/clock"
DATE_TRIGGER = f"""\
schema = 1
name = "date"
description = "Writes the date, which no real trigger may."
[match]
include = ["usr/bin/*"]
[run]
exec = ["/usr/bin/sh", "-c", "date +%s > /{CLOCK}"]
[io]
writes = ["{CLOCK}"]
"""


def main() -> None:
    """See above."""
    sysroot, repo_dir, library, shift, *words = sys.argv[1:]
    with_date = "--date-trigger" in words
    packages = [word for word in words if not word.startswith("--")]
    os.umask(0o077)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    locale.setlocale(locale.LC_ALL, "")
    if with_date:
        read = host_module.read_triggers
        date = parse_trigger(DATE_TRIGGER, "date.toml")
        host_module.read_triggers = lambda *of: in_order([*read(*of), date])
    sandbox = SandboxOptions(
        extra_binds=((Path(library), INSIDE),),
        extra_env=(("LD_PRELOAD", INSIDE), ("FAKETIME", shift)),
    )
    host = open_host(
        Path(sysroot), Options(repository_directories=(Path(repo_dir),), sandbox=sandbox)
    )
    with host.locked():
        deployment = transaction.apply(host, verbs.install(host, packages))
    print(deployment.checksum)


if __name__ == "__main__":
    main()
