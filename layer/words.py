"""Texts that other programs look for, to the letter (rpm-ostree's own)."""

REBOOT = 'Changes queued for next boot. Run "systemctl reboot" to start a reboot'
NO_UPGRADE = "No upgrade available."
