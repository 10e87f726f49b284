"""`python -m mindlift.program` is `mindlift run`, where only the files of bundle.py are."""

from __future__ import annotations

import sys

from mindlift.program.command import main

if __name__ == "__main__":
    sys.exit(main())
