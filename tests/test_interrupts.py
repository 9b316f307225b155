"""Signals while C code works: told to it from a thread, and at the end one exception."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# As libraries that heed Ctrl-C alone are told: by one more signal, again and again.
_HEARD = """
import os, signal, sys, threading, time
from layer import interrupts
interrupts.arm()
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
acts = 0
def act():
    global acts
    acts += 1
    os.kill(os.getpid(), signal.SIGINT)
sender = threading.Timer(0.1, os.kill, (os.getpid(), int(sys.argv[1])))
try:
    with interrupts.heard(act):
        sender.start()
        while acts < 3:
            time.sleep(0.1)
except KeyboardInterrupt as error:
    print(interrupts.exit_status(error), error.__context__)
during = acts
time.sleep(0.3)  # what still sends signals would end it here
print(during < 100, acts - during, threading.active_count())
print(before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_sends_signals_to_tell_of_one_ends_with_that_one(number: signal.Signals) -> None:
    """And sends none afterwards: it would spoil the cleaning up, and the exit status."""
    words = [sys.executable, "-c", _HEARD, str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{128 + number} None\nTrue 0 1\nTrue\n"
