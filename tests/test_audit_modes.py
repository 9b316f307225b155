"""Modes and capabilities are those that the real commands leave a file with, in their order."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.test_audit import audit

FILE = "/usr/bin/tool"  # 0755, root's


@pytest.mark.parametrize(
    "body",
    [
        "chmod u+s F\nsetcap cap_net_raw+ep F",
        "setcap cap_net_raw+ep F\nchmod u+s F",
        "setcap cap_net_raw+ep F\nchmod 4755 F",
        "setcap cap_net_raw+ep F\nchmod 0700 F",
        "chmod 4755 F\nsetcap CAP_NET_RAW=+ep F\nchmod u-s F",
        "setcap cap_net_raw+ep F\nchown root:games F",
        "chown root:games F\nsetcap cap_net_raw+ep F",
        "chmod 4755 F\nchown root:games F",
        "chmod 6755 F\nchown root:root F",
        "chmod 2744 F\nchgrp games F",
        "chown games F\nchmod u+s F",
        "setcap cap_net_raw+ep F\nchown games F\nchmod 6711 F\nsetcap cap_chown=ep F",
    ],
)
def test_the_last_word_is_the_real_commands(body: str, tmp_path: Path) -> None:
    if shutil.which("setcap") is None:
        pytest.skip("setcap is not installed")
    real = tmp_path / "tool"
    real.write_bytes(b"")
    real.chmod(0o755)
    subprocess.run(["sh", "-ec", body.replace("F", str(real))], check=True)
    has_capabilities = "security.capability" in os.listxattr(real)

    found = audit(body.replace("F", FILE))
    assert found.unknown == ()
    modes = [m.mode for m in found.rewrites.modes if m.mode is not None]
    assert oct(modes[-1] if modes else 0o755) == oct(stat.S_IMODE(real.stat().st_mode))
    assert bool(found.rewrites.capabilities) == has_capabilities


def test_a_mode_for_where_there_are_no_capabilities_has_no_set_id_bit() -> None:
    body = (
        "if command -v setcap; then setcap cap_net_raw+ep /usr/bin/tool\n"
        "else chmod 4755 /usr/bin/tool; fi\n"
    )
    assert [oct(m.mode or 0) for m in audit(body).rewrites.modes] == ["0o755"]
