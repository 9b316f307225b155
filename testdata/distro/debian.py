"""Turn a Debian package into an RPM that says the same."""

from __future__ import annotations

import re
import stat
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from testdata.distro.deb import Deb, DebEntry, read_deb
from testdata.distro.debversion import parse_debian_version, relation_name, translate_relations
from testdata.distro.elf import with_elf_relations
from testdata.distro.rpmspec import FileSpec, FileTrigger, Relation, RpmSpec, Scriptlet
from testdata.distro.usrmerge import merged_path, merged_target

# Not parts of an image: the machine's own, the kernel's, or links that systemd makes.
_MACHINE_DIRECTORIES = re.compile(
    r"/|/(boot|dev|home|media|mnt|opt|proc|root|run|srv|sys|tmp|usr/local)(/.*)?"
    r"|/var/(local|lock|run)"
)
# Directories of everyone: base-files alone owns them, as `filesystem` does on Fedora.
_SHARED_DIRECTORIES = re.compile(
    r"/etc(/(cron\.d|cron\.daily|default|init\.d|logrotate\.d|pam\.d))?"
    r"|/usr(/(bin|games|include|lib|lib64|libexec|sbin|src))?"
    r"|/usr/lib/(modules|udev|udev/rules\.d|x86_64-linux-gnu)"
    r"|/usr/lib/systemd(/(system|user))?"
    r"|/usr/share(/(applications|bug|doc|icons|info|locale|mime|pixmaps))?"
    r"|/usr/share/(bash-completion(/completions)?|lintian(/overrides)?|man(/man[1-9])?)"
    r"|/var(/(cache|lib|log|spool))?"
)
_SLOTS = {
    "preinst": ("pre", "install"),
    "postinst": ("post", "configure"),
    "prerm": ("preun", "remove"),
    "postrm": ("postun", "remove"),
}
_ALTERNATIVE = re.compile(r"--install\s+(/(?:usr/)?s?bin/[\w.+-]+)\s")
_SHEBANG = re.compile(rb"#!\s*(/\S+)")


def convert_deb(path: Path, known_names: Set[str] = frozenset()) -> RpmSpec:
    """Return the RPM for a .deb, its maintainer scripts kept as scriptlets.

    `known_names` are the packages that Debian still has: what a package replaces and
    is not among them becomes an Obsoletes. Without any, there is no Obsoletes.
    """
    return convert(read_deb(path), known_names)


def convert(deb: Deb, known_names: Set[str]) -> RpmSpec:
    """Return the RPM for a Debian package that was read."""
    fields = deb.fields
    summary, _, description = fields.get("Description", "").partition("\n")
    version = parse_debian_version(fields["Version"])
    files = _files(deb)
    spec = RpmSpec(
        fields["Package"],
        version.version,
        version.release or "0",
        version.epoch,
        "noarch" if fields["Architecture"] == "all" else "x86_64",
        summary=summary,
        description=_paragraphs(description),
        license="Debian",
        section=fields.get("Section", "misc"),
        url=fields.get("Homepage", ""),
        source=fields.get("Source", "").partition(" ")[0],
        requires=(*_field(deb, "Depends"), *_field(deb, "Pre-Depends"), *_interpreters(files)),
        pre_requires=_field(deb, "Pre-Depends"),
        conflicts=_conflicts(deb),
        obsoletes=_obsoletes(deb, known_names) if known_names else (),
        recommends=_field(deb, "Recommends"),
        suggests=_field(deb, "Suggests"),
        enhances=_field(deb, "Enhances"),
        files=files,
        scriptlets=_scriptlets(deb),
        file_triggers=_file_triggers(deb),
    )
    return with_elf_relations(_with_provides(deb, spec))


def _field(deb: Deb, name: str) -> tuple[Relation, ...]:
    return translate_relations(deb.fields.get(name, ""))


def _paragraphs(description: str) -> str:
    """Return the text of a description, in which a lone dot stands for an empty line."""
    lines = description.splitlines()
    return "\n".join("" if line.strip() == "." else line for line in lines)


def _conflicts(deb: Deb) -> tuple[Relation, ...]:
    return _field(deb, "Conflicts") + _field(deb, "Breaks")


def _obsoletes(deb: Deb, known_names: Set[str]) -> tuple[Relation, ...]:
    """Return what is replaced, in conflict, and gone from Debian: a rename or a merger."""
    conflicting = {relation_name(relation) for relation in _conflicts(deb)}
    provided = {relation_name(relation) for relation in _field(deb, "Provides")}
    return tuple(
        relation
        for relation in _field(deb, "Replaces")
        if relation_name(relation) in conflicting - provided - known_names
    )


def _with_provides(deb: Deb, spec: RpmSpec) -> RpmSpec:
    # An unversioned Provides satisfies any version for rpm and none for dpkg.
    virtual = {
        relation if " " in relation else f"{relation} = {spec.evr}"
        for relation in _field(deb, "Provides")
    }
    moved = {
        entry.path
        for entry in deb.entries
        if entry.path.startswith(("/bin/", "/sbin/")) and not entry.info.isdir()
    }
    postinst = deb.scripts.get("postinst", "").replace("\\\n", " ")
    alternatives = {merged_path(link) for link in _ALTERNATIVE.findall(postinst)}
    # dash's postinst makes /bin/sh, as glibc.spec (not elfdeps) names its hash style.
    peculiar = {"dash": {"/bin/sh"}, "libc6": {"rtld(GNU_HASH)"}}.get(spec.name, set())
    return replace(spec, provides=tuple(sorted(virtual | moved | alternatives | peculiar)))


def _files(deb: Deb) -> tuple[FileSpec, ...]:
    """Return the payload in a usr-merged layout, by path."""
    files: dict[str, FileSpec] = {}
    for entry in deb.entries:
        file = _file(deb, entry)
        if file is None or (file.kind == stat.S_IFLNK and file.path in files):
            continue  # a compatibility link whose target came to lie at its own path
        files[file.path] = file
    return tuple(files[path] for path in sorted(files))


def _file(deb: Deb, entry: DebEntry) -> FileSpec | None:
    """Return the entry as the RPM ships it, or None for what it leaves out."""
    info = entry.info
    path = merged_path(entry.path)
    user, group = info.uname or "root", info.gname or "root"
    mode = info.mode & 0o7777
    mtime = int(info.mtime)
    if info.isdir():
        if _is_foreign_directory(deb, entry.path):
            return None
        return replace(FileSpec.directory(path, mode, user, group), mtime=mtime)
    if info.issym():
        target = merged_target(entry.path, info.linkname)
        if target is None:
            return None
        return replace(FileSpec.symlink(path, target), user=user, group=group, mtime=mtime)
    if info.islnk():
        return FileSpec.hardlink(path, merged_path("/" + info.linkname.removeprefix("./")))
    if not info.isreg():
        raise ValueError(f"{deb.path.name}: {entry.path} is neither file, directory nor link")
    is_config = entry.path in deb.conffiles
    return FileSpec(path, entry.content, mode, user, group, config=is_config, mtime=mtime)


def _is_foreign_directory(deb: Deb, path: str) -> bool:
    new = merged_path(path)
    if _MACHINE_DIRECTORIES.fullmatch(new):
        return True
    return bool(_SHARED_DIRECTORIES.fullmatch(new)) and deb.fields["Package"] != "base-files"


def _interpreters(files: tuple[FileSpec, ...]) -> tuple[Relation, ...]:
    """Return the interpreters of programs; examples and hooks elsewhere need not run."""
    found = {
        match[1].decode()
        for file in files
        if file.path.startswith(("/usr/bin/", "/usr/sbin/")) and file.mode & 0o111
        if (match := _SHEBANG.match(file.content))
    }
    return tuple(
        sorted(
            name
            for name in found
            if not name.endswith("/env") and not name.startswith("/usr/local/")
        )
    )


def _scriptlets(deb: Deb) -> tuple[Scriptlet, ...]:
    return tuple(
        Scriptlet(_SLOTS[name][0], _with_arguments(script, _SLOTS[name][1], ""), _runner(script))
        for name, script in sorted(deb.scripts.items())
    )


def _file_triggers(deb: Deb) -> tuple[FileTrigger, ...]:
    """Return the postinst as dpkg calls it when other packages' files arrive."""
    if not deb.interests or "postinst" not in deb.scripts:
        return ()
    script = deb.scripts["postinst"]
    prefixes = tuple(merged_path(path) for path in deb.interests)
    body = _with_arguments(script, "triggered", " ".join(deb.interests))
    return (FileTrigger(prefixes, body, _runner(script)),)


def _runner(script: str) -> str:
    """Return the interpreter that a script names, with its arguments."""
    first = script.partition("\n")[0]
    return first.removeprefix("#!").strip() if first.startswith("#!") else "/bin/sh"


def _with_arguments(script: str, action: str, argument: str) -> str:
    """Return the script with the arguments that dpkg would give it set at its top."""
    first, newline, rest = script.partition("\n")
    if not first.startswith("#!"):
        first, newline, rest = "", "", script
    if "perl" in first:
        prefix = f'BEGIN {{ @ARGV = ("{action}", "{argument}") }}\n'
    else:
        prefix = f'set -- {action} "{argument}"\n'
    return first + newline + prefix + rest
