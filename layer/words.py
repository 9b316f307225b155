"""Words: texts that other programs look for, to the letter (rpm-ostree's own), and numerals."""

REBOOT = 'Changes queued for next boot. Run "systemctl reboot" to start a reboot'
NO_UPGRADE = "No upgrade available."


def count(number: int, noun: str) -> str:
    """`1 package`, `2 packages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
