"""Images and labels of a list as MindRecord shards, by the name that the original model gave the program."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    from mindlift.cli.build_seg_data import main

    sys.exit(main())
