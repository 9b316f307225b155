"""Eight programs at once on one sysroot, with random verbs, some of them interrupted.

`make test-together` runs for two minutes and prints a table; tests/test_together.py for seconds.
"""
