"""Which commit the code is of. Runs where nothing is installed: mindlift.doctor asks it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from mindlift.checkout import ROOT

REVISION_FILE = "revision.json"  # cloud/submit.py puts it into the code of a job, which has no .git


def code_revision(root: Path = ROOT, digits: int = 40) -> str:
    """The commit, with "-dirty" if files differ from it; '' where neither a job's note nor git tells."""
    try:
        note = json.loads((root / REVISION_FILE).read_text(encoding="utf-8"))
        return note["revision"][:digits] + ("-dirty" if note["dirty"] else "")
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no job, or a file of somebody else's
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", f"--abbrev={digits}"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
