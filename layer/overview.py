"""The deployments as text for a person; pure, and without colour."""

from __future__ import annotations

from collections.abc import Sequence

from layer import initramfs
from layer.status import DeploymentState
from layer.words import count, instant


def status(states: Sequence[DeploymentState]) -> str:
    """The deployments in the order of the boot menu; `●` marks the booted one."""
    if not states:
        return "No deployments."
    return "\n\n".join("\n".join(_state(state)) for state in states)


def _state(state: DeploymentState) -> list[str]:
    deployment = state.deployment
    mark = "●" if deployment.is_booted else " "
    words = [str(state.origin.base) if state.origin else "(unknown origin)"]
    words += [
        f"({word})"
        for word, claim in (("pinned", deployment.is_pinned), ("staged", deployment.is_staged))
        if claim
    ]
    rows = [("Version", f"{state.version} ({instant(state.base.timestamp)})")]
    if state.is_layered:
        rows.append(("BaseCommit", state.base.checksum))
    if state.origin and state.origin.override_commit:
        rows.append(("Held", "at this base; layer upgrade moves on"))
    rows.append(("Commit", deployment.checksum))
    rows.append(("Stateroot", deployment.stateroot))
    if state.active:
        rows.append(("LayeredPackages", " ".join(r.text for r in state.active)))
    rows += _idle_requests(state)
    if state.origin and not state.origin.options.documentation:
        rows.append(("Documentation", "left out of what is layered"))
    rows += initramfs.status_rows(state.origin.options) if state.origin else []
    if state.lines_not_run:
        rows.append(("Scriptlets", f"{count(state.lines_not_run, 'line')} not run: layer audit"))
    if deployment.is_unlocked:
        rows.append(("Unlocked", deployment.unlocked))
    if state.problem:
        rows.append(("Problem", state.problem))
    width = max(len(key) for key, _ in rows)
    return [f"{mark} {' '.join(words)}", *(f"  {key.rjust(width)}: {value}" for key, value in rows)]


def _idle_requests(state: DeploymentState) -> list[tuple[str, str]]:
    """Requests that take no package, each with the reason."""
    rows = [("InactiveRequests", f"{request.text} ({why})") for request, why in state.reasons]
    return [*rows, *(("LeftOut", f"{text} ({why})") for text, why in state.left_out)]
