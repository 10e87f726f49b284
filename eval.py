"""Evaluate checkpoints exactly: `python eval.py --help` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

if __name__ == "__main__":
    from mindlift.cli.eval import main
    from mindlift.model_utils import device_adapter

    device_adapter.leave(main())
