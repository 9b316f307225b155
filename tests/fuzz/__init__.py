"""Inputs that nobody meant, for every parser that is ours; `make fuzz` runs for long.

A parser understands its input or raises one LayerError; whatever else it does is a find, and each
find stays as a file in `found/PARSER/`.
"""
