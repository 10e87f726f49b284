"""Submit a job, follow it and fetch its results; rehearse it at home. `python cloud/submit.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

if __name__ == "__main__":
    from mindlift.cli.submit import main

    sys.exit(main())
