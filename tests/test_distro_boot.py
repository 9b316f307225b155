"""What the harness makes of a serial console; booting itself needs a composed base."""

from __future__ import annotations

from testdata.distro.boot import judge

CONSOLE = (
    "Debian GNU/Linux 12 demo ttyS0\r\n"
    "demo login: boot-marker: uptime=9.8\r\n"
    "boot-marker: state={state}\r\n"
    "boot-marker: test=hello\r\n"
)


def test_state_is_what_systemd_said() -> None:
    console = CONSOLE.format(state="running") + "boot-marker: end=11\r\n"
    result = judge(console, 12.5, is_late=False)
    assert (result.state, result.is_running) == ("running", True)
    assert result.lines == ("uptime=9.8", "state=running", "test=hello", "end=11")
    assert result.values("test") == ("hello",)


def test_degraded_system_is_not_running() -> None:
    console = CONSOLE.format(state="degraded") + "boot-marker: end=11\r\n"
    assert not judge(console, 12.5, is_late=False).is_running


def test_report_without_its_end_is_not_believed() -> None:
    console = CONSOLE.format(state="running")
    assert judge(console, 180, is_late=True).state == "timeout"
    assert judge(console, 12.5, is_late=False).state == "no marker"
