"""The deployments as text for a person; pure, and without colour."""

from __future__ import annotations

from collections.abc import Iterator

from layer import initramfs, override_text
from layer.cached_update import CachedUpdate
from layer.model import Deployment
from layer.status import DeploymentState, MachineState, Signature
from layer.words import count, instant

_Row = tuple[str, str]


def status(
    machine: MachineState, update: CachedUpdate | None = None, *, is_verbose: bool = False
) -> str:
    """The deployments in the order of the boot menu; `●` marks the booted one.

    What needs attention stands first, what is newer last.
    """
    parts = [[warning] for warning in _warnings(machine)]
    live = machine.live.commit if machine.live else ""
    parts += [
        _state(state, live if state.deployment.is_booted else "", is_verbose=is_verbose)
        for state in machine.deployments
    ]
    if not machine.deployments:
        parts.append(["No deployments."])
    parts += [_update(update)] if update else []
    return "\n\n".join("\n".join(part) for part in parts)


def _warnings(machine: MachineState) -> Iterator[str]:
    lost = machine.lost
    if lost is not None:
        what = f"what was staged ({lost.checksum[:12]})" if lost.checksum else "what was staged"
        why = f": {lost.reason}" if lost.reason else ""
        yield (
            f"Warning: {what} did not become a deployment at shutdown{why}\n"
            "  `journalctl -b -1 -u ostree-finalize-staged.service` may tell more.\n"
            "  Make the change again, or forget it with `layer cleanup -p`."
        )
    if machine.is_once:
        yield "Note: what is staged is tried for one boot; what runs now comes back after it."
    live = machine.live
    if live is not None and live.target:
        yield (
            f"Warning: a change of what is live, to {live.target}, was begun and is not finished\n"
            "  `layer apply-live` finishes or undoes it."
        )
    if live is not None and live.old:
        users = ", ".join(f"{one} ({count(len(paths), 'file')})" for one, paths in live.old)
        yield f"Note: these still run old files: {users}"
    if machine.is_locked:
        yield (
            "Warning: finalization is locked, a reboot brings what runs now\n"
            "  `layer finalize-deployment CHECKSUM` unlocks it and reboots."
        )


def _update(item: CachedUpdate) -> list[str]:
    if item.has_new_base:
        rows = [
            f"AvailableUpdate: {item.origin} {item.version} ({instant(item.timestamp)})",
            f"         Commit: {item.checksum}",
        ]
    else:
        rows = ["AvailableUpdate: newer layers, the base is the newest"]
    keys = ("Layers", *("" for _ in item.layers[1:]))
    return [
        *rows,
        *(
            f"{key:>15}{':' if key else ' '} {line}"
            for key, line in zip(keys, item.layers, strict=False)
        ),
    ]


def _state(state: DeploymentState, live: str, *, is_verbose: bool) -> list[str]:
    deployment = state.deployment
    mark = "●" if deployment.is_booted else " "
    words = [str(state.origin.base) if state.origin else "(unknown origin)"]
    words += [f"({word})" for word in _words(deployment)]
    rows = list(_rows(state, is_verbose=is_verbose))
    rows += [("LiveCommit", f"{live} (until the reboot)")] if live else []
    width = max(len(key) for key, _ in rows)
    return [f"{mark} {' '.join(words)}", *(f"  {key.rjust(width)}: {value}" for key, value in rows)]


def _words(deployment: Deployment) -> Iterator[str]:
    claims = (("pinned", deployment.is_pinned), ("staged", deployment.is_staged))
    return (word for word, claim in claims if claim)


def _rows(state: DeploymentState, *, is_verbose: bool) -> Iterator[_Row]:
    deployment, origin = state.deployment, state.origin
    yield "Version", f"{state.version} ({instant(state.base.timestamp)})"
    if state.is_layered:
        yield "BaseCommit", state.base.checksum
    if origin and origin.override_commit:
        yield "Held", "at this base; layer upgrade moves on"
    yield "Commit", deployment.checksum
    yield "Stateroot", deployment.stateroot
    yield from _layers(state)
    if origin:
        yield from initramfs.status_rows(origin.options)
        if origin.initramfs_etc:
            yield "InitramfsEtc", " ".join(origin.initramfs_etc)
    if deployment.unlocked != "none":
        yield "Unlocked", deployment.unlocked
    if state.problem:
        yield "Problem", state.problem
    if is_verbose:
        yield from _details(state)


def _layers(state: DeploymentState) -> Iterator[_Row]:
    """What was asked for, and what came of it."""
    if state.active:
        yield "LayeredPackages", " ".join(r.text for r in state.active)
    for request, why in state.reasons:
        yield "InactiveRequests", f"{request.text} ({why})"
    for text, why in state.left_out:
        yield "LeftOut", f"{text} ({why})"
    yield from override_text.rows(state)
    if state.origin and not state.origin.options.documentation:
        yield "Documentation", "left out of what is layered"
    if state.lines_not_run:
        yield "Scriptlets", f"{count(state.lines_not_run, 'line')} not run: layer audit"


def _details(state: DeploymentState) -> Iterator[_Row]:
    deployment = state.deployment
    yield "Directory", str(deployment.path)
    yield "KernelArguments", " ".join(deployment.kernel_arguments) or "none"
    packages = [str(p.nevra) for p in state.lock.packages]
    for position, nevra in enumerate(packages):
        yield "" if position else "Packages", nevra
    if state.signatures is None:
        yield "Signatures", "not looked for: the remote is not verified"
    else:
        for position, signature in enumerate(state.signatures):
            yield "" if position else "Signatures", _signature(signature)


def _signature(signature: Signature) -> str:
    faults = [
        word
        for word, claim in (
            ("expired", signature.is_expired),
            ("its key expired", signature.is_key_expired),
            ("its key was revoked", signature.is_key_revoked),
            ("its key is missing", signature.is_key_missing),
        )
        if claim
    ]
    verdict = "good" if signature.is_valid and not faults else f"not good ({', '.join(faults)})"
    who = f" by {signature.user} <{signature.email}>" if signature.user else ""
    return f"{verdict}{who}, key {signature.fingerprint}"
