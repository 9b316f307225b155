"""The treefile: what a base consists of, as TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.words import is_number

_TOP = {
    "ref": str,
    "version": (str, int),
    "repositories": list,
    "packages": list,
    "arch": str,
    "default-target": str,
    "scriptlets": str,
    "accept-unscripted": list,
    "documentation": bool,
    "install-weak-deps": bool,
    "kernel": dict,
    "users": list,
    "ids": dict,
}
_KERNEL = {"package": str, "initramfs": str, "arguments": list}
_USER = {"name": str, "id": int, "comment": str, "home": str, "shell": str}
_POLICIES = ("stop", "warn")


@dataclass(frozen=True, slots=True)
class Kernel:
    """The package of the kernel, that of its initramfs, and the arguments of a first boot."""

    package: str
    initramfs: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user of the base, with the number that it has everywhere."""

    name: str
    id: int
    comment: str = ""
    home: str = "/"
    shell: str = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class Treefile:
    """What `layer compose tree` makes; `version` is None for the next integer.

    `ids` reserves numbers for users and groups of packages that are not in the base.
    """

    ref: str
    repositories: tuple[str, ...]
    packages: tuple[str, ...]
    version: int | None = None
    arch: str = "x86_64"
    default_target: str = ""
    scriptlets: str = "stop"
    accept_unscripted: tuple[str, ...] = ()
    documentation: bool = True
    install_weak_deps: bool = False
    kernel: Kernel | None = None
    users: tuple[User, ...] = ()
    ids: tuple[tuple[str, int], ...] = ()


def parse_treefile(text: str, source: str) -> Treefile:
    """The treefile that a text says; InvalidInput lists everything that is wrong with it."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: {error}") from error
    problems = _problems(values)
    if problems:
        raise InvalidInput(f"{source}:\n  " + "\n  ".join(problems))
    kernel = values.get("kernel")
    version = values.get("version", "auto")
    return Treefile(
        ref=values["ref"],
        repositories=tuple(values["repositories"]),
        packages=tuple(sorted(set(values["packages"]))),
        version=None if version == "auto" else int(version),
        arch=values.get("arch", "x86_64"),
        default_target=values.get("default-target", ""),
        scriptlets=values.get("scriptlets", "stop"),
        accept_unscripted=tuple(sorted(set(values.get("accept-unscripted", ())))),
        documentation=values.get("documentation", True),
        install_weak_deps=values.get("install-weak-deps", False),
        kernel=_kernel(kernel) if kernel else None,
        users=tuple(User(**user) for user in values.get("users", ())),
        ids=tuple(sorted(values.get("ids", {}).items())),
    )


def _kernel(values: Mapping[str, Any]) -> Kernel:
    arguments = tuple(values.get("arguments", ()))
    return Kernel(values["package"], values.get("initramfs", ""), arguments)


def _problems(values: Mapping[str, Any]) -> list[str]:
    problems = _wrong_keys(values, _TOP, "")
    problems += [
        f"{key}: is missing" for key in ("ref", "repositories", "packages") if not values.get(key)
    ]
    problems += _wrong_lists(values)
    version = values.get("version", "auto")
    if isinstance(version, str) and version != "auto" and not is_number(version):
        problems.append('version: must be an integer or "auto"')
    if values.get("scriptlets", "stop") not in _POLICIES:
        problems.append(f"scriptlets: must be one of {', '.join(_POLICIES)}")
    if isinstance(values.get("ref"), str) and not re.fullmatch(
        r"[\w.\-]+(/[\w.\-]+)*", values["ref"]
    ):
        problems.append(f"ref: {values['ref']!r} is not the name of an OSTree ref")
    kernel = values.get("kernel")
    if isinstance(kernel, dict):
        problems += _wrong_keys(kernel, _KERNEL, "kernel.")
        problems += [] if kernel.get("package") else ["kernel.package: is missing"]
    users = values.get("users", ())
    for index, user in enumerate(users if isinstance(users, list) else ()):
        place = f"users[{index}]."
        if not isinstance(user, dict):
            problems.append(f"{place[:-1]}: must be a table")
            continue
        problems += _wrong_keys(user, _USER, place)
        problems += [f"{place}{key}: is missing" for key in ("name", "id") if key not in user]
    return problems


def _wrong_keys(values: Mapping[str, Any], known: Mapping[str, Any], place: str) -> list[str]:
    problems = [f"{place}{key}: unknown key" for key in sorted(values.keys() - known.keys())]
    for key, kind in known.items():
        if key in values and not isinstance(values[key], kind):
            name = kind.__name__ if isinstance(kind, type) else "str or int"
            problems.append(f"{place}{key}: must be of type {name}")
    return problems


def _wrong_lists(values: Mapping[str, Any]) -> list[str]:
    kernel, ids = values.get("kernel"), values.get("ids")
    lists = {key: values.get(key) for key in ("repositories", "packages", "accept-unscripted")}
    if isinstance(kernel, dict):
        lists["kernel.arguments"] = kernel.get("arguments")
    problems = [
        f"{key}: must hold strings"
        for key, found in lists.items()
        if isinstance(found, list) and not all(isinstance(item, str) for item in found)
    ]
    if isinstance(ids, dict) and not all(type(number) is int for number in ids.values()):
        problems.append("ids: must hold whole numbers")
    return problems
