"""Evaluate the results that scripts/run_infer_310.sh leaves: `python postprocess.py --help` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

if __name__ == "__main__":
    from mindlift.cli.postprocess import main

    sys.exit(main())
