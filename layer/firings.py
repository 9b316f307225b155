"""Which triggers fire for what is layered, or would be: in their order, and for which paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from layer import verbs
from layer.errors import NotFound
from layer.foresight import firings, placements_of
from layer.frozen import dataclass
from layer.host import Host
from layer.lock import LAYER, base_of, read_record
from layer.model import TreeDiff, TriggerRun
from layer.store.trees import diff
from layer.trigger_task import kept_ref
from layer.triggers.format import Trigger
from layer.triggers.match import fires

_UNITS = "usr/lib/systemd/system/"


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger's run, the words it is for, and the paths that matched.

    `status` says how it went, `is_kept` whether its output is in the store; "" and None where that
    cannot be known yet.
    """

    name: str
    phase: str
    values: tuple[str, ...]
    inputs: tuple[str, ...]
    status: str
    is_kept: bool | None


def fired(host: Host, names: Sequence[str] = ()) -> tuple[Fired, ...]:
    """What fired for what is layered in the pending deployment."""
    store = host.store
    commit = store.read_commit(host.require_pending().checksum)
    triggers = {trigger.name: trigger for trigger in host.triggers(commit.root)}
    _check_names(triggers, names)
    base = base_of(commit)
    if base is None:
        return ()
    record = read_record(commit)
    # layer's own units come after all triggers; what else it writes comes before them.
    made = {p for p, writer in record.written if writer != LAYER or p.startswith(_UNITS)}
    whole = diff(store, store.read_commit(base).root, commit.root)
    brought = TreeDiff(
        *(
            tuple(path for path in paths if path not in made)
            for paths in (whole.added, whole.changed, whole.removed)
        )
    )
    return tuple(
        Fired(
            run.name,
            triggers[run.name].phase if run.name in triggers else "",
            run.values,
            tuple(_inputs(triggers.get(run.name), run, brought)),
            run.status,
            store.find_commit(kept_ref(run.name, run.key)) is not None,
        )
        for run in record.runs
        if not names or run.name in names
    )


def would_fire(host: Host, names: Sequence[str], packages: Sequence[str]) -> tuple[Fired, ...]:
    """What would fire if these packages were layered, too; read from their headers."""
    host = replace(host, options=replace(host.options, scriptlets="warn"))
    change = verbs.install(host, packages, idempotent=True, allow_inactive=True)
    triggers = host.triggers(change.base.root)
    _check_names({trigger.name: trigger for trigger in triggers}, names)
    placements = placements_of(change.headers, documentation=change.after.options.documentation)
    found = {
        trigger.name: tuple(path for path, _ in firing.matches)
        for trigger, firing in firings(
            host.store, change.base, change.headers, placements, triggers
        )
    }
    # What options demand, and what goes from the base, fires triggers, too, by no path of theirs.
    return tuple(
        Fired(trigger.name, trigger.phase, (), found.get(trigger.name, ()), "", None)
        for trigger in triggers
        if trigger.name in change.triggers and (not names or trigger.name in names)
    )


def _check_names(there: dict[str, Trigger], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        raise NotFound(
            f"there is no trigger {', '.join(missing)}", "`layer trigger list` shows all"
        )


def _inputs(trigger: Trigger | None, run: TriggerRun, brought: TreeDiff) -> Iterator[str]:
    """The paths that matched; of a run for one word those that captured it."""
    firing = fires(trigger, brought) if trigger else None
    if trigger is None or firing is None:
        return
    for path, binding in firing.matches:
        if trigger.per != "capture" or tuple(word for _, word in binding) == run.values:
            yield path
