"""Every part of the project once on a real card: `mindlift ascend_check`, `scripts/ascend_check.sh`."""

from __future__ import annotations

from mindlift.ascend_check.run import main as main
