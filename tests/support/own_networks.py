"""Networks as users of MindLift have them in a module of their own: `--net tests.support.own_networks:plain`."""

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

SIDE = 8


class Plain(nn.Cell):
    """Two convolutions, norms, dropouts of three kinds, one of them in two places, and a head `fc`."""

    def __init__(
        self,
        num_classes: int,
        width: int = 4,
        drop_rate: float = 0.5,
        drop_path_rate: float = 0.0,
        img_size: int = SIDE,
    ):
        super().__init__()
        self.img_size, self.drop_path_rate = img_size, drop_path_rate
        shared = nn.Dropout(p=drop_rate)
        self.body = nn.SequentialCell(
            nn.Conv2d(3, width, 3, 2, has_bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(p=drop_rate),
            nn.Conv2d(width, 2 * width, 3, has_bias=True),
            shared,
        )
        self.drop = shared
        self.fc = nn.Dense(2 * width, num_classes)

    def construct(self, x):
        return self.fc(self.drop(ops.mean(self.body(x), (2, 3))))


def plain(num_classes: int = 10, **kwargs: object) -> Plain:
    return Plain(num_classes, **kwargs)


def settles_its_size(num_classes: int = 10, **kwargs: object) -> Plain:
    return Plain(num_classes, img_size=SIDE, **kwargs)


class TwoOutputs(Plain):
    def construct(self, x):
        return super().construct(x), x


class Maps(Plain):
    def construct(self, x):
        return self.body(x)


class OfOneSize(Plain):
    """Takes images of `img_size` only, as transformers do."""

    def __init__(self, num_classes: int, img_size: int = SIDE):
        super().__init__(num_classes, img_size=img_size)
        self.places = ms.Parameter(ms.Tensor([[0.0] * img_size] * img_size, ms.float32), "places")

    def construct(self, x):
        return super().construct(x + self.places)


def without_options(num_classes: int) -> Plain:
    return Plain(num_classes)


class NoClasses(nn.Cell):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()


def broken(num_classes: int) -> nn.Cell:
    raise RuntimeError("no such luck\nsecond line")


def no_cell(num_classes: int) -> int:
    return num_classes
