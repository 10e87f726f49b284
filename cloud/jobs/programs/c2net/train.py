"""A script for OpenI's 智算网络: the c2net library says where data is and where results go."""

import argparse
import os
import time

import mindspore as ms
import numpy as np
from c2net.context import prepare, upload_output
from mindspore import nn
from PIL import Image


def read(folder):
    names = sorted(os.listdir(folder))
    files = [
        (os.path.join(folder, name, file), n)
        for n, name in enumerate(names)
        for file in sorted(os.listdir(os.path.join(folder, name)))
    ]
    images = np.stack([np.asarray(Image.open(path), np.float32).ravel() / 255 for path, _ in files])
    return images, np.array([n for _, n in files], np.int32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds of nothing in each epoch")
    args, _ = parser.parse_known_args()
    context = prepare()
    dataset = os.path.join(context.dataset_path, os.environ.get("DATASET_NAME", "images"))
    print("data in", dataset, "results to", context.output_path, flush=True)
    images, labels = read(os.path.join(dataset, "train"))
    ms.set_seed(1)
    net = nn.Dense(images.shape[1], int(labels.max()) + 1)
    step = nn.TrainOneStepCell(
        nn.WithLossCell(net, nn.CrossEntropyLoss()), nn.SGD(net.trainable_params(), 0.005)
    )
    for epoch in range(1, args.epochs + 1):
        loss = step(ms.Tensor(images), ms.Tensor(labels))
        time.sleep(args.pause)
        ms.save_checkpoint(net, os.path.join(context.output_path, f"epoch-{epoch}.ckpt"))
        print(f"epoch {epoch}, loss {float(loss.asnumpy()):.4f}", flush=True)
    upload_output()


if __name__ == "__main__":
    main()
