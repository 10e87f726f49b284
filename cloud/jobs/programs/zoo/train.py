"""A program in the style of MindSpore's model zoo, with its adapter, its lock files and its paths below /cache."""

import os
import time

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.communication import get_group_size, get_rank, init
from PIL import Image

from src.model_utils.config import config
from src.model_utils.device_adapter import get_rank_id, get_rank_size, moxing_wrapper


def read(folder):
    names = sorted(os.listdir(folder))
    files = [
        (os.path.join(folder, name, file), n)
        for n, name in enumerate(names)
        for file in sorted(os.listdir(os.path.join(folder, name)))
    ]
    images = np.stack([np.asarray(Image.open(path), np.float32).ravel() / 255 for path, _ in files])
    return images, np.array([n for _, n in files], np.int32)


@moxing_wrapper
def run_train():
    size, rank = get_rank_size(), get_rank_id()
    ms.set_context(mode=ms.PYNATIVE_MODE, device_target=config.device_target)
    if size > 1:
        init()
        size, rank = get_group_size(), get_rank()
        ms.set_auto_parallel_context(
            parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=size
        )
    images, labels = read(os.path.join(config.data_path, "train"))
    images, labels = images[rank::size], labels[rank::size]
    folder = os.path.join(config.output_path, f"ckpt_{rank}")
    os.makedirs(folder, exist_ok=True)
    ms.set_seed(1)
    net = nn.Dense(images.shape[1], int(labels.max()) + 1)
    done = max((int(name[6:-5]) for name in os.listdir(folder) if name.endswith(".ckpt")), default=0)
    if done:
        ms.load_param_into_net(net, ms.load_checkpoint(os.path.join(folder, f"small-{done}.ckpt")))
        print(f"rank {rank} continues after epoch {done}", flush=True)
    step = nn.TrainOneStepCell(
        nn.WithLossCell(net, nn.CrossEntropyLoss()), nn.SGD(net.trainable_params(), config.lr)
    )
    for epoch in range(done + 1, config.epoch_size + 1):
        loss = step(ms.Tensor(images), ms.Tensor(labels))
        time.sleep(config.pause)
        ms.save_checkpoint(net, os.path.join(folder, f"small-{epoch}.ckpt"))
        print(f"rank {rank} of {size}, epoch {epoch}, loss {float(loss.asnumpy()):.4f}", flush=True)
    if size > 1:
        ms.ops.AllReduce()(
            ms.Tensor([1.0], ms.float32)
        ).asnumpy()  # the first rank uploads what all have saved


if __name__ == "__main__":
    run_train()
