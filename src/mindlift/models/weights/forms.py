"""What kind of file it is, from its first bytes. Quick: imports neither NumPy nor MindSpore."""

from __future__ import annotations

from pathlib import Path

from mindlift.errors import CheckpointError

FORMS = "a .ckpt of MindSpore, a .pth of PyTorch, a .safetensors or a .npz file"
HEAD_BYTES = 1024
# The pickle of torch_files.MAGIC_NUMBER, with which PyTorch's older files begin.
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def form_of(path: Path) -> str:
    """zip, npz, legacy, safetensors or mindspore, from the first bytes; CheckpointError if it is none of these."""
    if not path.is_file():
        raise CheckpointError(
            f"no such checkpoint: {path}; `mindlift weights` lists published ones, which are fetched by name, such as"
            " torchvision:resnet50"
        )
    with open(path, "rb") as file:
        start = file.read(HEAD_BYTES)
    if start.startswith(b"PK\x03\x04"):
        return "npz" if first_entry(start).endswith(b".npy") else "zip"
    if start.startswith(LEGACY_START):
        return "legacy"
    if is_safetensors(start, path.stat().st_size):
        return "safetensors"
    if start.startswith(b"\n"):  # the tag of the first field of a protocol buffer
        return "mindspore"
    raise CheckpointError(f"{path} is {guess(start)}; expected {FORMS}")


def first_entry(start: bytes) -> bytes:
    """The name of the first file of a zip archive (APPNOTE.TXT 4.3.7), as far as `start` goes."""
    return start[30 : 30 + int.from_bytes(start[26:28], "little")]


def is_safetensors(start: bytes, size: int) -> bool:
    return 8 < int.from_bytes(start[:8], "little") + 8 <= size and start[8:9] == b"{"


def guess(start: bytes) -> str:
    """What a file that holds no weights may be."""
    if not start:
        return "empty"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself (git lfs pull fetches it)"
    if start.lstrip()[:1] == b"<":
        return "a page of HTML or XML, perhaps of a failed download"
    if start.startswith(b"\x80"):
        return "a pickle, but not one of torch.save"
    if (
        start.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"BZh"))
        or start[57:62] == b"ustar"
        or start[257:262] == b"ustar"
    ):
        return "a packed archive"
    return "not a file of weights, or cut short"
