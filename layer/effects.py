"""What a change does to a machine beyond that its packages are there: the nouns of the plan."""

from __future__ import annotations

from layer.frozen import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Privileged:
    """A file that gives whoever runs it more than they have; "" where it gives nothing of that.

    `setuid` and `setgid` name whose rights it takes, `capabilities` is text as getcap prints it.
    """

    path: str
    package: str
    setuid: str = ""
    setgid: str = ""
    capabilities: str = ""


@dataclass(frozen=True, slots=True, order=True)
class NewAccount:
    """A system user or group; `number` is None where only the package's payload says it."""

    kind: str  # `user` or `group`
    name: str
    number: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class NewUnit:
    """A unit of systemd that was not there: of the system or of users' sessions (`scope`).

    `preset` is `enable`, `disable` or `ignore`, "" where no preset is applied, and None where a
    preset comes along that only the payload tells. What has no [Install] stays as it is.
    """

    name: str
    scope: str
    package: str
    preset: str | None


@dataclass(frozen=True, slots=True, order=True)
class PlacedPath:
    """A path of a package on the machine (absolute); a directory's ends with a slash."""

    path: str
    package: str


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes in blocks of the filesystem that a change takes and does not give back.

    `objects` is what the repository gains, `checkout` what the deployment takes: its
    directories and its own /etc, as all other files are hard links; `boot` the kernel in /boot
    and boot entries. Older deployments stay until `layer cleanup`, and what is downloaded goes
    again. `is_measured`: the objects are there and were counted.
    """

    objects: int = 0
    checkout: int = 0
    boot: int = 0
    is_measured: bool = False

    @property
    def total(self) -> int:
        """All of it."""
        return self.objects + self.checkout + self.boot


@dataclass(frozen=True, slots=True)
class Effects:
    """All that; sorted. `unread` are packages with accounts that only their payload tells."""

    privileged: tuple[Privileged, ...] = ()
    accounts: tuple[NewAccount, ...] = ()
    unread: tuple[str, ...] = ()
    units: tuple[NewUnit, ...] = ()
    etc: tuple[PlacedPath, ...] = ()
    opt: tuple[PlacedPath, ...] = ()
    var: tuple[PlacedPath, ...] = ()
    disk: Disk = Disk()


NO_EFFECTS = Effects()
