"""The plan as JSON, by docs/plan.schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from layer.audit.verdict import Audit, Verdict
from layer.change import Change, EtcEdit
from layer.effects import Effects
from layer.grouped import groups_among
from layer.model import BootPlan, Commit, Nevra, Selection
from layer.origin import Origin

SCHEMA = 1


def as_json(item: Change) -> dict[str, Any]:
    """All that the plan says; the same change gives the same object."""
    if item.told is not None:
        return dict(item.told.values)
    return {
        "schema": SCHEMA,
        "is-empty": item.is_empty,
        "stateroot": item.stateroot,
        "base": _base(item.after, item.base),
        "previous-base": _base(item.before, item.previous_base),
        "kernel-arguments": list(item.kernel_arguments),
        "requests": _requests(item),
        "packages": [_package(item, s) for s in item.resolution.selections],
        "removed": [str(nevra) for nevra in item.removed],
        "changed": [[str(old), str(new)] for old, new in item.moved],
        "base-removed": [str(nevra) for nevra in item.resolution.removed],
        "base-replaced": [[str(old), str(new)] for old, new in item.resolution.replaced],
        "download-size": sum(package.size for package in item.to_fetch),
        "unpacked-size": sum(
            s.package.installed_size
            for s in item.resolution.selections
            if s.package.nevra in item.brought
        ),
        "triggers": list(item.triggers),
        "packages-with-triggers": list(item.bringing),
        **effects_as_json(item.effects),
        "scriptlets": [
            *(
                _scriptlets(header.nevra.name, audit)
                for header, audit in zip(item.headers, item.audits, strict=True)
                if header.nevra in item.brought and audit.judged
            ),
            *(_scriptlets(Nevra.parse(a.nevra).name, a) for a in item.open_base_audits),
        ],
        "links-not-made": list(item.unmade),
        "left-behind": [
            {"path": left.path, "package": left.package, "is-edited": left.is_edited}
            for left in item.leftovers
        ],
        "new-keys": [key.fingerprint for key in item.keys],
    }


def order_as_json(plan: BootPlan, edits: Sequence[EtcEdit], *, keep_etc: bool) -> dict[str, Any]:
    """What will boot in which order, and what becomes of the changes of /etc."""
    return {
        "boot-order": [
            {"stateroot": each.stateroot, "checksum": each.checksum} for each in plan.deployments
        ],
        "dropped": plan.dropped.checksum if plan.dropped else None,
        "etc": [{"kind": edit.kind, "path": edit.path} for edit in edits],
        "keeps-etc": keep_etc,
    }


def effects_as_json(effects: Effects) -> dict[str, Any]:
    """What is done to the machine beyond its packages."""
    return {
        "disk": {
            "objects": effects.disk.objects,
            "checkout": effects.disk.checkout,
            "boot": effects.disk.boot,
            "total": effects.disk.total,
            "is-measured": effects.disk.is_measured,
        },
        "privileged-files": [asdict(file) for file in effects.privileged],
        "accounts": [
            {"kind": account.kind, "name": account.name, "id": account.number}
            for account in effects.accounts
        ],
        "accounts-unread": list(effects.unread),
        "units": [asdict(unit) for unit in effects.units],
        "etc": [asdict(path) for path in effects.etc],
        "opt": [asdict(path) for path in effects.opt],
        "var": [asdict(path) for path in effects.var],
    }


def _base(origin: Origin | None, commit: Commit | None) -> dict[str, str] | None:
    if commit is None:
        return None
    return {
        "source": str(origin.base) if origin else "",
        "checksum": commit.checksum,
        "version": str(commit.metadata.get("version", "")),
    }


def _requests(item: Change) -> dict[str, Any]:
    before = {r.text for r in item.before.wanted} if item.before else set()
    after = {r.text for r in item.after.wanted}
    return {
        "all": sorted(r.text for r in item.after.asked),
        "added": sorted(after - before),
        "dropped": sorted(before - after),
        "inactive": sorted(r.text for r in item.resolution.inactive),
        "left-out": dict(item.after.left_out),
        "groups": [
            {
                "request": request.text,
                "packages": list(request.members),
                "missing": [name for text, name in item.group_news.missing if text == request.text],
                "unfitting": {
                    name: reason
                    for text, name, reason in item.group_news.unfitting
                    if text == request.text
                },
            }
            for request in groups_among(item.after.requests)
        ],
    }


def _package(item: Change, selection: Selection) -> dict[str, Any]:
    package = selection.package
    return {
        "nevra": str(package.nevra),
        "name": package.nevra.name,
        "sha256": package.checksum,
        "size": package.size,
        "installed-size": package.installed_size,
        "repository": package.repository,
        "is-new": package.nevra in item.brought,
        "is-fetched": package in item.to_fetch,
        "requests": [request.text for request in selection.requests],
        "needed-by": list(selection.needed_by),
    }


def _scriptlets(package: str, audit: Audit) -> dict[str, Any]:
    """How many lines come to what, and those that nothing stands in for, word by word."""
    counts = {verdict.value: 0 for verdict in Verdict}
    for one in audit.judged:
        counts[one.verdict.value] += 1
    return {
        "package": package,
        "lines": counts,
        "not-run": [
            {"slot": one.slot, "line": one.line, "text": one.text, "reason": one.reason}
            for one in audit.unknown
        ],
    }
