"""rpm-md repositories of the packages in a directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testdata.distro.rpmspec import BUILD_TIME


def make_repository(directory: Path) -> Path:
    """Write `directory`/repodata for the RPMs in it, the same bytes for the same RPMs."""
    subprocess.run(
        [
            "createrepo_c",
            "--quiet",
            "--no-database",
            "--general-compress-type=gz",  # 0.17.3 has no zstd
            "--checksum=sha256",
            f"--revision={BUILD_TIME}",
            "--set-timestamp-to-revision",
            str(directory),
        ],
        check=True,
    )
    return directory
