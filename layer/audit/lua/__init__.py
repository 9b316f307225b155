"""Lua scriptlets, read the way the shell's are."""
