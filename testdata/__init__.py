"""Data and tools that only tests and the demonstration use."""
