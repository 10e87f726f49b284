"""Writes the sample files of tests/unit/test_weight_files.py with the real PyTorch and safetensors.

python tests/golden/weights/make_samples.py     (made with torch 2.13.0, safetensors 0.8.0)
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


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


def main() -> None:
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
        torch.save(found, HERE / f"types_{form}.pth", _use_new_zipfile_serialization=is_zip)
        torch.save(wrapped, HERE / f"wrapped_{form}.pth", _use_new_zipfile_serialization=is_zip)
    torch.save(network, HERE / "whole_network.pth")
    save_file(
        {name: tensor.detach().contiguous().clone() for name, tensor in found.items()},
        HERE / "types.safetensors",
    )


if __name__ == "__main__":
    main()
