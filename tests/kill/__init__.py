"""Kills the program at its n-th change of a file, for all n, and looks at what is left.

strace's injection counts the calls of each thread for itself (`when=N` is per tracee), so that
the calls of a thread that starts late can never be the N-th. The tracer here stops at the same
calls, by a seccomp filter, and counts those of the whole process.
"""
