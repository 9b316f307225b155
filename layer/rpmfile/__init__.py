"""RPM files and databases; the only room that knows librpm."""
