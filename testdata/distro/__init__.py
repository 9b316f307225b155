"""The test distribution: Debian packages turned into real RPMs."""
