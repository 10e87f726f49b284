"""Which commit the code is of. Runs where nothing is installed: mindlift.doctor asks it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mindlift import __version__, json_text
from mindlift.checkout import IS_CHECKOUT, ROOT

REVISION_FILE = "revision.json"  # cloud/submit.py puts it into the code of a job, which has no .git
RELEASE = f"v{__version__}"


def code_revision(root: Path = ROOT, digits: int = 40) -> str:
    """The commit, with "-dirty" if files differ from it; '' where neither a job's note nor git tells.

    Of an installed package its release: a repository that it is installed in is somebody else's.
    """
    try:
        note = json_text.read(root / REVISION_FILE)
        return note["revision"][:digits] + ("-dirty" if note["dirty"] else "")
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no job, or a file of somebody else's
    if root == ROOT and not IS_CHECKOUT:
        return RELEASE
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", f"--abbrev={digits}"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
