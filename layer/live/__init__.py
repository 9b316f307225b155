"""What may be seen in the running /usr before a reboot, and what was put where for it; decides."""
