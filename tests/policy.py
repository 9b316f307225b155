"""A small SELinux policy, really compiled, and packages that bring or change it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm

TYPES = ("default_t", "usr_t", "bin_t", "link_t", "lib_t", "etc_t", "passwd_t", "cache_t", "rpm_t")
FILES = "/etc/selinux/tiny/contexts/files"
CONFIG = b"SELINUX=enforcing\nSELINUXTYPE=tiny\n"
# What libselinux reads as: one path is another, for labels.
SUBSTITUTIONS = b"/bin /usr/bin\n/usr/lib64 /usr/lib\n"

_HEAD = """\
(handleunknown allow)
(mls true)
(sid kernel)
(sidorder (kernel))
(sidcontext kernel kernel_context)
(class file (read write))
(classorder (file))
(sensitivity s0)
(sensitivityorder (s0))
(user system_u)
(role object_r)
(userrole system_u object_r)
(userlevel system_u (s0))
(userrange system_u ((s0) (s0)))
(allow default_t default_t (file (read)))
(context kernel_context (system_u object_r default_t ((s0) (s0))))
"""
# Path, kind of file, type; the most specific comes last in what secilc writes.
_CONTEXTS = (
    ("/.*", "any", "default_t"),
    ("/", "dir", "default_t"),
    ("/usr(/.*)?", "any", "usr_t"),
    ("/usr/bin(/.*)?", "any", "bin_t"),
    ("/usr/bin/.*", "symlink", "link_t"),
    ("/usr/lib/.*\\.so(\\.[^/]*)*", "file", "lib_t"),
    ("/etc(/.*)?", "any", "etc_t"),
    ("/etc/(passwd|group|shadow|gshadow)", "file", "passwd_t"),
    ("/etc/ld\\.so\\.cache", "file", "cache_t"),
    ("/usr/share/rpm(/.*)?", "any", "rpm_t"),
    ("/usr/share/unlabelled(/.*)?", "any", ""),
)


def label(type_: str) -> str:
    """The whole label of a type."""
    return f"system_u:object_r:{type_}:s0"


def line(regex: str, type_: str, kind: str = "") -> bytes:
    """A line of a file_contexts."""
    return f"{regex}\t{kind}\t{label(type_)}\n".encode()


@cache
def compiled(more: tuple[tuple[str, str, str], ...] = ()) -> tuple[bytes, bytes]:
    """The binary policy and its file_contexts, with more contexts of a module."""
    contexts = (*_CONTEXTS, *more)
    types = sorted({*TYPES, *(type_ for _, _, type_ in contexts if type_)})
    source = _HEAD + "".join(f"(type {name})\n(roletype object_r {name})\n" for name in types)
    for regex, kind, name in contexts:
        context = f"(system_u object_r {name} ((s0) (s0)))" if name else "()"
        source += f'(filecon "{regex}" {kind} {context})\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "tiny.cil").write_text(source)
        command = ["secilc", "-o", "policy", "-f", "file_contexts", "tiny.cil"]
        subprocess.run(command, cwd=path, check=True, capture_output=True)
        return (path / "policy").read_bytes(), (path / "file_contexts").read_bytes()


def policy_package(
    *more: tuple[str, str, str], version: str = "1", config: bytes = CONFIG
) -> RpmSpec:
    """The policy as a package of the base."""
    binary, contexts = compiled(more)
    return tiny_rpm(
        "tiny-policy",
        FileSpec("/etc/selinux/config", config),
        FileSpec("/etc/selinux/tiny/policy/policy.33", binary),
        # Where a tree has a policy, libostree asks its semodule whether it knows --refresh.
        FileSpec("/usr/bin/semodule", b"#!/usr/bin/sh\n", mode=0o755),
        FileSpec("/etc/selinux/tiny/seusers", b"__default__:system_u:s0\n"),
        FileSpec(f"{FILES}/file_contexts", contexts),
        FileSpec(f"{FILES}/file_contexts.subs_dist", SUBSTITUTIONS),
        version=version,
    )


def local_contexts_package(lines: Iterable[bytes] = ()) -> RpmSpec:
    """A package to layer that changes the policy: by default for a base's and a layer's file."""
    tiny = line(r"/usr/lib/libtiny\.so.*", "bin_t", "--") + line("/usr/bin/apple", "cache_t")
    content = b"".join(lines) or tiny
    return tiny_rpm("local-contexts", FileSpec(f"{FILES}/file_contexts.local", content))


def write_policy(root: Path, contexts: bytes, substitutions: bytes = b"") -> Path:
    """A root with that policy, for libostree and libselinux themselves."""
    folder = root / "usr/etc/selinux/tiny"
    (folder / "policy").mkdir(parents=True)
    (folder / "contexts/files").mkdir(parents=True)
    (folder.parent / "config").write_bytes(CONFIG)
    (folder / "policy/policy.33").write_bytes(compiled()[0])
    (folder / "contexts/files/file_contexts").write_bytes(contexts)
    (folder / "contexts/files/file_contexts.subs_dist").write_bytes(substitutions)
    return root
