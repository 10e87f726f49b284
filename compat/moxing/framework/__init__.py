"""`moxing.framework`: `file` and `util.runtime`."""
