"""Weights that others publish, by name: which of them fit networks here, and where their files are.

| name | where the names and files are from |
|---|---|
| timm:resnet50.a1_in1k, timm:resnet50 | timm 1.0.31, the pretrained_cfgs of resnet.py, densenet.py, inception_v4.py, resnetv2.py |
| torchvision:resnet50.IMAGENET1K_V1, torchvision:resnet50 | torchvision 0.29.2, the WeightsEnums of its models |
| mindcv:resnet50 | mindcv 0.3.0, the default_cfgs of its models; examples/seg/deeplabv3/README.md of its repository |
| google:BiT-M-R50x1, google:BiT-M-R50x1-ILSVRC2012 | README.md and bit_pytorch/models.py of google-research/big_transfer (140de6e) |
| hf:owner/name, hf:owner/name@revision | any repository of a Hugging Face hub; what fits is seen by the tensors |

Without the part behind the dot, timm's and torchvision's own default is meant. The names of torchvision's and mindcv's
files end with the first 8 digits of their SHA-256, but for a few of mindcv's.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mindlift.errors import ConfigError
from mindlift.models.external import names

SOURCES = ("timm", "torchvision", "mindcv", "google", "hf")
NAME = re.compile(r"(timm|torchvision|mindcv|google|hf):(?!/)(.+)")
REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # timm's order, and that of transformers
DIGITS = re.compile(r"-([0-9a-f]{8})\.\w+")
TORCH, MINDSPORE = "https://download.pytorch.org/models/", "https://download.mindspore.cn/toolkits/mindcv/"
GOOGLE = "https://storage.googleapis.com/bit_models/"
R50, R101 = (
    ("resnet50", "deeplab_v3_r50_s16", "deeplab_v3_r50_s8", "deeplab_v3_r50_tv"),
    ("resnet101", "deeplab_v3_s16", "deeplab_v3_s8", "deeplab_v3_tv"),
)
SHORT_NAMES = 6  # shown of those that there are

TIMM = {  # network: (networks here, tags, the default one first)
    "resnet50": (
        R50,
        "a1_in1k a1h_in1k a2_in1k a3_in1k b1k_in1k b2k_in1k c1_in1k c2_in1k d_in1k ram_in1k am_in1k ra_in1k bt_in1k"
        " tv_in1k tv2_in1k fb_ssl_yfcc100m_ft_in1k fb_swsl_ig1b_ft_in1k gluon_in1k",
    ),
    "resnet101": (R101, "a1h_in1k a1_in1k a2_in1k a3_in1k tv_in1k tv2_in1k gluon_in1k"),
    "densenet121": (("densenet121",), "ra_in1k tv_in1k"),
    "inception_v4": (("inception_v4",), "tf_in1k"),
    "resnetv2_50x1_bit": (("bit_r50x1",), "goog_distilled_in1k goog_in21k_ft_in1k goog_in21k"),
    "resnetv2_50x3_bit": (("bit_r50x3",), "goog_in21k_ft_in1k goog_in21k"),
    "resnetv2_101x1_bit": (("bit_r101x1",), "goog_in21k_ft_in1k goog_in21k"),
    "resnetv2_101x3_bit": (("bit_r101x3",), "goog_in21k_ft_in1k goog_in21k"),
    "resnetv2_152x2_bit": (
        ("bit_r152x2",),
        "goog_teacher_in21k_ft_in1k goog_teacher_in21k_ft_in1k_384 goog_in21k_ft_in1k goog_in21k",
    ),
    "resnetv2_152x4_bit": (("bit_r152x4",), "goog_in21k_ft_in1k goog_in21k"),
}
TIMM_NEEDS: dict[str, dict[str, object]] = {
    "resnetv2": {"std_eps": 1e-8},
    "inception": {"normalize": "half"},
}  # by how the name begins
TORCHVISION = {  # network: (networks here, {name: file}, the default one first)
    "resnet50": (R50, {"IMAGENET1K_V2": "resnet50-11ad3fa6.pth", "IMAGENET1K_V1": "resnet50-0676ba61.pth"}),
    "resnet101": (
        R101,
        {"IMAGENET1K_V2": "resnet101-cd907fc2.pth", "IMAGENET1K_V1": "resnet101-63fe2227.pth"},
    ),
    "densenet121": (("densenet121",), {"IMAGENET1K_V1": "densenet121-a639ec97.pth"}),
    "deeplabv3_resnet50": (
        ("deeplab_v3_r50_tv",),
        {"COCO_WITH_VOC_LABELS_V1": "deeplabv3_resnet50_coco-cd0a2569.pth"},
    ),
    "deeplabv3_resnet101": (
        ("deeplab_v3_tv",),
        {"COCO_WITH_VOC_LABELS_V1": "deeplabv3_resnet101_coco-586e9e4e.pth"},
    ),
}
POOL: dict[str, object] = {"stem_pool": "same"}
DEEPLAB = ("deeplab_v3_s16", "deeplab_v3_s8")  # the weights don't show the output stride
MINDCV: dict[str, tuple[tuple[str, ...], str, dict[str, object]]] = {  # name: (networks here, URL, needs)
    "resnet50": (R50, MINDSPORE + "resnet/resnet50-e0733ab8.ckpt", POOL),
    "resnet101": (R101, MINDSPORE + "resnet/resnet101-689c5e77.ckpt", POOL),
    "densenet121": (("densenet121",), MINDSPORE + "densenet/densenet121-120_5004_Ascend.ckpt", {}),
    "inception_v4": (("inception_v4",), MINDSPORE + "inception_v4/inception_v4-db9c45b3.ckpt", {}),
    "BiT_resnet50": (("bit_r50x1",), MINDSPORE + "bit/BiT_resnet50-1e4795a4.ckpt", {}),
    "BiT_resnet50x3": (("bit_r50x3",), MINDSPORE + "bit/BiT_resnet50x3-a960f91f.ckpt", {}),
    "BiT_resnet101": (("bit_r101x1",), MINDSPORE + "bit/BiT_resnet101-2efa9106.ckpt", {}),
    "deeplabv3_s8_resnet101": (DEEPLAB, MINDSPORE + "deeplabv3/deeplabv3_s8_resnet101-a297e7af.ckpt", POOL),
    "deeplabv3_s16": (
        DEEPLAB,
        "https://download-mindspore.osinfra.cn/toolkits/mindcv/deeplabv3/deeplabv3-s16-best-910v2.ckpt",
        POOL,
    ),
    "deeplabv3_s8": (
        DEEPLAB,
        "https://download-mindspore.osinfra.cn/toolkits/mindcv/deeplabv3/deeplabv3-s8-best-910v2.ckpt",
        POOL,
    ),
}
BIT_SIZES = ("R50x1", "R50x3", "R101x1", "R101x3", "R152x2", "R152x4")


@dataclass(frozen=True)
class Published:
    """Weights that have a name. `files` are names of which the first that is there counts, in the folder `url` or in the
    repository `repo` of a hub; `nets` those that take them, () if only the tensors show it; `digits` how the SHA-256
    begins; `needs` options to give with them.
    """

    name: str
    files: tuple[str, ...]
    url: str = ""
    repo: str = ""
    revision: str = "main"
    nets: tuple[str, ...] = ()
    digits: str = ""
    needs: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def source(self) -> str:
        return self.name.partition(":")[0]

    @property
    def options(self) -> str:
        """The options that they need, as they are written on a command line."""
        return " ".join(f"--{name} {value}" for name, value in self.needs.items())


def is_named(place: object) -> bool:
    """Whether `place` is the name of published weights, and no path and no URL."""
    return isinstance(place, str) and NAME.fullmatch(place) is not None


@functools.lru_cache(maxsize=1)
def table() -> dict[str, Published]:
    """All that fit networks of this project, by their full names."""
    found: list[Published] = []
    for net, (nets, tags) in TIMM.items():
        needs = next((each for start, each in TIMM_NEEDS.items() if net.startswith(start)), {})
        found += [
            Published(f"timm:{net}.{tag}", HUB_FILES, repo=f"timm/{net}.{tag}", nets=nets, needs=needs)
            for tag in tags.split()
        ]
    for net, (nets, files) in TORCHVISION.items():
        found += [at(f"torchvision:{net}.{tag}", TORCH + file, nets, {}) for tag, file in files.items()]
    for name, (nets, url, needs) in MINDCV.items():
        classifies = () if name.startswith("deeplab") else (f"mindcv:{name}",)
        found.append(at(f"mindcv:{name}", url, (*nets, *classifies), needs))
    for kind in ("BiT-M-{}", "BiT-M-{}-ILSVRC2012", "BiT-S-{}"):
        found += [
            at(
                f"google:{kind.format(size)}",
                f"{GOOGLE}{kind.format(size)}.npz",
                (f"bit_{size.lower()}",),
                {},
            )
            for size in BIT_SIZES
        ]
    return {each.name: each for each in found}


def at(name: str, url: str, nets: tuple[str, ...], needs: Mapping[str, object]) -> Published:
    folder, _, file = url.rpartition("/")
    digits = DIGITS.search(file)
    return Published(name, (file,), f"{folder}/", nets=nets, digits=digits[1] if digits else "", needs=needs)


def lookup(name: str) -> Published:
    """What `name` means; ConfigError, with names that are like it, if nothing."""
    match = NAME.fullmatch(name)
    assert match, "is_named"
    source, rest = match.groups()
    if source == "hf":
        return of_hub(name, rest)
    known = table()
    default = next((each for each in known if each.startswith(f"{name}.")), name)
    if name in known or default in known:
        return known[name if name in known else default]
    urls = names.urls_of_mindcv() if source == names.MINDCV else {}
    if rest in urls:
        return at(name, urls[rest], (name,), {})
    mine = [each for each in known if each.startswith(f"{source}:")]
    networks = list(dict.fromkeys(each.partition(".")[0] for each in mine))
    like = difflib.get_close_matches(name, mine, SHORT_NAMES, 0.6) or networks[:SHORT_NAMES]
    raise ConfigError(
        f"--pretrained {name}: {source} publishes no weights of this name that a network here takes; near are"
        f" {', '.join(like)}; `mindlift weights` lists all"
    )


def of_hub(name: str, rest: str) -> Published:
    match = REPOSITORY.fullmatch(rest)
    if not match or ".." in rest:
        raise ConfigError(f"--pretrained {name}: expected hf:owner/name or hf:owner/name@revision")
    repo, revision = match.groups()
    twin = table().get(f"timm:{repo[5:]}") if repo.startswith("timm/") else None
    return Published(
        name,
        HUB_FILES,
        repo=repo,
        revision=revision or "main",
        nets=twin.nets if twin else (),
        needs=twin.needs if twin else MappingProxyType({}),
    )


def check(name: str, net: str) -> None:
    """ConfigError for a name that means nothing, or whose weights `net` does not take; other places pass."""
    if not is_named(name):
        return
    found = lookup(name)
    if found.nets and net not in found.nets:
        raise ConfigError(f"--pretrained {name} fits --net {', '.join(found.nets)}, not {net}")
