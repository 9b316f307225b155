"""Archive repositories: what a plain web server serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from layer.store.gobject import Gio, GLib, OSTree, translated
from layer.store.objects import OstreeStore


class Archive:
    """An OSTree repository of mode `archive`, where commits are published."""

    def __init__(self, repo: Any, path: Path) -> None:
        self._repo = repo
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """The archive repository at `path`, or None where there is nothing yet."""
        return cls.create(path) if (path / "config").exists() else None

    @classmethod
    def create(cls, path: Path) -> Self:
        """The archive repository at `path`, made where there is none."""
        path.mkdir(parents=True, exist_ok=True)
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        with translated(f"{path} cannot be an archive repository"):
            repo.create(OSTree.RepoMode.ARCHIVE, None)
            repo.open(None)
        return cls(repo, path)

    def fetch_back(self, store: OstreeStore, ref: str) -> None:
        """Takes over the newest commit of a ref that `store` has not, so that it has a parent."""
        _, published = self._repo.resolve_rev(ref, True)
        if published and store.find_commit(ref) != published:
            _pull(store.repo, self.path, ref)

    def versions(self, ref: str) -> tuple[str, ...]:
        """The versions of a ref's commits, newest first, as far back as they are here."""
        found = []
        _, checksum = self._repo.resolve_rev(ref, True)
        while checksum is not None:
            try:
                _, commit, _ = self._repo.load_commit(checksum)
            except GLib.Error:
                break  # pruned, as servers do with old ones
            found.append(str(commit.get_child_value(0).unpack().get("version", "")))
            checksum = OSTree.commit_get_parent(commit)
        return tuple(found)

    def publish(self, store: OstreeStore, ref: str) -> None:
        """Copies the newest commit of a ref with all its objects, and renews the summary."""
        _pull(self._repo, store.path, ref)
        with translated("cannot write the summary"):
            self._repo.regenerate_summary(None, None)


def _pull(repo: Any, source: Path, ref: str) -> None:
    options = GLib.Variant("a{sv}", {"refs": GLib.Variant("as", [ref])})
    with translated(f"cannot copy {ref} from {source}"):
        repo.pull_with_options(f"file://{source.resolve()}", options, None, None)
