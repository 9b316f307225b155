"""What the audit says of a package's scriptlets."""

from __future__ import annotations

import enum
import hashlib

from layer.frozen import dataclass


class Verdict(enum.Enum):
    """What becomes of a line that is not run; a later one outweighs an earlier one."""

    NOT_APPLICABLE = "not applicable"  # it would not run at a first installation
    HARMLESS = "harmless"  # it leaves nothing behind
    LIVE_ONLY = "live-only"  # it acts on the running system alone
    COVERED = "covered"  # a trigger that fires for this package does it
    REWRITTEN = "rewritten"  # layer does it by declaration
    UNKNOWN = "unknown"  # somebody must look at it

    @property
    def weight(self) -> int:
        """Its place in the order."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Judged:
    """A simple command of a scriptlet: `line` counts from 1 in the body, `by` names the trigger."""

    slot: str
    line: int
    text: str
    verdict: Verdict
    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One `update-alternatives --install`; slaves are (link, name, path)."""

    link: str
    name: str
    path: str
    priority: int
    slaves: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Mode:
    """Owner and permissions of one of the package's own files; None and "" leave them alone."""

    path: str
    mode: int | None = None
    user: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """A file of settings in /etc that is made from the package's own `template`.

    Where it is there, it gets what it lacks of the variables, or stays where `whole` says that
    it is no list of such; "" makes it empty.
    """

    path: str
    template: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Rewrites:
    """What is declared in place of commands, in the order of the scriptlets; paths are absolute.

    `sysusers` and `tmpfiles` are lines of sysusers.d(5) and tmpfiles.d(5), `capabilities`
    (path, text as setcap reads it), `links` (path, target); `shells` are for shells(5);
    `disabled` are units that a preset must not enable: ("system" or "user", name); `settings`
    are openSUSE's files below /etc/sysconfig, and copies of shipped files.
    """

    sysusers: tuple[str, ...] = ()
    tmpfiles: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    modes: tuple[Mode, ...] = ()
    shells: tuple[str, ...] = ()
    disabled: tuple[tuple[str, str], ...] = ()
    settings: tuple[Settings, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was read of one package; `bodies` are (slot, SHA-256 of interpreter and body).

    Of a package in the base those of its triggers that run for layered packages; `runs_for` are
    the names of these.
    """

    nevra: str
    judged: tuple[Judged, ...]
    rewrites: Rewrites
    bodies: tuple[tuple[str, str], ...]
    runs_for: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[Judged, ...]:
        """The lines that nobody has an answer to."""
        return tuple(item for item in self.judged if item.verdict is Verdict.UNKNOWN)

    @property
    def digest(self) -> str:
        """SHA-256 over the bodies with unknown lines, which consent names; "" without any."""
        slots = {item.slot for item in self.unknown}
        lines = [f"{slot} {body}\n" for slot, body in sorted(self.bodies) if slot in slots]
        return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""
