"""`python -m mindlift` is the command `mindlift`."""

from __future__ import annotations

import sys

from mindlift.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
