"""`moxing.file.glob`: patterns of paths and of URLs."""

from __future__ import annotations

import re

from mindlift.storage.moxing.entries import exists, keys_below
from mindlift.storage.moxing.on_demand import locate
from mindlift.storage.url import PathLike, as_folder

MAGIC = re.compile(r"[*?\[]")


def glob(url: PathLike) -> list[str]:
    """Whole URLs or paths that match; `*` and `?` stop at '/', `**` does not, and hidden names need a dot."""
    text = str(url)
    match = MAGIC.search(text)
    if match is None:
        return [text] if exists(text) else []
    base = text[: text.rfind("/", 0, match.start()) + 1]
    pattern = glob_pattern(text[len(base) :].rstrip("/"))
    store, key = locate(base or ".")
    folder = as_folder(key)
    if "**" not in text and "/" not in text[len(base) :].rstrip("/"):
        keys = [entry.key for entry in store.scan(folder)]
    else:
        keys = keys_below(store, folder)
    names = (each[len(folder) :].rstrip("/") for each in keys)
    return [base + name for name in names if pattern.fullmatch(name)]


def glob_pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a relative pattern."""
    parts = text.split("/")
    whole = ""
    for part in parts[:-1]:
        whole += r"(?:(?!\.)[^/]+/)*" if part == "**" else part_pattern(part) + "/"
    last = r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if parts[-1] == "**" else part_pattern(parts[-1])
    return re.compile(whole + last)


def part_pattern(part: str) -> str:
    """One part between slashes: `*`, `?`, `[abc]`, `[!abc]`; like the shell, `*` sees no hidden names."""
    pattern = "" if part.startswith(".") else r"(?!\.)"
    for piece in re.findall(r"\[!?\]?[^]]*\]|.", part):
        if len(piece) > 1:
            inner = piece[1:-1].replace("\\", r"\\")
            pattern += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        else:
            pattern += {"*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return pattern
