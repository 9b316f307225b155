"""The scriptlet audit: what an RPM's scriptlets would do, read with a shell grammar, never run."""
