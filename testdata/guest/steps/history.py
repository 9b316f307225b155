"""What `layer history --json` says, a line for each entry, the newest first."""

import json
import sys

for number, entry in enumerate(json.load(sys.stdin)):
    booted = "booted" if entry.get("has-booted") else "never booted"
    print(f"history.{number}={booted}: {' '.join(entry['command'])}")
