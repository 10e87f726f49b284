"""Labels and lists of VOC 2012 and SBD, by the name that the original model gave the program."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    from mindlift.cli.data_voc import get_dataset_lst as main

    sys.exit(main())
