"""Writes what test_external_weights.py compares with, by the libraries that the weights are from.

python -m tests.golden.external.make theirs      timm's and torchvision's layouts and logits; needs both and torch
python -m tests.golden.external.make ours        mindcv's layouts; needs mindcv

Made with torch 2.15.0, torchvision 0.29.2, timm 1.0.31; mindcv 0.3.0 on mindspore 2.8.0.
"""

from __future__ import annotations

import gzip
import json
import sys

import numpy as np

from tests.golden.external import cases
from tests.golden.weights import seeded


def main(what: str) -> None:
    layouts = cases.layouts() if cases.LAYOUTS.exists() else {}
    if what == "ours":
        layouts.update({case.mindcvs: layout_of_mindcv(case) for case in cases.CASES})
    else:
        logits = {}
        for case in cases.CASES:
            layouts[case.name], logits[case.name] = of_their_network(case)
        cases.LOGITS.write_text(json.dumps(logits, indent=0) + "\n", encoding="utf-8")
    text = json.dumps(layouts, sort_keys=True).encode()
    cases.LAYOUTS.write_bytes(gzip.compress(text, mtime=0))


def of_their_network(case: cases.Case) -> tuple[dict[str, list[int]], list[list[float]]]:
    import torch

    network = their_network(case).eval()
    state = network.state_dict()
    layout = {name: list(tensor.shape) for name, tensor in state.items()}
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(cases.tensor(case, name, tuple(tensor.shape))))
    with torch.no_grad():
        logits = network(torch.from_numpy(seeded.images(case.side))).numpy()
    assert np.isfinite(logits).all(), case.name
    return layout, [[round(float(value), 6) for value in row] for row in logits]


def their_network(case: cases.Case):
    if case.source == "timm":
        import timm

        size = {"img_size": case.side} if case.theirs.startswith(("vit", "swin")) else {}
        return timm.create_model(case.theirs, num_classes=cases.CLASSES, **size)
    import torchvision

    if case.theirs == "vit_tiny":
        return torchvision.models.VisionTransformer(
            case.side, 16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=cases.CLASSES
        )
    return torchvision.models.get_model(case.theirs, num_classes=cases.CLASSES)


def layout_of_mindcv(case: cases.Case) -> dict[str, list[int]]:
    from mindlift.models.external import family

    network = family.of(case.net).build(
        case.net,
        cases.CLASSES,
        True,
        image_size=(case.side, case.side),
        eval_image_size=None,
        dropout=None,
        drop_path=None,
        net_args=case.net_args,
    )
    return {name: list(shape) for name, shape in family.shapes_of(network).items()}


if __name__ == "__main__":
    main(sys.argv[1])
