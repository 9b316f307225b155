"""Nouns to text for a person; pure, and without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from layer import consent, effect_text, initramfs, override_text
from layer.audit.verdict import Audit, Verdict
from layer.change import Change, EtcEdit
from layer.lock import DEFAULTS
from layer.model import BootPlan, Request, RequestKind, Selection
from layer.owners import OwnedPath
from layer.packages import ListedPackage, PackageChange, PackageDiff
from layer.tables import folded, table
from layer.words import count, printable, shown, size

_LOCKED = "needed by others of the lock"
_SHOWN = 12  # hex digits of a checksum that a person is shown


def change(item: Change, *, is_whole: bool = False, width: int | None = None) -> str:
    """The plan: all that will happen, and what will not although a package wants it.

    `is_whole` names every package of the base that changes, and every path, in place of their
    number. Lines have `width` columns at most where that can be, None is any number.
    """
    if item.told is not None:
        built = "\n".join(_built(item))
        return folded(f"{built}\n\n{item.told.text}".strip(), width)
    parts = [
        _base(item),
        _built(item),
        _base_packages(item, is_whole=is_whole),
        _kernel_arguments(item),
        _documentation(item),
        _initramfs(item),
        _requests(item),
        _packages(item, width),
        _removed(item),
        _moved(item, width),
        *override_text.plan(item),
    ]
    parts += [_groups(item), _inactive(item), _left_out(item)]
    parts += [_sizes(item), _triggers(item), *effect_text.plan(item.effects, is_whole=is_whole)]
    parts += [_scriptlets(item), _leftovers(item), _keys(item)]
    return folded("\n\n".join("\n".join(part) for part in parts if part), width)


def boot_plan(plan: BootPlan) -> str:
    """The order in which deployments will boot, by their present numbers."""
    rows = [
        (f"{'default' if position == 0 else ''}", d.stateroot, d.checksum[:_SHOWN])
        for position, d in enumerate(plan.deployments)
    ]
    lines = ["Boot order:", *table(rows)]
    if plan.dropped:
        lines.append(f"Not {plan.dropped.checksum[:_SHOWN]}, staged, which is dropped.")
    return "\n".join(lines)


def rollback(plan: BootPlan, edits: Sequence[EtcEdit], *, keep_etc: bool) -> str:
    """The order, and the changes of /etc that stay behind or come along."""
    parts = [boot_plan(plan)]
    lines = [f"  {printable(str(edit))}" for edit in edits if not edit.is_aside]
    if lines:
        head = "come along" if keep_etc else "stay behind (--keep-etc carries them along)"
        aside = len(edits) - len(lines)
        if aside:
            lines.append(f"  and {count(aside, 'file')} of programs' own")
        parts.append("\n".join([f"Changes of /etc that {head}:", *lines]))
    return "\n\n".join(parts)


def package_list(subject: str, packages: Sequence[ListedPackage]) -> str:
    """The packages of a commit as rpm-ostree lists them, layers below a line of their own."""
    lines = [f"ostree commit: {subject}"]
    lines += [f" {package.nevra}" for package in packages if not package.is_layered]
    layers = [f" {package.nevra}" for package in packages if package.is_layered]
    return "\n".join([*lines, *(["layered:"] if layers else []), *layers])


def package_diff(old: str, new: str, item: PackageDiff) -> str:
    """What differs between two commits as rpm-ostree prints it, layers in groups of their own."""
    lines = [f"ostree diff commit from: {old}", f"ostree diff commit to:   {new}"]
    for is_layered in (False, True):
        for name, changes in _kinds(item):
            chosen = [c for c in changes if c.is_layered is is_layered]
            if chosen:
                lines.append(f"Layers {name}:" if is_layered else f"{name.capitalize()}:")
                lines += [f"  {_package_change(c)}" for c in chosen]
    return "\n".join(lines)


def owners(paths: Sequence[OwnedPath]) -> str:
    """Each path with its owners."""
    lines = []
    for item in paths:
        nobody = "no package" if item.is_directory else "no owner on record"
        lines.append(f"{shown(item.path)}: {', '.join(map(str, item.owners)) or nobody}")
    return "\n".join(lines)


def _base(item: Change) -> list[str]:
    line = f"Base: {item.after.base}{_version(item.base.metadata.get('version'))}"
    lines = [f"{line} {item.base.checksum[:_SHOWN]}"]
    if item.previous_base is not None and item.previous_base != item.base:
        old = item.previous_base
        lines.append(
            f"  was: {item.before.base if item.before else ''}"
            f"{_version(old.metadata.get('version'))} {old.checksum[:_SHOWN]}"
        )
    return lines


def _built(item: Change) -> list[str]:
    """A commit that is here already, and what its layers add to those that boot next now."""
    if item.pending is None or item.again in ("", item.pending.checksum):
        return []
    return [f"Commit: {item.again}", *(f"  adds {nevra}" for nevra in item.added)]


def _base_packages(item: Change, *, is_whole: bool) -> list[str]:
    if item.base_packages is None:
        return []
    kinds = _kinds(item.base_packages)
    counts = [f"{len(changes)} {name}" for name, changes in kinds if changes]
    lines = [f"Packages of the base: {', '.join(counts) or 'the same'}."]
    if is_whole:
        for name, changes in kinds:
            lines += [f"  {name}: {_package_change(one)}" for one in changes]
    return lines


def _kinds(diff: PackageDiff) -> tuple[tuple[str, tuple[PackageChange, ...]], ...]:
    return (
        ("upgraded", diff.upgraded),
        ("downgraded", diff.downgraded),
        ("rebuilt", diff.rebuilt),
        ("removed", diff.removed),
        ("added", diff.added),
    )


def _kernel_arguments(item: Change) -> list[str]:
    if item.pending is None or item.pending.kernel_arguments == item.kernel_arguments:
        return []
    return [f"Kernel arguments: {' '.join(item.kernel_arguments) or 'none'}"]


def _documentation(item: Change) -> list[str]:
    before = item.before.options if item.before else DEFAULTS
    if before.documentation == item.after.options.documentation:
        return []
    what = "comes with" if item.after.options.documentation else "comes without"
    return [f"What is layered {what} documentation from now on."]


def _initramfs(item: Change) -> list[str]:
    before = item.before.options if item.before else DEFAULTS
    tracked = item.before.initramfs_etc if item.before else ()
    lines = initramfs.plan_lines(before, item.after.options)
    lines += initramfs.tracked_lines(tracked, item.after.initramfs_etc)
    return [*lines, "Tracked files have changed."] if item.is_overlay_new else lines


def _version(version: object) -> str:
    return f", version {version}," if version else ""


def _requests(item: Change) -> list[str]:
    """Requests that come and go; those that new packages answer are shown with these."""
    before = set(item.before.wanted if item.before else ())
    answered = {
        r for s in item.resolution.selections if s.package.nevra in item.added for r in s.requests
    }
    inactive = set(item.resolution.inactive)
    changed = {new for _, new in item.moved}
    renewed = {
        r for s in item.resolution.selections if s.package.nevra in changed for r in s.requests
    }
    come = set(item.after.wanted) - before - answered - inactive
    gone = before - set(item.after.wanted)
    return [
        f"{what}: {', '.join(sorted(request.label for request in requests))}."
        for what, requests in (
            ("Asked for", come if _built(item) else come & renewed),
            ("Asked for, and layered already", set() if _built(item) else come - renewed),
            ("No longer asked for", gone),
        )
        if requests
    ]


def _packages(item: Change, width: int | None) -> list[str]:
    added = set(item.added) - {new for _, new in item.resolution.replaced}
    chosen = [s for s in item.resolution.selections if s.package.nevra in added]
    if not chosen:
        return []
    files = dict(item.files)
    rows = [("NAME", "VERSION", "ARCH", "SIZE", "REPOSITORY", "WHY")]
    for selection in chosen:
        package = selection.package
        rows.append(
            (
                package.nevra.name,
                package.nevra.evr,
                package.nevra.arch,
                size(package.size),
                package.repository or ("(file)" if package.checksum in files else "(kept)"),
                _why(selection),
            )
        )
    return [f"Installing {count(len(chosen), 'package')}:", *table(rows, width=width)]


def _why(selection: Selection) -> str:
    if selection.requests:
        words = [_request(r, selection.package.nevra.name) for r in selection.requests]
        return "asked for" + (f" as {', '.join(w for w in words if w)}" if any(words) else "")
    return f"needed by {', '.join(selection.needed_by)}" if selection.needed_by else _LOCKED


def _request(request: Request, name: str) -> str:
    is_file = request.kind is RequestKind.FILE
    return "" if is_file or request.text == name else request.text


def _removed(item: Change) -> list[str]:
    back = {nevra.name for nevra in item.restored}
    lines = [f"  {nevra}" for nevra in item.removed if nevra.name not in back]
    return [f"Removing {count(len(lines), 'package')}:", *lines] if lines else []


def _moved(item: Change, width: int | None) -> list[str]:
    replacing = {new for _, new in item.resolution.replaced}
    moved = [(old, new) for old, new in item.moved if new not in replacing]
    if not moved:
        return []
    names = Counter(old.name for old, _ in moved)
    rows = []
    for old, new in moved:
        is_plain = names[old.name] == 1 and old.arch == new.arch
        before, after = ("", "") if is_plain else (f".{old.arch}", f".{new.arch}")
        rows.append((old.name, f"{old.evr}{before}", "->", f"{new.evr}{after}"))
    return [f"Changing {count(len(rows), 'package')}:", *table(rows, width=width)]


def _groups(item: Change) -> list[str]:
    """What groups list and cannot be had, and groups that cannot be read any more."""
    groups = dict.fromkeys(text for text, _ in item.group_news.missing)
    lines = [
        f"  {text}: {', '.join(shown(n) for t, n in item.group_news.missing if t == text)}"
        for text in groups
    ]
    if lines:
        lines.insert(0, "Of groups, but left out, as no enabled repository has it:")
    unfitting = [
        f"  {text}: {printable(name)}: {why}" for text, name, why in item.group_news.unfitting
    ]
    if unfitting:
        lines += ["Of groups, but left out, as it does not fit:", *unfitting]
    stale = [f"  {text}: {why}" for text, why in item.group_news.unlisted]
    return [*lines, *(["Groups that stay what they were:", *stale] if stale else [])]


def _inactive(item: Change) -> list[str]:
    if not item.resolution.inactive:
        return []
    lines = [f"  {request.label}" for request in item.resolution.inactive]
    return ["In the base already, so kept as an inactive request:", *lines]


def _sizes(item: Change) -> list[str]:
    """What is fetched, what it is unpacked, and what the disk has less afterwards."""
    if item.again or item.is_empty:
        return []
    about = "" if item.effects.disk.is_measured else "about "
    room = f"On disk: {about}{size(item.effects.disk.total)}."
    changed = item.brought
    if not changed:
        return [room]
    unpacked = sum(
        s.package.installed_size for s in item.resolution.selections if s.package.nevra in changed
    )
    download = sum(package.size for package in item.to_fetch)
    return [f"Download: {size(download)}. Unpacked: {size(unpacked)}. {room}"]


def _triggers(item: Change) -> list[str]:
    if not item.headers and not item.resolution.gone:
        return []
    lines = [f"Triggers that will fire: {', '.join(item.triggers) or 'none'}."]
    if item.bringing:
        lines.append(f"They bring triggers of their own, too: {', '.join(item.bringing)}.")
    return lines


def _package_change(change: PackageChange) -> str:
    if change.old is not None and change.new is not None:
        old, new = change.old.nevra, change.new.nevra
        return f"{old.name} {old.evr} -> {new.evr}" if old != new else str(new)
    return str(change.either.nevra)


def _scriptlets(item: Change) -> list[str]:
    """What becomes of the scriptlets of the packages that come."""
    brought = item.brought
    lines = []
    for header, audit in zip(item.headers, item.audits, strict=True):
        if header.nevra not in brought:
            continue
        words = _verdicts(audit)
        if words:
            lines.append(f"  {header.nevra.name}: {words}")
        lines += [f"    not run: {line}" for line in consent.lines(audit)]
    for audit in item.open_base_audits:
        lines.append(f"  {consent.heading(audit)}: {_verdicts(audit)}")
        lines += [f"    not run: {line}" for line in consent.lines(audit)]
    lines += [f"    not made: {printable(link)}" for link in item.unmade]
    return ["Scriptlets, which are never run:", *lines] if lines else []


def _verdicts(audit: Audit) -> str:
    """How many lines of a package come to what."""
    judged = [one for one in audit.judged if one.verdict is not Verdict.NOT_APPLICABLE]
    words = []
    for verdict in reversed(Verdict):
        ours = [one for one in judged if one.verdict is verdict]
        if ours:
            by = ", ".join(sorted({one.by for one in ours} - {""}))
            words.append(f"{count(len(ours), 'line')} {verdict.value}{f' ({by})' if by else ''}")
    return ", ".join(words)


def _leftovers(item: Change) -> list[str]:
    if not item.leftovers:
        return []
    lines = [
        f"  {printable(left.path)} ({left.package}{', edited' if left.is_edited else ''})"
        for left in item.leftovers
    ]
    return ["Left behind on this machine (--purge removes what nobody edited):", *lines]


def _keys(item: Change) -> list[str]:
    lines = [
        line
        for key in item.keys
        for line in (f"  {key.fingerprint}", f"    {printable(key.user)}, {printable(key.source)}")
    ]
    return ["Keys that vouch for packages, new on this machine:", *lines] if lines else []


def _left_out(item: Change) -> list[str]:
    if not item.after.left_out:
        return []
    names = {request.text: request.label for request in item.after.asked}
    lines = [f"  {names.get(text, text)}: {why}" for text, why in item.after.left_out]
    return ["Left out until they fit, and kept as requests:", *lines]
