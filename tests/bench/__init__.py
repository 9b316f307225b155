"""Measurements, run by make."""
