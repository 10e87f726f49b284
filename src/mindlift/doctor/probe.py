"""`python -m mindlift.doctor.probe DEVICE [train]`: import mindspore and compute with it, in a process that may crash.

What was reached is told line by line, so that whoever started this knows how far it came.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from mindlift import json_text
from mindlift.errors import MindLiftError
from mindlift.model_utils import device_adapter
from mindlift.model_utils.ranks import Ranks

MARK = "doctor: "
STEPS = 2
SMALLEST = "densenet22"
PROGRAM = "mindlift.cli.train"  # what users start, by its name: it is above this package


def tell(**reached: object) -> None:
    print(MARK + json.dumps(reached), flush=True)


def main(device: str, *more: str) -> int:
    device_adapter.prepare_environment(Ranks(), target=device)
    started = time.perf_counter()
    import mindspore

    tell(imported=mindspore.__version__, import_seconds=time.perf_counter() - started)
    try:
        train(device) if more else compute(device)
    except MindLiftError as err:
        tell(error=" ".join(str(err).split()))
        return err.exit_code
    return 0


def compute(device: str) -> None:
    import mindspore as ms
    import numpy as np

    device_adapter.connect(Ranks(), device)
    ones = ms.Tensor(np.ones((64, 64), np.float32))
    tell(computed=float(ms.ops.matmul(ones, ones).asnumpy()[0, 0]) == 64.0)


def train(device: str) -> None:
    """Real steps by the program itself, in a folder that goes away."""
    from mindlift.data.embedded import digits as demo

    program = importlib.import_module(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="mindlift-doctor-") as folder:
        os.chdir(folder)  # what MindSpore leaves in the working directory goes away too
        data, runs = demo.build(Path(folder) / "data"), Path(folder) / "runs"
        started = time.perf_counter()
        program.train(
            [
                "--net",
                SMALLEST,
                "--dataset",
                "digits",
                "--data_dir",
                str(data),
                "--ckpt_path",
                str(runs),
                "--max_steps",
                str(STEPS),
                "--log_interval",
                "1",
                "--run_eval",
                "false",
                "--progress",
                "false",
                "--device_target",
                device,
            ],
            time.time(),
        )
        seconds = time.perf_counter() - started
        steps = [
            line
            for path in runs.glob("*/metrics.jsonl")
            for line in json_text.read_records(path)[0]
            if "loss" in line
        ]
        tell(
            steps=len(steps),
            train_seconds=seconds,
            step_seconds=steps[-1]["step_seconds"][0],
            memory_mb=steps[-1]["memory_mb"][0],
        )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
