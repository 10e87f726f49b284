"""Train a network: `python train.py --help` lists the options."""

from __future__ import annotations

import sys
import time
from pathlib import Path

STARTED = time.time()
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

if __name__ == "__main__":
    from mindlift.cli.train import main
    from mindlift.model_utils import device_adapter

    device_adapter.leave(main(started=STARTED))
