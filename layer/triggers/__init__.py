"""Declarative triggers: their format, what they match, in which order they run."""
