"""Write rank_table_8p.json for the cards of this server, by the name that the original models gave the program."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    from mindlift.cli.multicards import main

    sys.exit(main())
