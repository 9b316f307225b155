"""What `layer status --json` says, a line for each deployment: without whole commits."""

import json
import sys

KEYS = (
    *("booted", "staged", "pinned", "unlocked", "version", "requested-packages", "packages"),
    *("osname", "checksum", "initramfs-etc", "live-replaced", "live-inprogress"),
)
machine = json.load(sys.stdin)
print(f"lost={json.dumps(machine['finalization-failed'])}")
for number, deployment in enumerate(machine["deployments"]):
    print(f"json.{number}={json.dumps({key: deployment.get(key) for key in KEYS})}")
