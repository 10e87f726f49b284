"""Run an exported model on the images of a list, one after another, as the model zoo's program for Ascend 310 does:

    python -m src.tools.infer_mindir --mindir_path NAME.mindir --dataset_path DIR --image_list LIST

leaves, in the working directory, result_Files/<image>_0.bin (the model's output, float32) and
time_Result/test_perform_static.txt. postprocess.py evaluates them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file: find `src`
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from src.data import seg_lists
from src.model_utils import device_adapter, job, provenance
from src.model_utils.errors import CheckpointError
from src.model_utils.ranks import Ranks
from src.model_utils.run_paths import write_atomic

RESULTS, TIMES = Path("result_Files"), Path("time_Result")


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mindir_path", type=Path, required=True, help="a model of export.py, batch 1")
    parser.add_argument(
        "--dataset_path", type=Path, required=True, help="folder that the list's paths are below"
    )
    parser.add_argument("--image_list", required=True, help="list with lines `image label`")
    parser.add_argument("--device_type", default="auto", choices=["auto", "Ascend", "GPU", "CPU"])
    parser.add_argument("--device_id", type=int, default=0, help="number of the card")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parsed(argv)
    return job.main(lambda: infer(args), debug=False)


def infer(args: argparse.Namespace) -> None:
    model = checked(args.mindir_path)
    pairs = seg_lists.pairs(args.dataset_path, False, args.image_list)
    ranks, device = Ranks(device=args.device_id), device_adapter.choose_device(args.device_type)
    device_adapter.prepare_environment(ranks, target=device)
    device_adapter.connect(ranks, device)
    from src import exporter, segment_results

    folder = segment_results.Folder.create(RESULTS, model, [pair.image for pair in pairs])
    segment_results.emptied(TIMES)
    images, side = segment_results.Images(args.dataset_path, pairs), model.shape[2]
    network = exporter.Exported(model)
    segment_results.output_of(network, images[0], side)  # compiles, which is not to be timed
    spent = 0.0
    for index, name in enumerate(images.names):
        print(f"Start predict input files:{name}", flush=True)
        found, seconds = segment_results.output_of(network, images[index], side)
        folder.write(index, found)
        spent += seconds
    line = f"NN inference cost average time: {1000 * spent / len(pairs):.3f} ms of infer_count {len(pairs)}"
    write_atomic(TIMES / "test_perform_static.txt", line + "\n")
    print(line)


def checked(path: Path) -> provenance.Model:
    """CheckpointError for a model that is not one of segmentation with a batch of 1."""
    model = provenance.read_model(path)
    provenance.check_content(model)
    if len(model.facts["output"]["shape"]) != 4:
        raise CheckpointError(f"{path} is not a model that segments; {model.side_file} says what it is")
    if model.shape[0] != 1:
        raise CheckpointError(f"{path} takes {model.shape[0]} images at once; export it with --batch_size 1")
    return model


if __name__ == "__main__":
    sys.exit(main())
