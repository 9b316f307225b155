"""Which deployments boot, and in which order: pure functions on what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layer.errors import LayerError
from layer.model import BootPlan, Deployment, NewDeployment
from layer.origin import format_origin, parse_origin


def pending(deployments: Sequence[Deployment], stateroot: str) -> Deployment | None:
    """The deployment of a stateroot that boots next, on which the next change builds."""
    return next((d for d in deployments if d.stateroot == stateroot), None)


def merge_source(deployments: Sequence[Deployment], stateroot: str) -> Deployment | None:
    """The deployment whose /etc the next one takes over: the booted, else the pending one.

    One that is staged has no /etc of its own yet.
    """
    own = [d for d in deployments if d.stateroot == stateroot and not d.is_staged]
    return next((d for d in own if d.is_booted), None) or pending(own, stateroot)


def deploy(deployments: Sequence[Deployment], new: NewDeployment, keep: int = 0) -> BootPlan:
    """The new deployment first; of its stateroot the booted, merge and pinned ones stay.

    Of the others as many stay as make `keep` with a merge one that is neither booted nor pinned.
    One that is staged makes way, whatever its stateroot: there is room for one.
    """
    present = _finished(deployments)
    own = [d for d in present if d.stateroot == new.stateroot]
    loose = [d for d in own if not (d.is_booted or d.is_pinned)]
    others = [d for d in loose if not _stays(d, new)]
    room = keep - (len(loose) - len(others))
    gone = others[max(0, room) :]
    return BootPlan((new, *(d for d in present if d not in gone)))


def trimmed(deployments: Sequence[Deployment], stateroot: str, keep: int) -> BootPlan:
    """The plan with `keep` deployments of a stateroot beside the default, booted and pinned ones.

    While one is staged all stay: it is not in the boot menu yet.
    """
    own = [d for d in deployments if d.stateroot == stateroot]
    loose = [d for d in own[1:] if not (d.is_booted or d.is_pinned)]
    gone = [] if any(d.is_staged for d in deployments) else loose[keep:]
    return BootPlan(tuple(d for d in deployments if d not in gone))


def rollback_target(deployments: Sequence[Deployment], stateroot: str) -> Deployment:
    """What a rollback boots: the second deployment of the stateroot.

    On a booted machine whose default is not what runs, it is the booted one; what is staged is
    such a default, and so is one of another stateroot.
    """
    own = [d for d in deployments if d.stateroot == stateroot]
    booted = next((d for d in own if d.is_booted), None)
    if booted is not None and deployments[0] is not booted:
        return booted
    if len(own) > 1:
        return own[1]
    raise LayerError(
        f"there is no deployment of {stateroot} to roll back to",
        "`layer status` lists the deployments",
    )


def rollback(
    deployments: Sequence[Deployment],
    stateroot: str,
    *,
    keep_etc: bool = False,
    overlay: bytes = b"",
) -> BootPlan:
    """The target of a rollback first; with `keep_etc` a new deployment of its commit.

    That takes over what was changed in the /etc of the deployment which is left; the target
    itself stays as it is. What is staged is dropped. `overlay` is an initrd for the new one.
    """
    target = rollback_target(deployments, stateroot)
    staged = next((d for d in deployments if d.is_staged), None)
    if keep_etc:
        new = NewDeployment(
            stateroot=stateroot,
            checksum=target.checksum,
            origin=format_origin(parse_origin(target.origin)),
            merge=merge_source(deployments, stateroot),
            kernel_arguments=target.kernel_arguments,
            overlay=overlay,
        )
        return BootPlan((new, *_finished(deployments)), staged)
    return replace(first(deployments, target), dropped=staged)


def first(deployments: Sequence[Deployment], default: Deployment) -> BootPlan:
    """One of the deployments as default, the others in their order behind it."""
    return BootPlan((default, *(d for d in _finished(deployments) if d is not default)))


def at(deployments: Sequence[Deployment], index: int) -> Deployment:
    """The deployment with this number; LayerError where there is none."""
    if not 0 <= index < len(deployments):
        there = f"0 to {len(deployments) - 1}" if deployments else "none"
        raise LayerError(
            f"there is no deployment {index} (there is: {there})",
            "`layer status` lists the deployments, the first is 0",
        )
    return deployments[index]


def without(
    deployments: Sequence[Deployment], stateroot: str, *, pending: bool, rollback: bool
) -> BootPlan:
    """The plan without what boots before the booted deployment, or the first one behind it.

    On a sysroot that has not booted the first deployment is the pending one;
    the last one of a stateroot always stays. LayerError where one is pinned.
    """
    own = [d for d in deployments if d.stateroot == stateroot]
    booted = next((i for i, d in enumerate(own) if d.is_booted), None)
    before, behind = (
        (own[:1], own[1:2]) if booted is None else (own[:booted], own[booted + 1 :][:1])
    )
    gone = [*(before if pending else ()), *(behind if rollback else ())]
    if len(gone) == len(own):
        gone = gone[1:]
    for deployment in gone:
        if deployment.is_pinned:
            raise LayerError(
                f"deployment {deployment.index} is pinned",
                f"layer unpin {deployment.index}",
            )
    return BootPlan(tuple(d for d in deployments if d not in gone))


def _finished(deployments: Sequence[Deployment]) -> list[Deployment]:
    """Without what is staged: libostree keeps that as the first of a plan alone."""
    return [d for d in deployments if not d.is_staged]


def _stays(deployment: Deployment, new: NewDeployment) -> bool:
    is_merge = new.merge is not None and deployment.index == new.merge.index
    return deployment.is_booted or deployment.is_pinned or is_merge
