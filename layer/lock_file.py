"""A lock as a file: all that, over the same base, makes the same commit on another machine."""

from __future__ import annotations

from typing import Any

from layer.config import is_base_url, is_safe_href
from layer.frozen import dataclass
from layer.lock import Lock
from layer.model import LockedPackage, Package, Resolution, Selection
from layer.nevra import successors
from layer.origin import Origin, format_origin, parse_origin
from layer.sealed import Reading, seal, unseal
from layer.status import is_asked

KIND = "lock"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class LockFile:
    """A commit, its base, what was asked for and what came of it.

    Of a package that came as a file, or before locations were kept, `location` is "".
    """

    commit: str
    base: str
    version: str
    origin: Origin
    lock: Lock
    packages: tuple[Package, ...]

    @property
    def resolution(self) -> Resolution:
        """The packages as if they had been solved for, with the requests that name them."""
        gone = self.lock.gone
        instead = successors(gone, [package.nevra for package in self.packages])
        return Resolution(
            selections=tuple(
                Selection(
                    package,
                    tuple(r for r in self.origin.wanted if is_asked(package.nevra, r)),
                )
                for package in self.packages
            ),
            requests=self.origin.wanted,
            removed=tuple(nevra for nevra in gone if nevra not in instead),
            replaced=tuple((n, instead[n]) for n in gone if n in instead),
        )


def format_lock(item: LockFile) -> str:
    """The file's text; the same lock gives the same text."""
    return seal(
        {
            "kind": KIND,
            "schema": SCHEMA,
            "commit": item.commit,
            "base": item.base,
            "version": item.version,
            "origin": format_origin(item.origin).splitlines(),
            "packages": [_package(package) for package in item.packages],
            "gone": [str(nevra) for nevra in item.lock.gone],
            "ids": dict(item.lock.ids),
            "triggers": item.lock.triggers,
            "tools": dict(item.lock.tools),
        }
    )


def parse_lock(text: str, name: str) -> LockFile:
    """The lock in a file of that name; InvalidInput says what is wrong with it."""
    value = Reading(unseal(text, KIND, SCHEMA, name), name)
    origin = parse_origin("".join(f"{line}\n" for line in value.texts("origin")))
    packages = tuple(sorted(map(_read_package, value.rows("packages")), key=lambda p: p.nevra))
    lock = Lock(
        packages=tuple(sorted(LockedPackage(p.nevra, p.checksum) for p in packages)),
        ids=value.pairs("ids", int),
        triggers=value.text("triggers"),
        tools=value.pairs("tools", str),
        options=origin.options,
        gone=tuple(sorted(value.nevras("gone"))),
    )
    base, version = value.checksum("base"), value.text("version")
    return LockFile(value.checksum("commit"), base, version, origin, lock, packages)


def _package(package: Package) -> dict[str, Any]:
    return {
        "nevra": str(package.nevra),
        "sha256": package.checksum,
        "size": package.size,
        "installed-size": package.installed_size,
        "repository": package.repository,
        "location": package.location,
    }


def _read_package(row: Reading) -> Package:
    location = row.text("location")
    path = location.partition("://")[2].lstrip("/") if is_base_url(location) else location
    if location and not is_safe_href(path):
        raise row.wrong("location")
    return Package(
        nevra=row.nevra("nevra"),
        checksum=row.checksum("sha256"),
        size=row.whole("size"),
        installed_size=row.whole("installed-size"),
        repository=row.text("repository"),
        location=location,
    )
