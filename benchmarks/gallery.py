"""Short trainings of well-known networks of mindcv on scikit-learn's digits, by train.py: docs/networks_mindcv.md.

python benchmarks/gallery.py --work DIR [NETWORK ...]     trains, and prints a line of JSON for each

The digits are PNG files of 8 x 8 pixels in class folders, made in DIR: of each class every fifth one to evaluate on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from mindlift.checkout import ROOT

DATA = "--dataset imagenet --num_classes 10 --normalize half --augment none --hflip 0 --color_jitter 0 --crop_pct 1"
RUN = "--image_size 32 --per_batch_size 32 --run_eval true --save_checkpoint_epochs 100 --seed 1"
SGD = "--lr_scheduler cosine_annealing --warmup_epochs 1 --lr 0.05 --weight_decay 1e-4"
ADAMW = "--optimizer adamw --lr_scheduler cosine_annealing --warmup_epochs 2 --lr 5e-4 --weight_decay 0.05"
VIT = "--net mindcv.models.vit:VisionTransformer --net_args embed_dim=192,depth=12,num_heads=3,patch_size=8"
SWIN = (
    "--net mindcv.models.swintransformer:SwinTransformer"
    " --net_args embed_dim=96,depths=[2,2,6,2],num_heads=[3,6,12,24],window_size=4"
)
NETWORKS = {
    "ResNet-18": f"--net mindcv:resnet18 {SGD} --max_epoch 8",
    "ResNet-34": f"--net mindcv:resnet34 {SGD} --max_epoch 8",
    "MobileNetV3-Small": f"--net mindcv:mobilenet_v3_small_100 {SGD} --max_epoch 15",
    "EfficientNet-B0": f"--net mindcv:efficientnet_b0 {SGD} --max_epoch 10",
    "ConvNeXt-Tiny": f"--net mindcv:convnext_tiny {ADAMW} --max_epoch 10",
    "ViT-Tiny": f"{VIT} {ADAMW} --max_epoch 15",
    "Swin-Tiny": f"{SWIN} {ADAMW} --max_epoch 10",
}


def write_digits(folder: Path) -> Path:
    """train/ and val/ of class folders of PNG files; left as it is if it is there."""
    from PIL import Image
    from sklearn.datasets import load_digits

    if folder.exists():
        return folder
    found = load_digits()
    part = folder.with_name(f"{folder.name}.part")
    counts = [0] * 10
    for number, (image, label) in enumerate(zip(found.images, found.target)):
        counts[label] += 1
        place = part / ("val" if counts[label] % 5 == 0 else "train") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype("uint8")).convert("RGB").save(
            place / f"{number:04}.png"
        )
    part.rename(folder)
    return folder


def trained(name: str, data: Path, work: Path) -> dict:
    words = f"train.py {NETWORKS[name]} {DATA} {RUN}".split()
    place = work / name
    begin = time.monotonic()
    more = ["--data_dir", str(data), "--ckpt_path", str(place)]
    with open(work / f"{name}.log", "w") as log:
        subprocess.run([sys.executable, *words, *more], cwd=ROOT, stdout=log, stderr=log, check=True)
    seconds = round(time.monotonic() - begin)
    result = json.loads(sorted(place.glob("*/result.json"))[-1].read_text())
    return {
        "network": name,
        "top1": result["top1"],
        "of": result["total"],
        "seconds": seconds,
        "command": " ".join(["python", *words, "--data_dir", "DIGITS"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    unknown = [name for name in args.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(NETWORKS)}")
    args.work.mkdir(parents=True, exist_ok=True)
    data = write_digits(args.work.resolve() / "digits")
    for name in args.networks or NETWORKS:
        print(json.dumps(trained(name, data, args.work.resolve())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
