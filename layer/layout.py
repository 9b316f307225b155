"""Where each path of a package lands in a tree, and what is refused; decides, touches nothing."""

from __future__ import annotations

import enum
import hashlib
import posixpath
import re
import stat
from collections.abc import Iterable

from layer import tmpfiles
from layer.entries import fault_of
from layer.frozen import dataclass
from layer.model import Owner, PackageFile, PackageHeader
from layer.words import shown

HEADERS = "usr/lib/sysimage/packages"  # the packages' headers, one file each
FACTORY = "usr/share/factory"  # tmpfiles.d(5), type C
_TMPFILES_FOLDERS = ("usr/lib/tmpfiles.d/", "usr/etc/tmpfiles.d/")
_MOST_REFUSED = 50  # lines for one package


class Fate(enum.Enum):
    """What becomes of what a package has below a path."""

    TREE = "tree"  # it is in the tree, below the rule's target
    BOOT = "boot"  # tmpfiles.d makes it while the machine boots
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for everything below `root`; `target` takes the place of `root` in the path."""

    root: str
    fate: Fate
    target: str
    reason: str


# The first rule that fits decides.
RULES = (
    Rule("usr/local", Fate.REFUSED, "", "/usr/local is a link into /var, the machine's own"),
    Rule(HEADERS, Fate.REFUSED, "", "the headers of packages are kept there"),
    Rule(HEADERS[4:], Fate.REFUSED, "", "/lib is a link to where headers are kept"),
    Rule("usr", Fate.TREE, "usr", "the place of the system"),
    Rule("bin", Fate.TREE, "usr/bin", "usr-merge: /bin is a link"),
    Rule("sbin", Fate.TREE, "usr/sbin", "usr-merge: /sbin is a link"),
    Rule("lib", Fate.TREE, "usr/lib", "usr-merge: /lib is a link"),
    Rule("lib32", Fate.TREE, "usr/lib32", "usr-merge: /lib32 is a link"),
    Rule("lib64", Fate.TREE, "usr/lib64", "usr-merge: /lib64 is a link"),
    Rule("libx32", Fate.TREE, "usr/libx32", "usr-merge: /libx32 is a link"),
    Rule("etc", Fate.TREE, "usr/etc", "OSTree merges it into the machine's /etc at deployment"),
    Rule("boot", Fate.TREE, "usr/lib/ostree-boot", "/boot is shared by all deployments"),
    Rule("opt", Fate.TREE, "usr/lib/opt", "/opt is a link into /var; tmpfiles.d links back"),
    Rule("var/run", Fate.BOOT, "run", "/var/run is a link that tmpfiles.d does not like to follow"),
    Rule("var/lock", Fate.BOOT, "run/lock", "/var/lock is a link"),
    Rule("var", Fate.BOOT, "var", "/var is the machine's own and starts empty"),
    Rule("run", Fate.BOOT, "run", "/run is empty at every boot"),
    Rule("srv", Fate.REFUSED, "", "/srv is the machine's own"),
    Rule("home", Fate.REFUSED, "", "/home is the users' own"),
    Rule("root", Fate.REFUSED, "", "/root is the administrator's own"),
    Rule("mnt", Fate.REFUSED, "", "/mnt is for mounting"),
    Rule("media", Fate.REFUSED, "", "/media is for mounting"),
    Rule("tmp", Fate.REFUSED, "", "/tmp does not last"),  # noqa: S108
    Rule("dev", Fate.REFUSED, "", "/dev is the kernel's"),
    Rule("proc", Fate.REFUSED, "", "/proc is the kernel's"),
    Rule("sys", Fate.REFUSED, "", "/sys is the kernel's"),
    Rule("sysroot", Fate.REFUSED, "", "/sysroot is OSTree's"),
    Rule("ostree", Fate.REFUSED, "", "/ostree is OSTree's"),
)
_ELSEWHERE = Rule("", Fate.REFUSED, "", "a tree has no place for it")

# The links of an OSTree system at their own places: a package may bring the very same.
LINKS = {
    "bin": ("usr/bin",),
    "sbin": ("usr/sbin", "usr/bin"),  # Fedora has merged the two
    "lib": ("usr/lib",),
    "lib32": ("usr/lib32",),
    "lib64": ("usr/lib64",),
    "libx32": ("usr/libx32",),
    "home": ("var/home",),
    "root": ("var/roothome",),
    "srv": ("var/srv",),
    "mnt": ("var/mnt",),
    "media": ("run/media",),
    "opt": ("var/opt",),
    "tmp": ("sysroot/tmp", "var/tmp"),
    "ostree": ("sysroot/ostree",),
    "usr/local": ("../var/usrlocal",),
}

# Directories that packages list because they must exist: the skeleton of a tree has them, or
# they hold nothing. Only these packages may name directories further down where files are refused.
SKELETON_PACKAGES = frozenset({"filesystem", "base-files"})
_LINKS_AT_BOOT = {"var/run": ("../run", "/run"), "var/lock": ("../run/lock", "/run/lock")}
_WITHOUT_DIRECTORY = ("", "boot", "opt", "var", "run", *_LINKS_AT_BOOT)

# Deeper in the tree than in the package, so that a relative link out of them would dangle.
_MOVED_WITH_LINKS = ("/boot", "/opt")

# One number for many machines is one too few: who ships it ships it by mistake.
_MACHINE_IDS = ("etc/machine-id", "usr/etc/machine-id")
UNINITIALIZED = b"uninitialized\n"

# kernel-install(8) and OSTree look for a kernel here.
_KERNEL = re.compile(r"boot/vmlinuz-(?!\.{1,2}$)([^/]+)")


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """An entry of the header and its path in the tree, without leading slash."""

    source: PackageFile
    path: str


@dataclass(frozen=True, slots=True)
class Placement:
    """All that becomes of a package's paths.

    `tmpfiles` is the content of the file at `tmpfiles_path`, "" for none. `refused` and `notes`
    are lines that name the package; where anything is refused the rest is of no use.
    """

    files: tuple[PlacedFile, ...]
    tmpfiles: str
    owners: tuple[Owner, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def place(header: PackageHeader, declared: frozenset[str] = frozenset()) -> Placement:
    """Sends every entry of the header to its place.

    `declared` are the paths that the package's own tmpfiles.d files make already.
    """
    work = _Placing(header, declared)
    seen: set[str] = set()
    for file in header.files:
        fault = fault_of(file) or ("is listed twice" if file.path in seen else "")
        seen.add(file.path)
        if fault:
            work.refuse(file.path, fault)
        else:
            work.add(file)
    return work.finish()


def declared_paths(text: str) -> frozenset[str]:
    """The paths that a tmpfiles.d file makes, absolute."""
    return tmpfiles.declared_paths(text)


def is_tmpfiles_configuration(path: str) -> bool:
    """Whether systemd-tmpfiles reads a file of the tree as its configuration."""
    return path.startswith(_TMPFILES_FOLDERS) and path.endswith(".conf")


def tmpfiles_path(name: str) -> str:
    """Where the lines generated for the package `name` are kept in the tree.

    Of two lines for one path the first file's by name counts, so what packages
    ship themselves comes before what is generated here.
    """
    return f"usr/lib/tmpfiles.d/zz-layer-{name}.conf"


def link_target(link: PackageFile) -> str:
    """What a symlink of a package says in the tree: one that is moved leads where it did."""
    top = f"/{link.path.split('/')[1]}"
    if top not in _MOVED_WITH_LINKS or link.link_to.startswith("/"):
        return link.link_to
    where = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.link_to))
    if kernel := _KERNEL.fullmatch(where[1:]):
        return f"/{_kernel_place(kernel)}"
    return link.link_to if where == top or where.startswith(f"{top}/") else where


def is_root(name: str) -> bool:
    """Whether an owner's or a group's name, or number in digits, is root's."""
    return name in ("root", "0")


class _Placing:
    """The lists that grow while the entries of one package are placed."""

    def __init__(self, header: PackageHeader, declared: frozenset[str]) -> None:
        self._package = str(header.nevra)
        self._algorithm = header.digest_algorithm
        self._tmpfiles_path = tmpfiles_path(header.nevra.name)
        self._is_skeleton = header.nevra.name in SKELETON_PACKAGES
        self._declared = declared
        self._taken: dict[str, PackageFile] = {}  # by place: in the tree, in /var or in /run
        self._placed: dict[str, PlacedFile] = {}
        self._lines: dict[str, str] = {}  # by absolute path
        self._refused: list[str] = []
        self._ignored: list[str] = []
        self._copied: list[str] = []
        self._linked: set[str] = set()
        self._notes: list[str] = []

    def refuse(self, path: str, fact: str) -> None:
        self._refused.append(f"{self._package}: {shown(path)}: {fact}")

    def add(self, file: PackageFile) -> None:
        path = file.path[1:]
        rule = next((r for r in RULES if _is_at_or_below(path, r.root)), _ELSEWHERE)
        if path in LINKS and stat.S_ISLNK(file.mode) and not file.is_ghost:
            self._add_link(file, path)
        elif path == rule.root and path in _WITHOUT_DIRECTORY and _is_dir(file):
            pass  # every tree has them, with attributes of its own
        elif path == rule.root and not _is_dir(file) and not _is_link_at_boot(file, path):
            self.refuse(file.path, "is no directory; in every tree it is")
        elif rule.fate is Fate.BOOT:
            self._add_at_boot(file, path if path == rule.root else _moved(path, rule))
        elif file.is_ghost:
            pass  # the package claims the name, and brings nothing
        elif path in _MACHINE_IDS and stat.S_ISREG(file.mode) and not self._is_nobodys(file):
            self.refuse(file.path, "a machine's id is its own; empty or uninitialized it may be")
        elif rule.fate is Fate.TREE:
            self._add_to_tree(file, path, rule)
        elif _is_dir(file) and (path == rule.root or self._is_skeleton):
            self._ignored.append(file.path)
        else:
            self.refuse(file.path, rule.reason)

    def _is_nobodys(self, file: PackageFile) -> bool:
        """Whether a machine-id names no machine (machine-id(5))."""
        known = hashlib.new(self._algorithm, UNINITIALIZED).hexdigest()
        return file.size == 0 or file.digest == known

    def finish(self) -> Placement:
        self._check_parents()
        for name in sorted(self._linked):
            target = f"/usr/lib/opt/{name}"
            if f"/opt/{name}" not in self._declared:
                self._set_line("L", f"/var/opt/{name}", "- - -", target)
            self._notes.append(f"/opt/{name} is kept in {target}")
        if self._lines and self._tmpfiles_path in self._taken:
            self.refuse(f"/{self._tmpfiles_path}", "a file of that name is to be generated")
        self._add_notes()
        if len(self._refused) > _MOST_REFUSED:
            more = len(self._refused) - _MOST_REFUSED
            self._refused[_MOST_REFUSED:] = [f"{self._package}: {more} more of its paths"]
        files = tuple(self._placed[path] for path in sorted(self._placed))
        return Placement(
            files=files,
            tmpfiles="".join(self._lines[path] for path in sorted(self._lines)),
            owners=tuple(_owners(files)),
            refused=tuple(self._refused),
            notes=tuple(f"{self._package}: {note}" for note in self._notes),
        )

    def _add_link(self, file: PackageFile, path: str) -> None:
        if file.link_to.removeprefix("/") in LINKS[path]:
            self._put(file, path)
        else:
            wanted = " or ".join(LINKS[path])
            self.refuse(file.path, f"links to {shown(file.link_to)}; in a tree it is {wanted}")

    def _add_to_tree(self, file: PackageFile, path: str, rule: Rule) -> None:
        kernel = _KERNEL.fullmatch(path)
        if kernel and stat.S_ISREG(file.mode):
            target = _kernel_place(kernel)
            self._notes.append(f"the kernel {shown(file.path)} is kept in /{shown(target)}")
        else:
            target = _moved(path, rule)
        if rule.root == "opt":
            self._linked.add(path.split("/")[1])
        self._put(file, target)

    def _add_at_boot(self, file: PackageFile, where: str) -> None:
        if file.is_ghost and not where.startswith("var/"):
            return
        if not self._take(file, where):
            return
        path = f"/{where}"
        attributes = f"{stat.S_IMODE(file.mode):04o} {_name(file.user)} {_name(file.group)}"
        if _is_dir(file):
            self._set_line("d", path, attributes)
        elif stat.S_ISLNK(file.mode):
            self._set_line("L", path, "- - -", file.link_to)
        elif file.is_ghost:
            # rpmbuild gives mode 0 to a ghost of which the packager says nothing: whatever
            # program makes the file knows better.
            if stat.S_IMODE(file.mode):
                self._set_line("f", path, attributes)
        elif where.startswith("run/"):
            self.refuse(file.path, "is a file in /run, which is empty at every boot")
        else:
            self._copied.append(file.path)
            self._put(file, f"{FACTORY}/{where}")
            self._set_line("C", path, attributes)

    def _set_line(self, kind: str, path: str, attributes: str, argument: str = "") -> None:
        if not tmpfiles.can_name(path):
            self.refuse(path, "holds a line break, which no tmpfiles.d line can name")
        elif path not in self._declared:
            self._lines.setdefault(path, tmpfiles.format_line(kind, path, attributes, argument))

    def _put(self, file: PackageFile, path: str) -> None:
        if self._take(file, path):
            self._placed[path] = PlacedFile(file, path)

    def _take(self, file: PackageFile, place: str) -> bool:
        """Whether the place is free; two names of one directory may share it."""
        other = self._taken.setdefault(place, file)
        if other is file:
            return True
        if not (_is_dir(file) and _is_dir(other)):
            self.refuse(file.path, f"lands in the same place as {shown(other.path)}")
        elif _attributes(file) != _attributes(other):
            self._notes.append(
                f"{shown(file.path)} and {shown(other.path)} are one directory and differ: "
                f"the attributes of {shown(other.path)} hold"
            )
        return False

    def _check_parents(self) -> None:
        clear: set[str] = set()  # directories at and above which there is nothing else
        for place, file in self._taken.items():
            folder = posixpath.dirname(place)
            if folder in clear:
                continue
            above = (self._taken.get(parent) for parent in _parents(place))
            other = next((one for one in above if one is not None and not _is_dir(one)), None)
            if other is None:
                clear.add(folder)
            else:
                kind = "link" if stat.S_ISLNK(other.mode) else "file"
                self.refuse(file.path, f"lies below the {kind} {shown(other.path)}")

    def _add_notes(self) -> None:
        if self._ignored:
            names = ", ".join(shown(path) for path in sorted(self._ignored))
            self._notes.append(f"directories that the tree has of its own: {names}")
        if self._copied:
            names = ", ".join(shown(path) for path in sorted(self._copied))
            self._notes.append(f"copied into /var at boot where missing: {names}")


def _is_link_at_boot(file: PackageFile, path: str) -> bool:
    """Whether it is such a link of every tree, or may be."""
    return path in _LINKS_AT_BOOT and (file.is_ghost or file.link_to in _LINKS_AT_BOOT[path])


def _is_at_or_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _kernel_place(kernel: re.Match[str]) -> str:
    return f"usr/lib/modules/{kernel[1]}/vmlinuz"


def _moved(path: str, rule: Rule) -> str:
    return rule.target + path[len(rule.root) :]


def _is_dir(file: PackageFile) -> bool:
    return stat.S_ISDIR(file.mode)


def _parents(place: str) -> Iterable[str]:
    at = place.find("/")
    while at != -1:
        yield place[:at]
        at = place.find("/", at + 1)


def _attributes(file: PackageFile) -> tuple[int, str, str]:
    return (file.mode, _name(file.user), _name(file.group))


def _name(name: str) -> str:
    return "root" if is_root(name) else name


def _owners(files: Iterable[PlacedFile]) -> Iterable[Owner]:
    for file in files:
        user, group = _name(file.source.user), _name(file.source.group)
        if (user, group) != ("root", "root"):
            yield Owner(file.path, user, group)
