"""Options that several verbs take, and the way from them to a host."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layer.commands import _rpm_ostree, _switches
from layer.commands._speech import answer, answer_json, columns, manner, say, tell
from layer.commands._voice import voice
from layer.errors import LayerError
from layer.words import REBOOT

if TYPE_CHECKING:
    from layer.change import Change
    from layer.host import Host

UNCHANGED = 77
_REPO_DIRS = "repository_directories"
_CACHE = "cache_directory"
_ACCEPT = "accept_unscripted"
_CACHE_ONLY = "cache_only"
# What `carry_out` does beside the change, by these keys of click's context.
_REBOOT = "layer.reboot"
_LOCK = "lock_finalization"
_ONCE = "once"
_EXCLUDES = "excludes"
_BEST = "is_best"
_DOWNLOAD_ONLY = "layer.download-only"
_APPLY_LIVE = "layer.apply-live"
_AS_JSON = "layer.json"
PLAN = "layer.plan"  # the file that `layer plan` has built and written, in place of deploying

Decorated = Callable[..., Any]


def sysroot_options(function: Decorated) -> Decorated:
    """--sysroot, --stateroot and --no-wait; gives the function `host`."""

    @opening_options
    @functools.wraps(function)
    def wrapper(opened: Callable[[], Host], **rest: Any) -> Any:
        return function(host=opened(), **rest)

    return wrapper


def opening_options(function: Decorated) -> Decorated:
    """The same options for a verb that may do without a sysroot; gives it `opened`."""

    @click.option(
        "--sysroot",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="OSTREE_SYSROOT",
        default=Path("/"),
        help="Work on this OSTree sysroot (default: /).",
    )
    @click.option("--stateroot", "--os", metavar="NAME", help="Work on this stateroot.")
    @click.option("--no-wait", is_flag=True, help="Fail if another program is at work.")
    @functools.wraps(function)
    def wrapper(sysroot: Path, stateroot: str | None, no_wait: bool, **rest: Any) -> Any:
        from layer.host import Options, open_host
        from layer.model import Preference

        options = Options(
            stateroot=stateroot,
            repository_directories=rest.pop(_REPO_DIRS, ()),
            cache=rest.pop(_CACHE, None),
            wait=not no_wait,
            accept_unscripted=rest.pop(_ACCEPT, ()),
            cache_only=rest.pop(_CACHE_ONLY, False),
            command=tuple(sys.argv[1:]),
            usual_scriptlets="warn" if _rpm_ostree.is_caller() else "stop",
            lock_finalization=rest.pop(_LOCK, False),
            once=rest.pop(_ONCE, False),
            choice=_switches.said(rest),
            preference=Preference(rest.pop(_EXCLUDES, ()), rest.pop(_BEST, False)),
        )
        return function(opened=functools.partial(open_host, sysroot, options, voice()), **rest)

    return wrapper


def repository_options(function: Decorated) -> Decorated:
    """--repo, --enablerepo, --disablerepo, --repo-dir and --cachedir, for `sysroot_options`."""
    # Hidden as all verbs with repositories have them: layer(1) has them once for all.
    function = _switches.repository_switches("--repo", "--repoid")(function)
    function = click.option(
        "--cachedir",
        _CACHE,
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep repository metadata here.",
    )(function)
    return click.option(
        "--repo-dir",
        _REPO_DIRS,
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Read .repo files from here too.",
    )(function)


def consent_options(function: Decorated) -> Decorated:
    """--accept-unscripted, for `sysroot_options`, which stands below it."""
    return click.option(
        "--accept-unscripted",
        _ACCEPT,
        multiple=True,
        metavar="PKG",
        help="Do without PKG's unknown scriptlet lines.",
    )(function)


def choice_options(function: Decorated) -> Decorated:
    """--exclude and --best, for `sysroot_options`, which stands below it."""
    # Hidden: a section of the page.
    best = click.option("--best/--nobest", _BEST, default=False, hidden=True)
    exclude = click.option("-x", "--exclude", _EXCLUDES, multiple=True, hidden=True)
    return exclude(best(function))


def cache_only_option(function: Decorated) -> Decorated:
    """--cache-only, for `sysroot_options`, which stands below it."""
    return click.option(
        "-C", "--cache-only", is_flag=True, help="Use what was fetched before; no network."
    )(function)


def network_options(function: Decorated) -> Decorated:
    """--cache-only and --download-only, for verbs that `carry_out` what they fetch."""
    return click.option(
        "--download-only",
        is_flag=True,
        expose_value=False,
        callback=_remember(_DOWNLOAD_ONLY),
        help="Fetch all that it takes, and deploy nothing.",
    )(cache_only_option(function))


def live_option(function: Decorated) -> Decorated:
    """--apply-live, which `carry_out` heeds."""
    return click.option(
        "-A",
        "--apply-live",
        is_flag=True,
        expose_value=False,
        hidden=True,  # a section of the page
        callback=_remember(_APPLY_LIVE),
    )(function)


def once_option(function: Decorated) -> Decorated:
    """--once, for `sysroot_options`, which stands below it."""
    return click.option("--once", is_flag=True, help="Try it for one boot.")(function)


def reboot_option(function: Decorated) -> Decorated:
    """--reboot, which `rebooting` and `carry_out` heed."""
    return click.option(
        "-r",
        "--reboot",
        is_flag=True,
        expose_value=False,
        callback=_remember(_REBOOT),
        help="Reboot afterwards, if something changed.",
    )(function)


@contextmanager
def rebooting(host: Host) -> Iterator[None]:
    """Reboots after what is inside has succeeded, where --reboot was said.

    LayerError beforehand where a reboot or a shutdown would not lead into the sysroot.
    """
    _require_shutdown(host)
    yield
    tell(REBOOT)
    if _is_wanted(_REBOOT):
        from layer.sandbox.machine import reboot

        reboot()


def skip_option(function: Decorated) -> Decorated:
    """--skip-broken, of the verbs that take the layers to another base."""
    return click.option(
        "--skip-broken", is_flag=True, help="Go on without layers that do not fit."
    )(function)


def change_options(function: Decorated) -> Decorated:
    """--dry-run, --assumeyes and --unchanged-exit-77, as keyword arguments; and --reboot.

    For `sysroot_options`, which stands below it, --lock-finalization.
    """
    for option in (
        click.option(
            "--lock-finalization",
            _LOCK,
            is_flag=True,
            hidden=True,  # of update agents: a section of the page
        ),
        click.option("--unchanged-exit-77", is_flag=True, help="Exit 77 if nothing changed."),
        click.option("-y", "--assumeyes", is_flag=True, help="Do it without asking."),
        click.option(
            "-n",
            "--dry-run",
            is_flag=True,
            help="Show the plan and stop; needs no root. With --json as JSON.",
        ),
        click.option(
            "--json",
            is_flag=True,
            hidden=True,  # told with --dry-run: a screen has no line left
            expose_value=False,
            callback=_remember(_AS_JSON),
        ),
    ):
        function = option(function)
    return reboot_option(function)


def carry_out(
    host: Host,
    decide: Callable[[], Change],
    *,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
    unchanged: str = "No change.",
    purge: bool = False,
    is_whole: bool = False,
) -> int:
    """Shows the plan that `decide` makes, asks, and makes it so; returns the exit status.

    `is_whole`: the plan is shown with all that changes in the base.
    """
    from layer import render, spans

    decide = spans.phase("plan")(decide)
    if _is_wanted(_AS_JSON) and not dry_run:
        raise click.UsageError("--json shows a plan: it goes with --dry-run")
    output = click.get_current_context().meta.get(PLAN)
    if output is not None and (dry_run or _is_wanted(_DOWNLOAD_ONLY) or _is_wanted(_REBOOT)):
        raise click.UsageError("a plan is built and not deployed: that option has no part in it")
    _check_live(host, dry_run=dry_run, is_plan=output is not None)
    if dry_run:
        plan = decide()
        _show(plan, unchanged if plan.is_empty else "", is_whole=is_whole)
        return UNCHANGED if plan.is_empty and unchanged_exit_77 else 0
    with host.locked(), ExitStack() as stack:
        plan = decide()
        if plan.is_empty:
            tell(unchanged)
            return UNCHANGED if unchanged_exit_77 else 0
        if output is not None:
            _build(host, plan, output)
            return 0
        if not (_is_wanted(_DOWNLOAD_ONLY) or _is_wanted(_APPLY_LIVE)):
            stack.enter_context(rebooting(host))
        is_whole = is_whole or manner().is_verbose
        show_plan(render.change(plan, is_whole=is_whole, width=columns()), assumeyes=assumeyes)
        confirm(assumeyes=assumeyes)
        _make(host, plan, purge=purge)
    return 0


def show_plan(text: str, *, assumeyes: bool) -> None:
    """What is about to be agreed to; with --quiet only where somebody is asked."""
    if assumeyes:
        tell(text)
    else:
        say(text)


def wants_json() -> bool:
    """Whether --json was said to a verb of `change_options`, which may have something to show."""
    return _is_wanted(_AS_JSON)


def _make(host: Host, plan: Change, *, purge: bool) -> None:
    """Does what was shown and agreed to."""
    from layer import leftovers, transaction
    from layer.commands._live import carry_out_live

    if _is_wanted(_DOWNLOAD_ONLY):
        with host.reporter.working():
            transaction.download(host, plan)
        tell("Downloaded. With --cache-only the same needs no network.")
        return
    with host.reporter.working():
        transaction.apply(host, plan)
    if purge:
        for path in leftovers.purge(plan.leftovers):
            tell(f"Removed {path}")
    if _is_wanted(_APPLY_LIVE):
        tell(REBOOT)
        carry_out_live(host)


def _check_live(host: Host, *, dry_run: bool, is_plan: bool) -> None:
    """Refuses --apply-live, where it was said, beside what makes nothing, and where it cannot be.

    What is only shown, built, fetched or to be rebooted into is not made live.
    """
    from layer.commands._live import require_live

    if not _is_wanted(_APPLY_LIVE):
        return
    if dry_run or is_plan or _is_wanted(_DOWNLOAD_ONLY) or _is_wanted(_REBOOT):
        raise click.UsageError("--apply-live goes with a change that is made, and no reboot")
    require_live(host)


def _show(plan: Change, unchanged: str, *, is_whole: bool) -> None:
    """The plan for people, or as JSON where --json was said."""
    from layer import planned, render

    if _is_wanted(_AS_JSON):
        answer_json(planned.as_json(plan))
    else:
        is_whole = is_whole or manner().is_verbose
        answer(unchanged or render.change(plan, is_whole=is_whole, width=columns()))


def _build(host: Host, plan: Change, output: Path) -> None:
    """Builds a change for `layer plan`, and names its commit."""
    from layer import planning, render
    from layer.outputs import DASH

    is_piped = output == DASH  # then the plan alone goes there
    tell(render.change(plan), err=is_piped)
    with host.reporter.working():
        built = planning.write_plan(host, plan, output)
    deployed_by = f"layer apply {'FILE' if is_piped else output}"
    tell(f"\nCommit: {built.commit}\nIt is deployed by: {deployed_by}", err=is_piped)


def confirm(*, assumeyes: bool) -> None:
    """Asks a person at a terminal; without one, only -y is a yes, or rpm-ostree's name."""
    if assumeyes or _rpm_ostree.is_caller():
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise LayerError("nobody is here to say yes; nothing has changed", "-y says yes beforehand")
    try:
        is_yes = click.confirm("Is this all right?", default=False)
    except click.Abort:
        say("")  # the question's line is not at its end
        raise
    if not is_yes:
        hint = "-y says yes beforehand, --dry-run shows the plan alone"
        raise LayerError("the answer is no; nothing has changed", hint)


def download_only() -> None:
    """As if --download-only had been said."""
    click.get_current_context().meta[_DOWNLOAD_ONLY] = True


def _require_shutdown(host: Host) -> None:
    """LayerError where an option speaks of a shutdown that would not lead into the sysroot."""
    from layer.booting import require_booted

    for option, is_given in (
        ("--reboot", _is_wanted(_REBOOT)),
        ("--lock-finalization", host.options.lock_finalization),
        ("--once", host.options.once),
    ):
        if is_given:
            require_booted(host, option)


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    """A callback that keeps a flag in the context, for verbs that have no use for it themselves."""

    def callback(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        context.meta[key] = value

    return callback


def _is_wanted(key: str) -> bool:
    return bool(click.get_current_context().meta.get(key, False))
