"""Where this package is, and the files that stand beside it: those of the checkout, or the copies in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCES = PACKAGE.parent  # what has to be on sys.path; `python -m mindlift...` finds the package from there
AROUND = PACKAGE.parents[1]
IS_CHECKOUT = (AROUND / "default_config.yaml").is_file()
ROOT = (
    AROUND if IS_CHECKOUT else PACKAGE / "beside"
)  # default_config.yaml, train.py, cloud/, compat/, scripts/
