"""What `layer status --json` says, a line for each deployment: without whole commits."""

import json
import sys

KEYS = ("booted", "staged", "pinned", "version", "requested-packages", "packages")
for number, deployment in enumerate(json.load(sys.stdin)["deployments"]):
    print(f"json.{number}={json.dumps({key: deployment.get(key) for key in KEYS})}")
