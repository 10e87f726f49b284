"""Classify images: `python predict.py --help` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

if __name__ == "__main__":
    from mindlift.cli.predict import main

    sys.exit(main())
