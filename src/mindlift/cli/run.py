"""Run any program with its data and results in a bucket: `mindlift run [options] -- program arguments`."""

from __future__ import annotations

from mindlift.program.command import main as main
