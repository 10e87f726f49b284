"""Writes losses.json, what the tests of losses compare with: values and gradients by the libraries that are named there.

python -m tests.golden.losses.make

losses.json says with which versions it was made. The tests need none of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.data.dataset import AugMixDataset
from timm.data.loader import fast_collate
from timm.loss import (
    AsymmetricLossMultiLabel,
    AsymmetricLossSingleLabel,
    BinaryCrossEntropy,
    JsdCrossEntropy,
)
from torchvision.ops import sigmoid_focal_loss

FILE = Path(__file__).with_name("losses.json")
IMAGES, CLASSES = 6, 5
WEIGHTS = [0.5, 2.0, 1.0, 0.25, 3.0]
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (IMAGES, CLASSES)).astype(np.float32)
LOGITS[0], LOGITS[1, :2] = 0.0, (40.0, -40.0)  # a head that starts with zeros, and answers that are sure
LABELS = RNG.integers(0, CLASSES, IMAGES)
MANY = RNG.integers(0, 2, (IMAGES, CLASSES))
PARTNER = np.roll(np.arange(IMAGES), -1)
SHARE = RNG.uniform(0.2, 1, IMAGES).astype(np.float32)
Loss = Callable[[torch.Tensor], torch.Tensor]


def one_hot() -> torch.Tensor:
    return F.one_hot(torch.tensor(LABELS), CLASSES).float()


def mixed(targets: torch.Tensor) -> torch.Tensor:
    share = torch.tensor(SHARE)[:, None]
    return share * targets + (1 - share) * targets[torch.tensor(PARTNER)]


def bce(targets: torch.Tensor, **options: object) -> Loss:
    loss = BinaryCrossEntropy(**{"smoothing": 0.0, **options})
    return lambda logits: loss(logits, targets)


def focal(targets: torch.Tensor, gamma: float, alpha: float) -> Loss:
    return lambda logits: sigmoid_focal_loss(logits, targets, alpha, gamma).sum(1).mean()


def asl(**options: float) -> Loss:
    loss = AsymmetricLossMultiLabel(**options)
    return lambda logits: loss(logits, torch.tensor(MANY).float())


def jsd(views: int, **options: float) -> Loss:
    loss = JsdCrossEntropy(views, **options)
    return lambda logits: loss(logits, torch.tensor(LABELS))


def views_of_a_batch(images: int, views: int) -> dict[str, list[int]]:
    """Of the rows of a batch, as timm's loader has it: the image and the view that they show, 0 being the clean one."""

    class Numbered(torch.utils.data.Dataset):
        """An image is its number, and each call of the augmentation adds 10 to a copy."""

        transform = None

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            return np.full((3, 1, 1), index, np.uint8), 100 + index

        def __len__(self) -> int:
            return images

    calls = iter(range(1, 1000))
    dataset = AugMixDataset(Numbered(), views)
    dataset.augmentation = lambda image: image + np.uint8(10 * (1 + (next(calls) - 1) % (views - 1)))
    rows, labels = fast_collate([dataset[index] for index in range(images)])
    values = rows[:, 0, 0, 0]
    return {
        "image": (values % 10).tolist(),
        "view": (values // 10).tolist(),
        "label": (labels - 100).tolist(),
    }


def cases() -> dict[str, tuple[dict[str, str], bool, bool, Loss]]:
    """name: (options here, whether images have several labels, whether they are mixed, the loss there)."""
    labels, many, weights = torch.tensor(LABELS), torch.tensor(MANY).float(), torch.tensor(WEIGHTS)
    listed = ",".join(map(str, WEIGHTS))
    single = AsymmetricLossSingleLabel
    return {
        "torch cross_entropy, weight": (
            {"loss": "cross_entropy", "class_weights": listed},
            False,
            False,
            lambda x: F.cross_entropy(x, labels, weights, reduction="none").mean(),
        ),
        "torch cross_entropy, mixed": (
            {"loss": "cross_entropy", "class_weights": ",".join(["1"] * CLASSES), "label_smoothing": "0.1"},
            False,
            True,
            lambda x: F.cross_entropy(x, mixed(one_hot()), label_smoothing=0.1),
        ),
        "timm bce": ({"loss": "bce"}, False, False, bce(labels)),
        "timm bce, smoothing": (
            {"loss": "bce", "label_smoothing": "0.1"},
            False,
            False,
            bce(labels, smoothing=0.1),
        ),
        "timm bce, sum": ({"loss": "bce", "bce_sum": "true"}, False, False, bce(labels, sum_classes=True)),
        "timm bce, mixed": ({"loss": "bce"}, False, True, bce(mixed(one_hot()))),
        "timm bce, mixed, threshold": (
            {"loss": "bce", "bce_target_threshold": "0.3"},
            False,
            True,
            bce(mixed(one_hot()), target_threshold=0.3),
        ),
        "timm bce, pos_weight": (
            {"loss": "bce", "bce_pos_weight": "2.5", "label_smoothing": "0.1"},
            False,
            False,
            bce(labels, smoothing=0.1, pos_weight=2.5),
        ),
        "timm jsd of 3 views": ({"loss": "jsd", "aug_splits": "3"}, False, False, jsd(3, smoothing=0)),
        "timm jsd of 2 views, smoothing": (
            {"loss": "jsd", "aug_splits": "2", "jsd_alpha": "5", "label_smoothing": "0.1"},
            False,
            False,
            jsd(2, alpha=5, smoothing=0.1),
        ),
        "torchvision focal": ({"loss": "focal"}, False, False, focal(one_hot(), 2, 0.25)),
        "torchvision focal, mixed": (
            {"loss": "focal", "focal_gamma": "1.5", "focal_alpha": "-1"},
            False,
            True,
            focal(mixed(one_hot()), 1.5, -1),
        ),
        "torchvision focal, gamma 0": (
            {"loss": "focal", "focal_gamma": "0"},
            False,
            False,
            focal(one_hot(), 0, 0.25),
        ),
        "timm asl of one label": (
            {"loss": "asl"},
            False,
            False,
            lambda x: single(gamma_pos=0, gamma_neg=4, eps=0.0)(x, labels),
        ),
        "timm asl of one label, smoothing": (
            {"loss": "asl", "asl_gamma_neg": "2", "asl_gamma_pos": "1", "label_smoothing": "0.1"},
            False,
            False,
            lambda x: single(gamma_pos=1, gamma_neg=2, eps=0.1)(x, labels),
        ),
        "torch bce of many": (
            {"bce_sum": "false"},
            True,
            False,
            lambda x: F.binary_cross_entropy_with_logits(x, many),
        ),
        "torch bce of many, weight": (
            {"class_weights": listed, "bce_sum": "false"},
            True,
            False,
            lambda x: F.binary_cross_entropy_with_logits(x, many, weights),
        ),
        "torch bce of many, pos_weight": (
            {"bce_pos_weight": listed, "bce_sum": "false"},
            True,
            False,
            lambda x: F.binary_cross_entropy_with_logits(x, many, pos_weight=weights),
        ),
        "torch bce of many, mixed, pos_weight": (
            {"bce_pos_weight": listed, "bce_sum": "false"},
            True,
            True,
            lambda x: F.binary_cross_entropy_with_logits(x, mixed(many), pos_weight=weights),
        ),
        "timm bce of many, smooth_dense": (
            {"label_smoothing": "0.2", "bce_sum": "false"},
            True,
            False,
            bce(many, smoothing=0.2, smooth_dense=True),
        ),
        "timm bce of many, sum, mixed": ({}, True, True, bce(mixed(many), sum_classes=True)),
        "torchvision focal of many": ({"loss": "focal"}, True, False, focal(many, 2, 0.25)),
        "timm asl of many": ({"loss": "asl"}, True, False, asl(gamma_neg=4, gamma_pos=1, clip=0.05)),
        "timm asl of many, other numbers": (
            {"loss": "asl", "asl_gamma_neg": "2", "asl_gamma_pos": "0", "asl_clip": "0.2"},
            True,
            False,
            asl(gamma_neg=2, gamma_pos=0, clip=0.2),
        ),
    }


def main() -> None:
    found: dict[str, object] = {}
    for name, (options, is_many, is_mixed, loss) in cases().items():
        logits = torch.tensor(LOGITS, requires_grad=True)
        value = loss(logits)
        value.backward()
        assert logits.grad is not None
        found[name] = {
            "options": options,
            "many": is_many,
            "mixed": is_mixed,
            "value": value.item(),
            "gradient": logits.grad.tolist(),
        }
    inputs = {
        "logits": LOGITS.tolist(),
        "labels": LABELS.tolist(),
        "many": MANY.tolist(),
        "partner": PARTNER.tolist(),
        "share": SHARE.tolist(),
    }
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    content = {
        "versions": versions,
        "inputs": inputs,
        "cases": found,
        "views": {"images": 4, "views": 3, **views_of_a_batch(4, 3)},
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
