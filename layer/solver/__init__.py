"""Which packages to add over a base, decided by libsolv; sole user of solv.

Nothing of solv leaves this package: a Solvable that outlives its Pool ends the
process. A pool is loaded, asked and dropped within one call.
"""
