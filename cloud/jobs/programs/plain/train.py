"""A training script that knows of no platform: it reads --data_dir, writes to --out, and continues what is there."""

import argparse
import os
import time

import mindspore as ms
import numpy as np
from mindspore import nn
from PIL import Image


def read(folder):
    """Images as rows of numbers between 0 and 1, and the numbers of their classes."""
    names = sorted(os.listdir(folder))
    files = [
        (os.path.join(folder, name, file), n)
        for n, name in enumerate(names)
        for file in sorted(os.listdir(os.path.join(folder, name)))
    ]
    images = np.stack([np.asarray(Image.open(path), np.float32).ravel() / 255 for path, _ in files])
    return images, np.array([n for _, n in files], np.int32)


def newest(folder):
    """The epoch of the newest checkpoint, 0 for none."""
    names = [name for name in os.listdir(folder) if name.startswith("epoch-") and name.endswith(".ckpt")]
    return max((int(name[6:-5]) for name in names), default=0)


def save(net, path):
    """Renamed when it is complete, so that nobody takes half a file."""
    ms.save_checkpoint(net, path + ".writing.ckpt")
    os.replace(path + ".writing.ckpt", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds of nothing in each epoch")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    images, labels = read(os.path.join(args.data_dir, "train"))
    ms.set_seed(1)
    net = nn.Dense(images.shape[1], int(labels.max()) + 1)
    done = newest(args.out)
    if done:
        ms.load_param_into_net(net, ms.load_checkpoint(os.path.join(args.out, f"epoch-{done}.ckpt")))
        print("continuing after epoch", done, flush=True)
    loss_of = nn.CrossEntropyLoss()
    optimizer = nn.SGD(net.trainable_params(), args.lr)
    step = ms.value_and_grad(lambda x, y: loss_of(net(x), y), None, optimizer.parameters)
    for epoch in range(done + 1, args.epochs + 1):
        loss, gradients = step(ms.Tensor(images), ms.Tensor(labels))
        optimizer(gradients)
        time.sleep(args.pause)
        save(net, os.path.join(args.out, f"epoch-{epoch}.ckpt"))
        print(f"epoch {epoch} loss {float(loss.asnumpy()):.4f}", flush=True)


if __name__ == "__main__":
    main()
