"""Questions about what is in a deployment or commit; they need no root and change nothing.

The one thing that is ever written is a cache: the headers of a base that ships none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from layer.errors import NotFound, TriggerFailed
from layer.frozen import dataclass
from layer.headers import list_packages, writes_to_list
from layer.host import Host, is_root
from layer.model import Commit, Deployment, Tree
from layer.owners import OwnedPath
from layer.ownership import open_ownership
from layer.packages import ListedPackage, PackageDiff, diff, select
from layer.paths import tree_paths, user_path
from layer.rpmfile.version import compare_versions
from layer.store.objects import OstreeStore
from layer.store.remote import borrow
from layer.store.trees import lookup
from layer.trigger_set import (
    TriggerFile,
    TriggerSet,
    check_among,
    parse_file,
    read_file,
    read_trigger_set,
)
from layer.triggers.format import Trigger
from layer.words import did_you_mean

_FEW_DIGITS = re.compile(r"[0-9a-f]{1,6}")
_REFSPEC = re.compile(r"(\w[\w.\-]*:)?\w[\w.\-+]*(/[\w.\-+]+)*\^*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Subject:
    """A commit that is asked about, as the user or the default calls it."""

    name: str
    commit: Commit

    def __str__(self) -> str:
        checksum = self.commit.checksum
        return checksum if self.name == checksum else f"{self.name} ({checksum})"


def pending(host: Host) -> Subject:
    """The deployment that boots next."""
    return _deployed(host, "pending deployment", host.require_pending())


def find_subject(host: Host, word: str) -> Subject | None:
    """The commit that a deployment's number or id, a ref or a checksum names; None for none."""
    for deployment in host.sysroot.deployments():
        if word in (
            str(deployment.index),
            f"{deployment.stateroot}-{deployment.checksum}.{deployment.serial}",
        ):
            return _deployed(host, f"deployment {word}", deployment)
    checksum = host.store.find_commit(word) if _may_name_commit(host, word) else None
    return Subject(word, host.store.read_commit(checksum)) if checksum else None


def require_subject(host: Host, word: str) -> Subject:
    """The same; NotFound for none."""
    found = find_subject(host, word)
    if found is None:
        raise NotFound(
            f"there is no deployment, ref or commit {word}",
            "`layer status` shows deployments, `ostree refs` refs",
        )
    return found


def packages(host: Host, words: Sequence[str]) -> tuple[Subject, tuple[ListedPackage, ...]]:
    """The packages of a commit, by default the pending one; those that the patterns fit, if any.

    The first word is the commit, unless it names none; all others are patterns.
    """
    named = find_subject(host, words[0]) if words else None
    patterns = words[1:] if named else words
    subject = named or pending(host)
    (found,) = packages_of(host, [subject])
    chosen = select(found, patterns) if patterns else found
    if patterns and not chosen:
        what = "package" if named else "deployment, ref, commit or package"
        raise NotFound(
            f"there is no {what} {', '.join(patterns)}",
            did_you_mean(
                patterns,
                (each.nevra.name for each in found),
                rest=f"packages were looked for in {subject}",
            ),
        )
    return subject, chosen


def packages_of(host: Host, subjects: Sequence[Subject]) -> tuple[tuple[ListedPackage, ...], ...]:
    """The packages of each commit."""
    commits = [subject.commit for subject in subjects]
    writes = any(writes_to_list(host.store, commit) for commit in commits)
    with _writable(host, needed=writes) as store:
        return tuple(list_packages(store, commit) for commit in commits)


def package_diff(host: Host, words: Sequence[str]) -> tuple[Subject, Subject, PackageDiff]:
    """What differs between two commits.

    Of one word it is the commit to compare with what runs, or on a sysroot that
    has not booted with what boots next. Without words it is what runs against what
    boots next, or where these are one, what booted before against it.
    """
    if len(words) > 1:
        old, new = (require_subject(host, word) for word in words)
    elif words:
        old, new = _present(host), require_subject(host, words[0])
    else:
        old, new = _default_subjects(host)
    before, after = packages_of(host, (old, new))
    return old, new, diff(before, after, compare_versions)


def owners(host: Host, word: str | None, paths: Sequence[str]) -> tuple[OwnedPath, ...]:
    """Who owns these paths of a commit, by default the pending one.

    A path is as on the running machine, or as in the tree. NotFound names all
    that are not there.
    """
    subject = require_subject(host, word) if word else pending(host)
    found, missing = [], []
    with open_ownership(host.store, subject.commit) as ownership:
        for path in paths:
            place = _place(host.store, subject.commit.root, path)
            if place is None:
                missing.append(path)
            elif isinstance(lookup(host.store, subject.commit.root, place), Tree):
                listed = ownership.owners_of_directory(place)
                found.append(OwnedPath(user_path(place), listed, is_directory=True))
            else:
                owner = ownership.owner_of(place)
                found.append(OwnedPath(user_path(place), (owner,) if owner else ()))
    if missing:
        raise NotFound(f"{subject} has no {', '.join(missing)}")
    return tuple(found)


def _may_name_commit(host: Host, word: str) -> bool:
    """Whether libostree can make anything of a word. A few hex digits are rather a package: bc."""
    if _FEW_DIGITS.fullmatch(word):
        return word in host.store.refs(word)
    return bool(_REFSPEC.fullmatch(word))


def _deployed(host: Host, name: str, deployment: Deployment) -> Subject:
    return Subject(name, host.store.read_commit(deployment.checksum))


def _present(host: Host) -> Subject:
    booted = next((d for d in host.sysroot.deployments() if d.is_booted), None)
    return _deployed(host, "booted deployment", booted) if booted else pending(host)


def _default_subjects(host: Host) -> tuple[Subject, Subject]:
    own = [d for d in host.sysroot.deployments() if d.stateroot == host.stateroot]
    booted = next((d for d in own if d.is_booted), None)
    if booted is not None and own[0] is not booted:
        return _present(host), pending(host)
    if len(own) < 2:
        raise NotFound(
            f"{host.stateroot} has one deployment only" if own else f"{host.stateroot} has no base",
            "say what to compare: layer db diff FROM TO",
        )
    present = _present(host)
    return _deployed(host, "rollback deployment", own[1]), present


@contextmanager
def _writable(host: Host, *, needed: bool) -> Iterator[OstreeStore]:
    """The sysroot's own store, or for who may not write there one over it that does not last."""
    if is_root() or not needed:
        yield host.store
        return
    with borrow(host.store) as store:
        yield store


def _place(store: OstreeStore, root: Tree, path: str) -> str | None:
    """The first place in the tree where a path may lie and something is."""
    places = (path.lstrip("/"), *tree_paths(f"/{path.strip('/')}"))
    return next((place for place in places if lookup(store, root, place) is not None), None)


def trigger_set(host: Host) -> TriggerSet:
    """The triggers for the tree that boots next."""
    tree = pending(host).commit.root
    return read_trigger_set(host.store, tree, host.local_triggers())


def trigger_file(host: Host, name: str) -> TriggerFile:
    """The file that counts for a trigger's name, a mask too; NotFound where there is none."""
    files = [listed.file for listed in reversed(trigger_set(host).files)]
    for file in files:
        if file.name == name:
            return file
    raise NotFound(
        f"there is no trigger {name}",
        did_you_mean(
            [name], (file.name for file in files), otherwise="`layer trigger list` shows all"
        ),
    )


def check_triggers(host: Host, files: Sequence[Path]) -> tuple[Trigger, ...]:
    """The triggers that these files say, were they in /etc; TriggerFailed for all that is wrong."""
    triggers, faults = [], []
    for path in files:
        try:
            triggers.append(parse_file(read_file(path)))
        except TriggerFailed as error:
            faults.append(error.message)
    if faults:
        raise TriggerFailed("\n".join(faults), "layer-trigger(5) describes every key")
    try:
        local = host.local_triggers()
    except TriggerFailed:
        local = {}  # a file that cannot be read is the fault of another day
    check_among(triggers, host.store, pending(host).commit.root, local)
    return tuple(triggers)
