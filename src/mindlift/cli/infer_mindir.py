"""Run an exported model on the images of a list, one after another, as the model zoo's program for Ascend 310 does:

    mindlift infer_mindir --mindir_path NAME.mindir --dataset_path DIR --image_list LIST

leaves, in the working directory, result_Files/<image>_0.bin (the model's output, float32) and
time_Result/test_perform_static.txt. postprocess.py evaluates them.

MindSpore itself does not run on Ascend 310 (Atlas 200/300/500) from 2.2 on; there the model is run by MindSpore Lite,
the package mindspore_lite. --runtime auto takes Lite where it is installed, for Ascend and CPU, and else MindSpore.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.cli import program
from mindlift.cli.local_paths import local, local_path
from mindlift.data.segmentation import lists as seg_lists
from mindlift.errors import CheckpointError, ConfigError, DeviceError
from mindlift.files import write_atomic
from mindlift.language import localized
from mindlift.model_utils import device_adapter, devices, mindspore_build
from mindlift.model_utils.ranks import Ranks
from mindlift.option_parser import ArgumentParser
from mindlift.runs import provenance
from mindlift.sanitize import single_line

if TYPE_CHECKING:
    import numpy as np

RESULTS, TIMES = Path("result_Files"), Path("time_Result")
RUNTIMES = ("auto", "lite", "mindspore")
ON_310 = (
    "from 2.2 on MindSpore does not run on Ascend 310 (Atlas 200/300/500), MindSpore Lite does: there install"
    " mindspore_lite"
)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__, is_raw=True)
    parser.add_argument("--mindir_path", type=local_path, required=True, help="a model of export.py, batch 1")
    parser.add_argument(
        "--dataset_path", type=local_path, required=True, help="folder that the list's paths are below"
    )
    parser.add_argument("--image_list", type=local, required=True, help="list with lines `image label`")
    parser.add_argument("--device_type", default="auto", choices=["auto", *devices.TARGETS])
    parser.add_argument("--device_id", type=int, default=0, help="number of the card")
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=RUNTIMES,
        help="what runs the model: lite (Ascend 310 and other Ascend devices, CPU), mindspore (Ascend 910, Atlas A2, GPU,"
        " CPU), or auto: lite where it is installed",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parsed(argv)
    return program.main(lambda: infer(args), debug=False)


def infer(args: argparse.Namespace) -> None:
    mindspore_build.check()
    model = checked(args.mindir_path)
    pairs = seg_lists.pairs(args.dataset_path, False, args.image_list)
    ranks, device = Ranks(device=args.device_id), device_adapter.choose_device(args.device_type)
    device_adapter.prepare_environment(ranks, target=device)
    from mindlift.inference import lite
    from mindlift.tasks.segmentation import (
        results as segment_results,  # bring numpy, which counts its threads when it is imported
    )

    runtime = chosen(args.runtime, device, lite.is_installed())
    if runtime == "mindspore" and devices.of(device).includes_310:
        print(localized(f"running with MindSpore; {ON_310}"), file=sys.stderr)
    network = STARTS[runtime](model, device, ranks)
    folder = segment_results.Folder.create(RESULTS, model, [pair.image for pair in pairs])
    segment_results.emptied(TIMES)
    images, side = segment_results.Images(args.dataset_path, pairs), model.shape[2]
    segment_results.output_of(network, images[0], side)  # compiles, which is not to be timed
    spent = 0.0
    for index, name in enumerate(images.names):
        print(f"Start predict input files:{single_line(name)}", flush=True)
        found, seconds = segment_results.output_of(network, images[index], side)
        folder.write(index, found)
        spent += seconds
    line = f"NN inference cost average time: {1000 * spent / len(pairs):.3f} ms of infer_count {len(pairs)}"
    write_atomic(TIMES / "test_perform_static.txt", line + "\n")
    print(line)


def chosen(runtime: str, device: str, has_lite: bool) -> str:
    """lite or mindspore; DeviceError or ConfigError for a wish that can't be met."""
    is_for_lite = bool(devices.of(device).lite_target)
    if runtime == "auto":
        return "lite" if has_lite and is_for_lite else "mindspore"
    if runtime == "lite" and not is_for_lite:
        known = " and ".join(target for target in devices.TARGETS if devices.of(target).lite_target)
        raise ConfigError(
            f"--runtime lite --device_type {device}: Lite is for {known} here; use --runtime mindspore"
        )
    if runtime == "lite" and not has_lite:
        from mindlift.inference import lite

        raise DeviceError(
            f"--runtime lite: {lite.PACKAGE} is not installed; {lite.INSTALL}, or use --runtime mindspore"
        )
    return runtime


def start_lite(model: provenance.Model, device: str, ranks: Ranks) -> Callable[[np.ndarray], np.ndarray]:
    from mindlift.inference import lite

    network = lite.LiteModel(model, device, ranks.device, device_adapter.cpus_per_rank(ranks))
    print(f"{network.name} on {network.place}")
    return network


def start_mindspore(model: provenance.Model, device: str, ranks: Ranks) -> Callable[[np.ndarray], np.ndarray]:
    try:
        device_adapter.connect(ranks, device)
    except DeviceError as err:
        raise DeviceError(f"{err}; {ON_310}" if devices.of(device).includes_310 else str(err)) from err
    import mindspore as ms

    from mindlift.inference import export as exporter

    network = exporter.Exported(model)
    print(f"mindspore {ms.__version__} on {device}")
    return lambda pixels: network(ms.Tensor(pixels)).asnumpy()


STARTS = {"lite": start_lite, "mindspore": start_mindspore}


def checked(path: Path) -> provenance.Model:
    """CheckpointError for a model that is not one of segmentation with a batch of 1."""
    model = provenance.read_model(path)
    provenance.check_content(model)
    if len(model.facts["output"]["shape"]) != 4:
        raise CheckpointError(f"{path} is not a model that segments; {model.side_file} says what it is")
    if model.shape[0] != 1:
        raise CheckpointError(f"{path} takes {model.shape[0]} images at once; export it with --batch_size 1")
    return model
