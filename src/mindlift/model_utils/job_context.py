"""What is the same for all that a job computes, from its first step to its last evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.devices import Device
from mindlift.model_utils.ranks import Ranks

if TYPE_CHECKING:  # it imports tqdm, which `train --help` does without
    from mindlift.runs.log import RunLog


@dataclass(frozen=True)
class JobContext:
    """The options, this process among its peers, its device, its share of the CPUs (`workers` threads), and its log."""

    cfg: Config
    ranks: Ranks
    device: Device
    workers: int
    log: RunLog
