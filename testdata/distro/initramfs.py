"""A small initramfs that mounts a disk and runs ostree-prepare-root; no dracut, no chroot."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testdata.distro.cpio import Member, pack_cpio
from testdata.distro.elf import needed_sonames
from testdata.distro.rpmspec import FileSpec

_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_MOUNT_POINTS = ("/dev", "/proc", "/run", "/sys", "/sysroot")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True, slots=True)
class Tree:
    """Files of several packages by path, links among them followed."""

    files: Mapping[str, FileSpec]

    def find(self, path: str) -> FileSpec:
        """Return the regular file that `path` leads to."""
        file = self.files.get(path)
        if file is None:
            raise FileNotFoundError(f"none of the initramfs's packages has {path}")
        if file.kind == stat.S_IFLNK:
            target = posixpath.join(posixpath.dirname(path), file.target)
            return self.find(_below_usr(posixpath.normpath(target)))
        return file

    def find_library(self, soname: str) -> FileSpec:
        """Return the shared library of this name."""
        for directory in _LIBRARIES:
            if f"{directory}/{soname}" in self.files:
                return self.find(f"{directory}/{soname}")
        raise FileNotFoundError(f"none of the initramfs's packages has {soname}")


def build_initramfs(
    tree: Tree, init: bytes, programs: Mapping[str, str], modules: Sequence[str]
) -> bytes:
    """Return the uncompressed image with `init`, programs (by target path) and modules."""
    content = {"/init": init}
    for target, source in programs.items():
        content[target] = tree.find(source).content
        content |= _libraries(tree, tree.find(source))
    order = _module_order(tree, modules)
    content |= {f"/modules/{posixpath.basename(file.path)}": file.content for file in order}
    names = "".join(f"{posixpath.basename(file.path)}\n" for file in order)
    content["/modules/order"] = names.encode()
    return pack_cpio(_members(content))


def _below_usr(path: str) -> str:
    return f"/usr{path}" if path.startswith(("/lib/", "/lib64/")) else path


def _libraries(tree: Tree, program: FileSpec) -> dict[str, bytes]:
    """Return the loader and all the libraries that a program is linked with, by path."""
    found = {_LOADER: tree.find_library(posixpath.basename(_LOADER)).content}
    waiting = [program]
    while waiting:
        for soname in needed_sonames(waiting.pop()):
            path = f"/lib/{soname}"
            if path not in found and soname != posixpath.basename(_LOADER):
                library = tree.find_library(soname)
                found[path] = library.content
                waiting.append(library)
    return found


def _module_order(tree: Tree, names: Sequence[str]) -> list[FileSpec]:
    """Return the modules in an order in which insmod can load them."""
    by_name = {
        _module_name(path): file for path, file in tree.files.items() if path.endswith(".ko")
    }
    order: dict[str, FileSpec] = {}

    def add(name: str) -> None:
        if name in order:
            return
        file = by_name[name]
        depends = _DEPENDS.search(b"\0" + file.content)
        for needed in depends[1].decode().split(",") if depends else []:
            if needed:
                add(needed.replace("-", "_"))
        order[name] = file

    for name in names:
        if name in by_name:  # else it is built into this kernel
            add(name)
    return list(order.values())


def _module_name(path: str) -> str:
    return posixpath.basename(path).removesuffix(".ko").replace("-", "_")


def _members(content: Mapping[str, bytes]) -> list[Member]:
    directories = set(_MOUNT_POINTS)
    for path in content:
        parent = posixpath.dirname(path)
        while parent != "/":
            directories.add(parent)
            parent = posixpath.dirname(parent)
    modes = dict.fromkeys(directories, stat.S_IFDIR | 0o755)
    modes |= dict.fromkeys(content, stat.S_IFREG | 0o755)
    # A parent sorts before what lies in it.
    return [
        Member(path[1:].encode(), modes[path], content.get(path, b""), inode)
        for inode, path in enumerate(sorted(modes), start=1)
    ]
