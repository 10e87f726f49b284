"""Writes what the tests of weights compare with, by the libraries that the weights are from.

python -m tests.golden.weights.make [NET ...]        (of these nets; the others stay as they are)

Made with torch 2.13.0, torchvision 0.28.0, timm 1.0.31, mindcv 0.3.0 on mindspore 2.8.0, safetensors 0.8.0. The tests
need none of them but mindspore. mindcv's DeepLabV3 is in its repository but not in its package: MINDCV_DEEPLABV3 names
a copy of its folder examples/seg/deeplabv3.
- types_*.pth, wrapped_*.pth, whole_network.pth, types.safetensors: small files as these libraries write them;
- layouts.json.gz: names and shapes of each library's networks with 10 classes;
- logits.json: what they compute with seeded weights (seeded.py) from two seeded images.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import sys
from collections import OrderedDict
from types import SimpleNamespace

import mindcv
import mindspore as ms
import numpy as np
import timm
import torch
import torchvision
import torchvision.models.segmentation
from safetensors.torch import save_file

from tests.golden.weights import seeded

CLASSES = 10
SIDES = {
    "densenet121": 64,
    "resnet50": 64,
    "inception_v4": 96,
    "bit_r50x1": 64,
    "deeplab_v3_tv": (65, 97),
    "deeplab_v3_r50_tv": (65, 97),
    "deeplab_v3_r50_s16": 65,
    "deeplab_v3_r50_s8": 65,
}
SEGMENTATION = {"deeplab_v3_tv": "deeplabv3_resnet101", "deeplab_v3_r50_tv": "deeplabv3_resnet50"}
THEIR_NAMES = {"timm": {"bit_r50x1": "resnetv2_50x1_bit"}, "mindcv": {"bit_r50x1": "BiT_resnet50"}}
DEEPLABS = ("deeplab_v3_r50_s16", "deeplab_v3_r50_s8")
SOURCES = {
    net: ("timm", "mindcv")
    if net in ("inception_v4", "bit_r50x1")
    else ("torchvision",)
    if net in SEGMENTATION
    else ("mindcv",)
    if net in DEEPLABS
    else ("torchvision", "timm", "mindcv")
    for net in SIDES
}


def tensors() -> OrderedDict:
    """Every type, and tensors that share a storage, lie inside one or are not in its order."""
    base = torch.arange(24, dtype=torch.float32)
    found = OrderedDict(
        plain=base.reshape(2, 3, 4) / 8,
        transposed=base.reshape(4, 6).t(),
        inside=base[5:17].reshape(3, 4),
        every_second=base[1::2],
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
    )
    for dtype in (
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
    ):
        found[str(dtype).partition(".")[2]] = (
            (torch.arange(6) - 0 if dtype == torch.uint8 else torch.arange(6) - 3).to(dtype).reshape(2, 3)
        )
    found["bool"] = torch.tensor([True, False, True])
    found["parameter"] = torch.nn.Parameter(base[:4].clone())
    return found


def write_samples() -> None:
    found = tensors()
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    with torch.no_grad():
        for i, tensor in enumerate(network.state_dict().values()):
            tensor.copy_(torch.full(tensor.shape, i))
    wrapped = {
        "epoch": 3,
        "arch": "tiny",
        "best_acc1": torch.tensor(76.0),
        "state_dict": network.state_dict(),
        "lr": 0.1,
    }
    for form, is_zip in (("zip", True), ("legacy", False)):
        torch.save(found, seeded.HERE / f"types_{form}.pth", _use_new_zipfile_serialization=is_zip)
        torch.save(wrapped, seeded.HERE / f"wrapped_{form}.pth", _use_new_zipfile_serialization=is_zip)
    torch.save(network, seeded.HERE / "whole_network.pth")
    save_file(
        {name: tensor.detach().contiguous().clone() for name, tensor in found.items()},
        seeded.HERE / "types.safetensors",
    )


def torchvision_net(net: str) -> torch.nn.Module:
    if net not in SEGMENTATION:
        return getattr(torchvision.models, net)(num_classes=CLASSES)
    make = getattr(torchvision.models.segmentation, SEGMENTATION[net])
    return make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=net == "deeplab_v3_r50_tv")


def mindcv_net(net: str) -> ms.nn.Cell:
    if net not in DEEPLABS:
        return mindcv.create_model(THEIR_NAMES["mindcv"].get(net, net), num_classes=CLASSES)
    sys.path.insert(0, os.environ["MINDCV_DEEPLABV3"])
    importlib.import_module("dilated_resnet")
    backbone = mindcv.create_model(
        "dilated_resnet50", features_only=True, out_indices=[4], output_stride=int(net.rpartition("_s")[2])
    )
    make = importlib.import_module("deeplabv3").DeepLabV3
    return make(backbone, SimpleNamespace(num_classes=CLASSES), is_training=False)


def of_torch(network: torch.nn.Module, side: int | tuple[int, int]) -> tuple[dict, np.ndarray]:
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(value) for name, value in seeded.weights(shapes).items()})
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(seeded.images(side)))
        return shapes, (found["out"] if isinstance(found, dict) else found).numpy()


def of_mindcv(network: ms.nn.Cell, images: np.ndarray) -> tuple[dict, np.ndarray]:
    shapes = {name: list(parameter.shape) for name, parameter in network.parameters_dict().items()}
    for name, value in seeded.weights(shapes).items():
        network.parameters_dict()[name].set_data(ms.Tensor(value))
    return shapes, network.set_train(False)(ms.Tensor(images)).asnumpy()


def main(nets: list[str]) -> None:
    if nets == list(SIDES):
        write_samples()
    makers = {
        "torchvision": lambda net: of_torch(torchvision_net(net), SIDES[net]),
        "timm": lambda net: of_torch(
            timm.create_model(THEIR_NAMES["timm"].get(net, net), num_classes=CLASSES), SIDES[net]
        ),
        # its DeepLabV3 sees images in the order blue, green, red
        "mindcv": lambda net: of_mindcv(
            mindcv_net(net),
            np.ascontiguousarray(seeded.images(SIDES[net])[:, :: -1 if net in DEEPLABS else 1]),
        ),
    }
    layouts, logits = seeded.layouts(), seeded.logits()
    for net in nets:
        side = SIDES[net]
        for source in SOURCES[net]:
            layouts[f"{source} {net}"], found = makers[source](net)
            logits[f"{source} {net}"] = {
                "side": side,
                "logits": np.round(seeded.kept(found).astype(np.float64), 7).tolist(),
            }
            print(source, net, np.abs(found).max())
    seeded.LAYOUTS.write_bytes(gzip.compress(json.dumps(layouts).encode(), mtime=0))
    seeded.LOGITS.write_text(json.dumps(logits, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(SIDES))
