"""What timm and torchvision call the tensors of networks that mindcv has too, and what they compute them with. Pure.

| mindcv's class | timm | torchvision |
|---|---|---|
| ResNet | resnet*, resnext* | the same names |
| MobileNetV3 | mobilenetv3_small_100, _large_100, ... | mobilenet_v3_small, _large |
| EfficientNet | efficientnet_b0 - b7, efficientnetv2_s, _m, _l | the same networks |
| ConvNeXt | convnext_tiny, _small, _base, _large, _xlarge | convnext_tiny, _small, _base, _large |
| VisionTransformer | vit_tiny_patch16_224, vit_base_patch16_224, deit_*, ... | vit_b_16, vit_b_32, vit_l_16, vit_l_32 |
| SwinTransformer | swin_tiny_patch4_window7_224, ... | swin_t, ... |

A tensor's name is made from the one in mindcv's network, so a network of another size or width has its names too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Dict, Match, Tuple, Union

import numpy as np

from mindlift.models.weights.layouts import Shapes, Tensors

Rule = Tuple[str, Union[str, Callable[[Match[str]], str]]]
Names = Dict[str, str]
BOTH = "torchvision or timm"
UNUSED = "unused."  # before the name of a tensor of the source that mindcv's network has no use for


@dataclass(frozen=True)
class Conventions:
    """What a network is computed with; what is not set stays as mindcv has it.

    `padding` of convolutions and pools: "sym", the same on both sides, as PyTorch's layers do, or "same", TensorFlow's,
    which is MindSpore's default: with a stride of 2 on an even size one more at the bottom and right. `exact_gelu`: by
    the error function, not by tanh, an approximation that is MindSpore's default. `bn_eps` and `ln_eps` are what batch
    norms and layer norms add to a variance; MindSpore's defaults are 1e-5 and 1e-7.
    """

    padding: str = ""
    exact_gelu: bool = False
    bn_eps: float | None = None
    ln_eps: float | None = None


Way = Union[Conventions, Callable[[Shapes], Conventions]]  # or what says which, by the tensors of the network


@dataclass(frozen=True)
class Source:
    """One writer of weights for networks of one class.

    `names` makes {its name of a tensor: mindcv's} from mindcv's names and shapes, in which batch norms have MindSpore's
    words on both sides. `ways` are what the network is computed with, by the words of `--net_args conventions=WORD`; tensors
    of several ways look the same. `spellings` are other names of the same tensors in older files.
    """

    name: str
    names: Callable[[Shapes], Names]
    ways: Mapping[str, Way]
    spellings: Sequence[Rule] = field(default_factory=tuple)


def source_of(class_name: str, own: Shapes, shapes: Shapes) -> Source | None:
    """Whose tensors these are of a network of this class with its `own` names; None: mindcv's, or nobody's known."""
    best, most = None, len(own.keys() & shapes.keys())
    for source in SOURCES.get(class_name, ()):
        names = source.names(own)
        found = len({spelled(source, name) for name in unpacked_names(shapes, names)} & names.keys())
        if found > most:
            best, most = source, found
    return best


def ways_of(class_name: str, own: Shapes) -> dict[str, Conventions]:
    """What a network of this class can be computed with, by the word that names it."""
    ways = [pair for source in SOURCES.get(class_name, ()) for pair in source.ways.items()]
    return {word: way(own) if callable(way) else way for word, way in ways}


def rename_of(source: Source, own: Shapes) -> Callable[[str], str]:
    names = source.names(own)

    def rename(name: str) -> str:
        if re.search(CONSTANTS, name):
            return UNUSED + name
        return names.get(spelled(source, name), name)

    return rename


def spelled(source: Source, name: str) -> str:
    return by_rules(source.spellings)(name)


def fold_of(source: Source, own: Shapes) -> Callable[[Tensors], Tensors]:
    """Tensors of the source as mindcv's network has them: one for each of query, key and value, without axes of one."""
    names = source.names(own)

    def fold(tensors: Tensors) -> Tensors:
        found: Tensors = {}
        for name, array in tensors.items():
            parts = split_names(name, names)
            arrays = (
                np.split(array, len(parts)) if len(array.shape) and not len(array) % len(parts) else [array]
            )
            found.update(zip(parts, arrays))
        return {
            name: without_ones(array, own.get(names.get(spelled(source, name), "")))
            for name, array in found.items()
        }

    return fold


def split_names(name: str, names: Names) -> list[str]:
    """`name` itself, or what three tensors are called that it holds one upon the other."""
    apart = [re.sub(r"\bqkv\b", letter, name) for letter in "qkv"]
    return apart if name not in names and apart[0] in names and apart[0] != name else [name]


def unpacked_names(shapes: Shapes, names: Names) -> Iterator[str]:
    return (part for name in shapes for part in split_names(name, names))


def without_ones(array: np.ndarray, wanted: Sequence[int] | None) -> np.ndarray:
    """Of the shape that is wanted, if it differs from the array's in axes of length one alone."""
    if wanted is None or [n for n in array.shape if n != 1] != [n for n in wanted if n != 1]:
        return array
    return array.reshape(tuple(wanted))


def constants_of(own: Shapes) -> tuple[str, ...]:
    """The parameters of mindcv's network that are no weights, and that other packages compute."""
    return tuple(name for name in own if re.search(CONSTANTS, name))


CONSTANTS = r"\b(attn_mask|relative_bias\.index|relative_position_index)$"


def in_torch_words(name: str, shapes: Shapes) -> str:
    """Layer norms have a gamma and a beta to MindSpore and a weight and a bias to PyTorch."""
    owner, dot, part = name.rpartition(".")
    if not dot or f"{owner}.moving_mean" in shapes:
        return name
    return owner + dot + {"gamma": "weight", "beta": "bias"}.get(part, part)


def by_rules(rules: Sequence[Rule]) -> Callable[[str], str]:
    """A name after each of (pattern, replacement), in this order."""

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        return name

    return rename


def ruled(*rules: Rule) -> Callable[[Shapes], Names]:
    """The names of a source that differ from mindcv's by rules."""
    rename = by_rules(rules)

    def names(own: Shapes) -> Names:
        return {rename(in_torch_words(name, own)): name for name in own if not re.search(CONSTANTS, name)}

    return names


# ---- networks of blocks whose layers mindcv counts
@dataclass(frozen=True)
class Block:
    """A block of mindcv's: the numbers of its layers, in order: convolutions with their norms, and the excitation's."""

    prefix: str
    convolutions: list[str]
    norms: list[str]
    excitation: list[str]
    is_depthwise: bool  # its first convolution
    channels: int  # of its output

    @classmethod
    def of(cls, prefix: str, own: Shapes) -> Block:
        found = re.compile(re.escape(prefix) + r"\.(\d+)\.(weight|gamma|conv_reduce\.weight)")
        parts: dict[str, list[str]] = {"weight": [], "gamma": [], "conv_reduce.weight": []}
        for match in sorted((m for m in map(found.fullmatch, own) if m), key=lambda m: int(m[1])):
            parts[match[2]].append(match[1])
        convolutions = parts["weight"]
        first, last = (own[f"{prefix}.{number}.weight"] for number in (convolutions[0], convolutions[-1]))
        norms, excitation = parts["gamma"], parts["conv_reduce.weight"]
        return cls(prefix, convolutions, norms, excitation, first[1] == 1, last[0])

    def in_timm(self, name: str) -> Iterator[tuple[str, str]]:
        """(layer here, in timm), of timm's block called `name`."""
        kinds = {
            3: ("conv_pw", "conv_dw", "conv_pwl"),
            2: ("conv_dw", "conv_pw") if self.is_depthwise else ("conv_exp", "conv_pwl"),
            1: ("conv",),
        }[len(self.convolutions)]
        for number, (kind, conv, norm) in enumerate(zip(kinds, self.convolutions, self.norms)):
            yield f"{self.prefix}.{conv}", f"{name}.{kind}"
            yield f"{self.prefix}.{norm}", f"{name}.bn{number + 1}"
        for each in self.excitation:
            yield f"{self.prefix}.{each}.conv_reduce", f"{name}.se.conv_reduce"
            yield f"{self.prefix}.{each}.conv_expand", f"{name}.se.conv_expand"

    def in_torchvision(self, name: str) -> Iterator[tuple[str, str]]:
        """The excitation stands in front of the last convolution."""
        place = 0
        for conv, norm in zip(self.convolutions, self.norms):
            if self.excitation and conv == self.convolutions[-1]:
                for one, other in (("conv_reduce", "fc1"), ("conv_expand", "fc2")):
                    yield f"{self.prefix}.{self.excitation[0]}.{one}", f"{name}.block.{place}.{other}"
                place += 1
            yield f"{self.prefix}.{conv}", f"{name}.block.{place}.0"
            yield f"{self.prefix}.{norm}", f"{name}.block.{place}.1"
            place += 1


def of_layers(pairs: Mapping[str, str], own: Shapes) -> Names:
    """Tensors' names from those of their layers."""
    found = {}
    for name in own:
        owner, dot, part = name.rpartition(".")
        if owner in pairs:
            found[f"{pairs[owner]}{dot}{part}"] = name
    return found


def prefixes(own: Shapes, pattern: str) -> list[str]:
    """What `pattern` finds at the beginning of names, each once, in the order of its numbers."""
    found = {match[0] for match in (re.match(pattern, name) for name in own) if match}
    return sorted(found, key=lambda prefix: [int(number) for number in re.findall(r"\d+", prefix)])


def numbers(own: Shapes) -> list[int]:
    """Of the cells of `features`."""
    return sorted(
        {int(match[1]) for match in (re.match(r"features\.(\d+)\.", name) for name in own) if match}
    )


def mobilenet_v3(own: Shapes) -> tuple[list[Block], dict[str, str]]:
    """The blocks, and the layers around them by torchvision's names: stem and last convolution."""
    blocks = [Block.of(prefix, own) for prefix in prefixes(own, r"features\.\d+\.layers")]
    last = numbers(own)[-2]
    ends = {"features.0": "features.0.0", "features.1": "features.0.1"}
    ends.update({f"features.{last + i}": f"features.{len(blocks) + 1}.{i}" for i in (0, 1)})
    return blocks, ends


def mobilenet_v3_timm(own: Shapes) -> Names:
    """timm counts blocks by stages, which are as many of one width; its last convolution is a stage too."""
    blocks, ends = mobilenet_v3(own)
    first, norm, last, last_norm = ends
    pairs = {first: "conv_stem", norm: "bn1", "classifier.0": "conv_head", "classifier.3": "classifier"}
    stage, inside = -1, 0
    for before, block in zip([None, *blocks], blocks):
        is_new = before is None or before.channels != block.channels
        stage, inside = (stage + 1, 0) if is_new else (stage, inside + 1)
        pairs.update(block.in_timm(f"blocks.{stage}.{inside}"))
    pairs.update({last: f"blocks.{stage + 1}.0.conv", last_norm: f"blocks.{stage + 1}.0.bn1"})
    return of_layers(pairs, own)


def mobilenet_v3_torchvision(own: Shapes) -> Names:
    blocks, ends = mobilenet_v3(own)
    pairs = {**ends, "classifier.0": "classifier.0", "classifier.3": "classifier.3"}
    for number, block in enumerate(blocks):
        pairs.update(block.in_torchvision(f"features.{number + 1}"))
    return of_layers(pairs, own)


def efficientnet(own: Shapes) -> tuple[list[tuple[int, int, Block]], list[int]]:
    """(stage, number in it, block), both from 0 on, and the numbers of the last convolution and its norm."""
    found = []
    for prefix in prefixes(own, r"features\.\d+\.\d+\.block"):
        stage, inside = (int(number) for number in re.findall(r"\d+", prefix))
        found.append(
            (stage - 3, inside, Block.of(prefix, own))
        )  # behind the stem, its norm and its activation
    return found, numbers(own)[-2:]


def efficientnet_timm(own: Shapes) -> Names:
    blocks, (last, last_norm) = efficientnet(own)
    pairs = {"features.0": "conv_stem", "features.1": "bn1", "mlp_head": "classifier"}
    pairs.update({f"features.{last}": "conv_head", f"features.{last_norm}": "bn2"})
    for stage, inside, block in blocks:
        pairs.update(block.in_timm(f"blocks.{stage}.{inside}"))
    return of_layers(pairs, own)


def efficientnet_torchvision(own: Shapes) -> Names:
    blocks, ends = efficientnet(own)
    stages = 1 + max(stage for stage, _, _ in blocks)
    pairs = {"features.0": "features.0.0", "features.1": "features.0.1", "mlp_head": "classifier.1"}
    pairs.update({f"features.{number}": f"features.{stages + 1}.{i}" for i, number in enumerate(ends)})
    for stage, inside, block in blocks:
        pairs.update(block.in_torchvision(f"features.{stage + 1}.{inside}"))
    return of_layers(pairs, own)


def efficientnet_of_torchvision(own: Shapes) -> Conventions:
    """Its V2, whose first blocks have no depthwise convolution, and b5 - b7, whose stem is wider, have another epsilon."""
    first, stem = efficientnet(own)[0][0][2], own["features.0.weight"][0]
    return Conventions("sym", bn_eps=1e-5 if first.is_depthwise and stem < 48 else 1e-3)


# ---- what differs by rules alone


def moved(pattern: str, form: str, by: int, factor: int = 1) -> Rule:
    """A number in a name becomes another one: `pattern` finds it as its only group, `form` has a place for the new one."""
    return pattern, lambda match: form.format(factor * int(match[1]) + by)


RESNET = ruled((r"\bdown_sample\b", "downsample"), (r"^classifier\.", "fc."))
CONVNEXT_TIMM = ruled(
    (r"^classifier\.", "head.fc."),
    (r"^norm\.", "head.norm."),
    (r"^feature\.0\.", "stem."),
    (r"^feature\.([246])\.", lambda match: f"stages.{int(match[1]) // 2}.downsample."),
    (r"^feature\.([1357])\.(\d+)\.", lambda match: f"stages.{int(match[1]) // 2}.blocks.{match[2]}."),
    (r"\bdwconv\b", "conv_dw"),
    (r"\bpwconv([12])\b", r"mlp.fc\1"),
    (r"\bgamma_$", "gamma"),
)
CONVNEXT_TORCHVISION = ruled(
    (r"^classifier\.", "classifier.2."),
    (r"^norm\.", "classifier.0."),
    (r"^feature\.", "features."),
    (r"\bdwconv\b", "block.0"),
    (r"(\.\d+\.\d+)\.norm\b", r"\1.block.2"),
    (r"\bpwconv1\b", "block.3"),
    (r"\bpwconv2\b", "block.5"),
    (r"\bgamma_$", "layer_scale"),
)
VIT_TORCHVISION = ruled(
    (r"^norm\.", "encoder.ln."),
    (r"^head\.", "heads.head."),
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"\bnorm([12])\b", r"ln_\1"),
    (r"\battn\.qkv\.", "self_attention.in_proj_"),
    (r"\battn\.proj\b", "self_attention.out_proj"),
    (r"\bmlp\.fc1\b", "mlp.0"),
    (r"\bmlp\.fc2\b", "mlp.3"),
)
SWIN_TIMM = ruled(
    (r"^classifier\.", "head.fc."),
    (r"\brelative_bias\.", ""),
    moved(r"^layers\.(\d+)\.downsample\.", "layers.{}.downsample.", 1),
)
SWIN_TORCHVISION = ruled(
    (r"^classifier\.", "head."),
    (r"\brelative_bias\.", ""),
    (r"^patch_embed\.proj\.", "features.0.0."),
    (r"^patch_embed\.norm\.", "features.0.2."),
    moved(r"^layers\.(\d+)\.blocks\.", "features.{}.", 1, factor=2),
    moved(r"^layers\.(\d+)\.downsample\.", "features.{}.", 2, factor=2),
    (r"\bmlp\.fc1\b", "mlp.0"),
    (r"\bmlp\.fc2\b", "mlp.3"),
)

SYM = Conventions(padding="sym", bn_eps=1e-5)
TF = Conventions(padding="same", bn_eps=1e-3)
SYM_EPS = Conventions(padding="sym", bn_eps=1e-3)
TRANSFORMER = Conventions(exact_gelu=True, ln_eps=1e-6)
SWIN = Conventions(exact_gelu=True, ln_eps=1e-5)
PATCHES = Conventions(padding="sym", exact_gelu=True)
OLD_MLP = ((r"\bmlp\.linear_1\b", "mlp.0"), (r"\bmlp\.linear_2\b", "mlp.3"))
SOURCES: dict[str, tuple[Source, ...]] = {
    "mindcv.models.resnet.ResNet": (Source(BOTH, RESNET, {"timm": SYM, "torchvision": SYM}),),
    "mindcv.models.mobilenetv3.MobileNetV3": (
        Source("timm", mobilenet_v3_timm, {"timm": SYM, "timm_tf": TF}),
        Source("torchvision", mobilenet_v3_torchvision, {"torchvision": SYM_EPS}),
    ),
    "mindcv.models.efficientnet.EfficientNet": (
        Source("timm", efficientnet_timm, {"timm": SYM, "timm_tf": TF}),
        Source("torchvision", efficientnet_torchvision, {"torchvision": efficientnet_of_torchvision}),
    ),
    "mindcv.models.convnext.ConvNeXt": (
        Source("timm", CONVNEXT_TIMM, {"timm": PATCHES}),
        Source("torchvision", CONVNEXT_TORCHVISION, {"torchvision": PATCHES}),
    ),
    "mindcv.models.vit.VisionTransformer": (
        Source("timm", ruled(), {"timm": TRANSFORMER}),
        Source("torchvision", VIT_TORCHVISION, {"torchvision": TRANSFORMER}, OLD_MLP),
    ),
    "mindcv.models.swintransformer.SwinTransformer": (
        Source("timm", SWIN_TIMM, {"timm": SWIN}),
        Source("torchvision", SWIN_TORCHVISION, {"torchvision": SWIN}),
    ),
}
