"""`layer --version`: of the program, and of the libraries that it stands on."""

from __future__ import annotations


def described(is_rpm_ostree: bool) -> str:
    """A line each; called as rpm-ostree, in the form of that program's own answer."""
    from importlib.metadata import version  # takes long to load

    from layer.rpmfile.writing import tool_versions
    from layer.solver.cache import library_version
    from layer.store.gobject import library_version as ostree_version

    libraries = (
        ("libsolv", library_version()),
        ("rpm", tool_versions()["rpm"]),
        ("libostree", ostree_version()),
    )
    if is_rpm_ostree:
        features = "".join(f"\n  - {name}-{number}" for name, number in libraries)
        return f"rpm-ostree:\n Version: '{version('layer')}'\n Program: layer\n Features:{features}"
    lines = [f"layer {version('layer')}", *(f"{name} {number}" for name, number in libraries)]
    return "\n".join(lines)
