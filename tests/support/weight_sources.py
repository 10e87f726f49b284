"""Names and shapes of weights as every known source writes them."""

from __future__ import annotations

import re

import numpy as np

from mindlift import models
from mindlift.model_utils.config import config
from mindlift.models.weights.stored import Stored
from tests.golden.weights import seeded

LAYOUTS = seeded.layouts()
MAPS = models.weight_maps()
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def zeros(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), tuple(shape)) for name, shape in shapes.items()}


def stored_of(case: str, form: str = "pytorch") -> Stored:
    return Stored(form, zeros(LAYOUTS[case]))


def zoo_densenet() -> dict[str, tuple]:
    names = {name: tuple(shape) for name, shape in LAYOUTS["mindcv densenet121"].items()}
    inside = {
        f"backbone.{name}": shape for name, shape in names.items() if not name.startswith("classifier.")
    }
    return {**inside, "head.fc.weight": (10, 1024), "head.fc.bias": (10,)}


def zoo_resnet(rows: int = 1001) -> dict[str, tuple]:
    names = {
        name.replace("down_sample", "down_sample_layer").replace("classifier", "end_point"): tuple(shape)
        for name, shape in LAYOUTS["mindcv resnet50"].items()
    }
    return {**names, "end_point.weight": (rows, 2048), "end_point.bias": (rows,)}


def zoo_inception(rows: int = 10) -> dict[str, tuple]:
    names = {
        re.sub(r"\.conv\.weight$", ".conv.conv.weight", re.sub(r"\.bn\.", ".conv.batchnorm.", name)): tuple(
            shape
        )
        for name, shape in LAYOUTS["mindcv inception_v4"].items()
        if not name.startswith("classifier.")
    }
    head = {"softmax.dense.weight": (rows, 1536), "softmax.dense.bias": (rows,)}
    return {
        **names,
        **head,
        **{f"bn0.{part}": (1536,) for part in NORM},
        **{f"softmax.batchnorm.{part}": (rows,) for part in NORM},
    }


def google_bit() -> dict[str, tuple]:
    """Google's names of R50x1, kernels as (height, width, in, out)."""
    found = {}
    for name, shape in LAYOUTS["timm bit_r50x1"].items():
        if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.*)", name):
            unit = f"resnet/block{int(match[1]) + 1}/unit{int(match[2]) + 1:02}"
            letter = "abc"[int(re.sub(r"\D", "", match[3]) or 1) - 1]
            part = {"weight": "gamma", "bias": "beta"}[match[3].rpartition(".")[2]]
            kernel = f"{'proj/' if 'downsample' in match[3] else ''}standardized_conv2d/kernel"
            name = f"{unit}/{letter}/{'group_norm/' + part if 'norm' in match[3] else kernel}"
        else:
            name = {
                "stem.conv.weight": "resnet/root_block/standardized_conv2d/kernel",
                "norm.weight": "resnet/group_norm/gamma",
                "norm.bias": "resnet/group_norm/beta",
                "head.fc.weight": "resnet/head/conv2d/kernel",
                "head.fc.bias": "resnet/head/conv2d/bias",
            }[name]
        found[name] = tuple(shape[i] for i in (2, 3, 1, 0)) if len(shape) == 4 else tuple(shape)
    return found


def port_bit() -> dict[str, tuple]:
    """The MindSpore port's names of R50x1."""
    found = {}
    for name, shape in LAYOUTS["mindcv bit_r50x1"].items():
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", name):
            rest = match[3].replace("down_sample.0", "downsample")
            name = f"body.block{match[1]}.unit{int(match[2]) + 1:02}.{rest}"
        else:
            name = (
                {"conv1": "root.conv", "gn": "head.gn", "classifier": "head.conv"}[name.partition(".")[0]]
                + "."
                + (name.partition(".")[2])
            )
        found[name] = tuple(shape)
    return found


def zoo_deeplab(prefix: str = "network.", backbone: str = "network.resnet.") -> dict[str, tuple]:
    """The zoo's names on ResNet-50; with the default names as a training writes them."""
    found = {}
    for name, shape in LAYOUTS["mindcv deeplab_v3_r50_s16"].items():
        if name.startswith("backbone.net."):
            name = backbone + name[len("backbone.net.") :].replace("down_sample", "downsample")
        else:
            name = re.sub(r"^conv\.", "aspp.conv2.", name).replace("aspp_convs.4.", "aspp_pooling.")
            name = prefix + re.sub(r"aspp_convs\.(\d)\._", lambda m: f"aspp{int(m[1]) + 1}.", name)
        found[name] = tuple(shape)
    return found


def torchvision_deeplab(with_auxiliary: bool) -> dict[str, tuple]:
    shapes = LAYOUTS["torchvision deeplab_v3_r50_tv"]
    return {
        name: tuple(shape) for name, shape in shapes.items() if with_auxiliary or not name.startswith("aux")
    }


# id: (what a file holds, source, net, what the network must have)
PAPER, ZOO_121 = (
    {"transition_pool": "avg", "stem_pool": "sym"},
    {"transition_pool": "max", "stem_pool": "same"},
)
TORCH, ZOO_50 = (
    {"conv_pad": pad, "stem_pool": pad, "bn_eps": eps} for pad, eps in (("sym", 1e-5), ("same", 1e-4))
)
BIT = {"conv_pad": "sym", "std_eps": 1e-10}
SEEN = {**TORCH, "stem_pool": "same", "aspp_rates": "6,12,18"}
SOURCES = {
    "torchvision densenet121": (stored_of("torchvision densenet121"), "torchvision or timm", PAPER),
    "mindcv densenet121": (stored_of("mindcv densenet121", "mindspore"), "mindcv", PAPER),
    "zoo densenet121": (Stored("mindspore", zeros(zoo_densenet())), "the MindSpore model zoo", ZOO_121),
    "torchvision resnet50": (stored_of("torchvision resnet50"), "torchvision or timm", TORCH),
    "mindcv resnet50": (stored_of("mindcv resnet50", "mindspore"), "mindcv", {**TORCH, "stem_pool": "same"}),
    "zoo resnet50": (Stored("mindspore", zeros(zoo_resnet(10))), "the MindSpore model zoo", ZOO_50),
    "timm inception_v4": (stored_of("timm inception_v4"), "timm", {"bn_eps": 1e-3, "normalize": "half"}),
    "mindcv inception_v4": (stored_of("mindcv inception_v4", "mindspore"), "mindcv", {"bn_eps": 1e-3}),
    "zoo inception_v4": (
        Stored("mindspore", zeros(zoo_inception())),
        "the MindSpore model zoo",
        {"bn_eps": 1e-5},
    ),
    "google bit_r50x1": (Stored("numpy", zeros(google_bit())), "Google", BIT),
    "timm bit_r50x1": (stored_of("timm bit_r50x1"), "timm", {**BIT, "std_eps": 1e-8}),
    "mindcv bit_r50x1": (stored_of("mindcv bit_r50x1", "mindspore"), "mindcv", BIT),
    "torchvision deeplab_v3_r50_tv": (
        Stored("pytorch", zeros(torchvision_deeplab(False))),
        "torchvision",
        {**TORCH, "aspp_rates": "12,24,36"},
    ),
    "mindcv deeplab_v3_r50_s16": (stored_of("mindcv deeplab_v3_r50_s16", "mindspore"), "mindcv", SEEN),
    "zoo deeplab_v3_r50_s16": (Stored("mindspore", zeros(zoo_deeplab())), "the MindSpore model zoo", SEEN),
    "zoo, renamed twice deeplab_v3_r50_s16": (
        Stored("mindspore", zeros(zoo_deeplab("network.resnet.network.", "network.resnet.network.resnet."))),
        "the MindSpore model zoo",
        SEEN,
    ),
    "port bit_r50x1": (
        Stored("mindspore", zeros(port_bit())),
        "the MindSpore port of BigTransfer",
        {**BIT, "conv_pad": "same"},
    ),
}


def configuration(net: str, **options: object) -> config.Config:
    words = {"net": net, "dataset": "imagenet", "num_classes": 10, "image_size": 96, **options}
    return config.load([str(word) for name, value in words.items() for word in (f"--{name}", value)])
