"""Times the steps of one library: a child of bench_train.py.

`bench_worker.py LIBRARY NET train|eval BATCH SIZE THREADS [FORM]` runs the first step, prints a JSON line about
itself, and then, for each line with a number of seconds on stdin, a JSON line with images per second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mindlift.checkout import ROOT

sys.path.insert(0, str(Path(__file__).parents[1]))
CLASSES = {
    "densenet100": 10,
    "densenet121": 1000,
    "resnet50": 1000,
    "inception_v4": 1000,
    "bit_r50x1": 1000,
    "deeplab_v3_s16": 21,
    "deeplab_v3_s8": 21,
}
STRIDES = {"deeplab_v3_s16": 16, "deeplab_v3_s8": 8}  # of the networks that segment
THEIR_NAMES = {"mindcv": {"bit_r50x1": "BiT_resnet50"}, "timm": {"bit_r50x1": "resnetv2_50x1_bit"}}
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4
FORM = {"pytorch": "plain"}  # or channels_last, or compiled (torch.compile, which needs a C++ compiler)


def batch_of(net: str, batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (batch, 3, size, size) float32 and labels, (batch,) or (batch, size, size) int32, of fixed random values."""
    rng = np.random.default_rng(0)
    labelled = (batch, size, size) if net in STRIDES else (batch,)
    return (
        rng.standard_normal((batch, 3, size, size), np.float32),
        rng.integers(0, CLASSES[net], labelled).astype(np.int32),
    )


def mindlift(net: str, work: str, batch: int, size: int, threads: int):
    from mindlift.model_utils import device_adapter

    ranks = device_adapter.read_ranks({})
    device_adapter.prepare_environment(ranks, threads=threads)
    device_adapter.connect(ranks, "CPU", threads)
    import mindspore as ms

    from mindlift import models
    from mindlift.model_utils import cpu_kernels, mindspore_build
    from mindlift.model_utils.compiler import NotCompiled
    from mindlift.model_utils.config import config
    from mindlift.model_utils.staging.cache_place import cache_folder
    from mindlift.models import layers
    from mindlift.models.cpu import cells as kernels
    from mindlift.tasks.classification.objective import Places, SmoothedCrossEntropy
    from mindlift.tasks.objective import Objective
    from mindlift.tasks.segmentation.objective import PixelCrossEntropy, Probabilities
    from mindlift.training import step
    from mindlift.training.optimizers.formula import Plan
    from mindlift.training.optimizers.momentum import sgd_momentum
    from mindlift.training.optimizers.one_pass import OnePassMomentum

    try:
        folder = cache_folder("") / "kernels"
        fused = str(cpu_kernels.library(folder, mindspore_build.numbers(ms.__version__)))
    except NotCompiled as err:
        fused = ""
        print(f"without this project's kernels: {err}", file=sys.stderr)
    defaults = {
        option.name: option.default for option in config.read_schema(ROOT / config.DEFAULTS).options.values()
    }
    network = models.build(net, CLASSES[net], defaults, on_cpu=True)
    if work == "train" and fused:
        kernels.apply(network, fused)
    images, labels = (ms.Tensor(array) for array in batch_of(net, batch, size))
    if work == "eval":
        source, network = network, models.build(net, CLASSES[net], defaults, on_cpu=True)
        layers.fold(network)
        if fused:
            kernels.apply(network, fused)
        layers.refill(network, source)
        cell = Probabilities(network, flip=False) if net in STRIDES else Places(network, CLASSES[net])
        cell.set_train(False)
        if net in STRIDES:
            return lambda: cell(images).asnumpy().argmax(1), f"MindSpore {ms.__version__}"
        return lambda: cell(images, labels)[0].asnumpy(), f"MindSpore {ms.__version__}"
    plan = Plan(network.trainable_params(), np.full(10**6, RATE, np.float32), DECAY)
    optimizer = OnePassMomentum(plan, MOMENTUM, False, fused) if fused else sgd_momentum(plan, MOMENTUM)
    loss = PixelCrossEntropy(CLASSES[net], 255) if net in STRIDES else SmoothedCrossEntropy(CLASSES[net])
    one = step.TrainStep(Objective(network, loss), optimizer, step.StepOptions())
    return lambda: one([(images, labels)]), f"MindSpore {ms.__version__}"


def mindcv(net: str, work: str, batch: int, size: int, threads: int):
    """As mindcv's train.py does it: Momentum, fixed loss scale, graph mode, mindspore.amp's train cell."""
    import mindspore as ms
    import mindspore.nn as nn
    from mindcv import __version__, create_model
    from mindcv.models.densenet import DenseNet

    version = f"{__version__}, MindSpore {ms.__version__}"
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU", runtime_num_threads=threads)
    if net != "densenet100":
        network = create_model(THEIR_NAMES["mindcv"].get(net, net), num_classes=CLASSES[net])
    else:
        network = DenseNet(12, (16, 16, 16), 24, num_classes=10)
        network.features.conv0 = nn.Conv2d(3, 24, 3, pad_mode="pad", padding=1)
        rest = [network.features.conv0, *list(network.features)[4:]]  # the CIFAR stem: one 3x3 convolution
        network.features = nn.SequentialCell(rest)
    images, labels = (ms.Tensor(array) for array in batch_of(net, batch, size))
    if work == "eval":
        network.set_train(False)
        return lambda: network(images).asnumpy().argmax(1), version
    optimizer = nn.Momentum(network.trainable_params(), RATE, MOMENTUM, DECAY)
    loss = nn.CrossEntropyLoss()
    cell = ms.amp.build_train_network(
        network, optimizer, loss, level="O0", loss_scale_manager=ms.amp.FixedLossScaleManager(1024, False)
    )
    cell.set_train()
    return lambda: cell(images, labels), version


def timm(net: str, work: str, batch: int, size: int, threads: int):
    import timm
    import torch

    torch.set_num_threads(threads)
    version = f"{timm.__version__}, PyTorch {torch.__version__.partition('+')[0]}"
    if net != "densenet100":
        network = timm.create_model(THEIR_NAMES["timm"].get(net, net), num_classes=CLASSES[net])
    else:
        network = timm.models.densenet.DenseNet(12, (16, 16, 16), num_classes=10, memory_efficient=False)
        network.features.conv0 = torch.nn.Conv2d(3, 24, 3, padding=1, bias=False)
        network.features.norm0 = network.features.pool0 = torch.nn.Identity()
    return of_pytorch(network, work, batch_of(net, batch, size), lambda logits: logits.argmax(1)), version


def of_pytorch(network, work: str, batch, answer: Callable, ignored: int = -100) -> Callable:
    """The step of a network of PyTorch; `answer` is what an evaluation makes of its output."""
    import torch

    images, labels = (torch.from_numpy(array) for array in batch)
    labels, parameters = labels.long(), list(network.parameters())
    if FORM["pytorch"] == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if work == "eval":
        network.eval()
    if FORM["pytorch"] == "compiled":
        network = torch.compile(network)
    if work == "eval":

        def forward():
            with torch.inference_mode():
                return answer(network(images))

        return forward
    optimizer = torch.optim.SGD(parameters, RATE, MOMENTUM, weight_decay=DECAY)
    loss = torch.nn.CrossEntropyLoss(ignore_index=ignored)

    def step():
        optimizer.zero_grad()
        value = loss(network(images), labels)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def torchvision(net: str, work: str, batch: int, size: int, threads: int):
    """deeplabv3_resnet101 with the output stride of `net`, without its auxiliary head."""
    import torch
    from torchvision import __version__
    from torchvision.models import resnet101
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.segmentation import deeplabv3

    torch.set_num_threads(threads)
    version = f"{__version__.partition('+')[0]}, PyTorch {torch.__version__.partition('+')[0]}"
    dilated = [False, STRIDES[net] == 8, True]
    backbone = IntermediateLayerGetter(resnet101(replace_stride_with_dilation=dilated), {"layer4": "out"})
    head = deeplabv3.DeepLabHead(2048, CLASSES[net], atrous_rates=(6, 12, 18))
    network = deeplabv3.DeepLabV3(backbone, head)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return self.network(images)["out"]

    batch = batch_of(net, batch, size)
    return of_pytorch(Logits(), work, batch, lambda logits: logits.softmax(1).argmax(1), ignored=255), version


LIBRARIES = {"mindlift": mindlift, "mindcv": mindcv, "timm": timm, "torchvision": torchvision}


def main(library: str, net: str, work: str, batch: int, size: int, threads: int, form: str = "plain") -> None:
    FORM["pytorch"] = form
    answers, sys.stdout = sys.stdout, sys.stderr  # a library's chatter must not mix with the answers
    os.environ["OMP_NUM_THREADS"] = str(threads)
    step, version = LIBRARIES[library](net, work, batch, size, threads)
    step()
    print(json.dumps({"version": version}), file=answers, flush=True)
    for line in sys.stdin:
        least, done, started = float(line), 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < least:
            step()
            done += 1
        print(json.dumps({"images_per_second": done * batch / elapsed}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:7]), *sys.argv[7:])
