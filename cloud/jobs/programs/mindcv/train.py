"""Trains a network of mindcv, from PyPI and unmodified, on folders of images: a yaml file says what and where.

Where nobody has brought the data (启智 passes URLs), `moxing` copies it to the file's /cache paths and back.
"""

import argparse
import fcntl
import logging
import os

import mindspore as ms
import yaml
from mindcv.data import create_dataset, create_loader, create_transforms
from mindcv.loss import create_loss
from mindcv.models import create_model
from mindcv.optim import create_optimizer
from mindcv.utils import StateMonitor, create_trainer, get_metrics, set_seed
from mindspore.communication import get_group_size, get_rank, init


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default="small.yaml")
    parser.add_argument("--epoch_size", type=int)
    parser.add_argument("--distribute", action="store_true")
    parser.add_argument("--data_url", default="")
    parser.add_argument("--train_url", default="")
    found, _ = parser.parse_known_args()  # 启智 adds more
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), found.config)) as file:
        given = {name: value for name, value in vars(found).items() if value is not None}
        return argparse.Namespace(**{**yaml.safe_load(file), **given})


def bring(url, folder):
    """Once per machine, whichever of its ranks comes first."""
    import moxing as mox

    os.makedirs(folder, exist_ok=True)
    with open(folder + ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder + ".complete"):
            mox.file.copy_parallel(url, folder)
            open(folder + ".complete", "w").close()


def loader(args, split, size, rank):
    is_training = split == "train"
    data = create_dataset(
        root=args.data_dir,
        split=split,
        shuffle=is_training,
        num_shards=size if size > 1 else None,
        shard_id=rank,
    )
    transforms = create_transforms(image_resize=args.image_resize, is_training=is_training)
    return create_loader(
        data,
        batch_size=args.batch_size,
        drop_remainder=is_training,
        is_training=is_training,
        num_classes=args.num_classes,
        transform=transforms,
    )


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # what mindcv says of epochs
    args = options()
    if args.data_url:
        bring(args.data_url, args.data_dir)
    ms.set_context(mode=args.mode)
    size, rank = 1, None
    if args.distribute:
        init()
        size, rank = get_group_size(), get_rank()
        ms.set_auto_parallel_context(device_num=size, parallel_mode="data_parallel", gradients_mean=True)
    set_seed(42)
    train, val = loader(args, "train", size, rank), loader(args, "val", size, rank)
    net = create_model(args.model, num_classes=args.num_classes)
    loss = create_loss("CE")
    optimizer = create_optimizer(net.trainable_params(), opt="momentum", lr=args.lr)
    trainer = create_trainer(
        net, loss, optimizer, get_metrics(args.num_classes), "O0", None, loss_scale_type="fixed"
    )
    monitor = StateMonitor(
        trainer,
        summary_dir=os.path.join(args.ckpt_save_dir, f"summary_{rank or 0}"),
        model_name=args.model,
        metric_name=list(get_metrics(args.num_classes)),
        dataset_val=val,
        val_interval=1,
        ckpt_save_dir=args.ckpt_save_dir,
        ckpt_save_interval=1,
        log_interval=1,
        rank_id=rank,
        device_num=size,
    )
    trainer.train(args.epoch_size, train, callbacks=[monitor], dataset_sink_mode=False)
    if args.train_url and not rank:
        import moxing as mox

        mox.file.copy_parallel(args.ckpt_save_dir, args.train_url)


if __name__ == "__main__":
    main()
