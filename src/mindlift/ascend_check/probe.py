"""`python -m mindlift.ascend_check.probe TARGET`: what MindLift takes the device for, as JSON, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import sys

from mindlift.cli import program
from mindlift.model_utils import device_adapter, devices
from mindlift.model_utils.ranks import Ranks


def device(target: str) -> None:
    device_adapter.prepare_environment(Ranks(), target=target)
    device_adapter.connect(Ranks(), target)
    print(json.dumps(dataclasses.asdict(devices.current())))


if __name__ == "__main__":
    sys.exit(program.main(lambda: device(sys.argv[1]), debug=False))
