"""A PyTorch program for torchrun: data parallel on CPUs (gloo) or GPUs (nccl), continuing from its last checkpoint."""

import argparse
import os
import time

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import nn


def read(folder):
    names = sorted(os.listdir(folder))
    files = [
        (os.path.join(folder, name, file), n)
        for n, name in enumerate(names)
        for file in sorted(os.listdir(os.path.join(folder, name)))
    ]
    images = np.stack([np.asarray(Image.open(path), np.float32).ravel() / 255 for path, _ in files])
    return torch.from_numpy(images), torch.tensor([n for _, n in files])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds of nothing in each epoch")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    device = (
        torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )

    images, labels = read(os.path.join(args.data_dir, "train"))
    images, labels = images[rank::size].to(device), labels[rank::size].to(device)
    torch.manual_seed(1)
    net = nn.parallel.DistributedDataParallel(nn.Linear(images.shape[1], int(labels.max()) + 1).to(device))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005)
    last, done = os.path.join(args.out, "last.pt"), 0
    if os.path.exists(last):
        state = torch.load(last, map_location=device)
        net.module.load_state_dict(state["net"])
        done = state["epoch"]
        print(f"rank {rank} continues after epoch {done}", flush=True)
    for epoch in range(done + 1, args.epochs + 1):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(args.pause)
        if rank == 0:
            torch.save({"net": net.module.state_dict(), "epoch": epoch}, last + ".writing")
            os.replace(last + ".writing", last)
        print(f"rank {rank} of {size}, epoch {epoch}, loss {loss.item():.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
