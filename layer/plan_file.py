"""A change that was built and not deployed, as a file that `layer apply` takes."""

from __future__ import annotations

from dataclasses import field

from layer.change import Told
from layer.frozen import dataclass
from layer.origin import Origin, format_origin, parse_origin
from layer.sealed import Reading, seal, unseal
from layer.words import printable

KIND = "plan"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class PlanFile:
    """The commit that was built, and over what: the deployment that was to boot next, its origin.

    `told` is what the plan said.
    """

    commit: str
    base: str
    stateroot: str
    pending: str
    before: str
    origin: Origin
    kernel_arguments: tuple[str, ...]
    command: tuple[str, ...] = ()
    told: Told = field(default_factory=lambda: Told(""))


def format_plan(item: PlanFile) -> str:
    """The file's text."""
    return seal(
        {
            "kind": KIND,
            "schema": SCHEMA,
            "commit": item.commit,
            "base": item.base,
            "stateroot": item.stateroot,
            "pending": item.pending,
            "pending-state": item.before,
            "origin": format_origin(item.origin).splitlines(),
            "kernel-arguments": list(item.kernel_arguments),
            "command": list(item.command),
            "plan": dict(item.told.values),
            "text": item.told.text.splitlines(),
        }
    )


def parse_plan(text: str, name: str) -> PlanFile:
    """The plan in a file of that name; InvalidInput says what is wrong with it."""
    value = Reading(unseal(text, KIND, SCHEMA, name), name)
    return PlanFile(
        commit=value.checksum("commit"),
        base=value.checksum("base"),
        stateroot=value.text("stateroot"),
        pending=value.checksum("pending"),
        before=value.checksum("pending-state"),
        origin=parse_origin("".join(f"{line}\n" for line in value.texts("origin"))),
        kernel_arguments=value.texts("kernel-arguments"),
        command=value.texts("command"),
        told=Told("\n".join(map(printable, value.texts("text"))), value.object("plan")),
    )
