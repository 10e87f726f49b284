"""How many columns of a terminal a text takes: letters of Chinese, Japanese and Korean take two (Unicode, UAX 11)."""

from __future__ import annotations

import textwrap
import unicodedata

WIDE = ("W", "F")
CLOSING = "，。；：、）》”’！？…"  # may not begin a line (JIS X 4051, GB/T 15834)


def columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(map(of_letter, text))


def of_letter(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in WIDE else 1


def padded(text: str, width: int) -> str:
    """With spaces behind it up to `width` columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """As much of the beginning as `width` columns hold."""
    if text.isascii():
        return text[:width]
    used = 0
    for at, letter in enumerate(text):
        used += of_letter(letter)
        if used > width:
            return text[:at]
    return text


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """As textwrap.wrap does it without breaking at hyphens; wide letters may be parted anywhere but before closing marks."""
    if text.isascii():
        return textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
        )
    lines, line = [], first
    for piece in pieces(text):
        start = not line.strip()
        if not start and columns(line) + columns(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = rest + piece.lstrip()
        else:
            line += piece.lstrip() if start and line == rest else piece
    return [*lines, line.rstrip()] if line.strip() else lines


def pieces(text: str) -> list[str]:
    """What stays together: words with the space before them, single wide letters with the marks behind them."""
    found: list[str] = []
    for letter in " ".join(text.split()):
        is_new = not found or letter == " " or (of_letter(letter) == 2 or of_letter(found[-1][-1]) == 2)
        if found and (letter in CLOSING or found[-1][-1:] in "（《“‘"):
            is_new = False
        if is_new:
            found.append(letter)
        elif found:
            found[-1] += letter
    return found
