"""Text from outside, shown and not obeyed: on a terminal, in a line of a message, in a spreadsheet. Pure."""

from __future__ import annotations

import re

COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # the only escape sequence that changes nothing but colours
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
USER = re.compile(r"(\w[\w+.-]*://)[^/?#\s@'\"]*@")
QUERY = re.compile(
    r"(https?://[^?#\s'\"]*)[?#][^\s'\";,]*", re.IGNORECASE
)  # names in buckets may hold ? and #


def single_line(text: object) -> str:
    """`text` with line ends and other control characters escaped as Python does it, such as \\x1b."""
    return "".join(map(visible, str(text)))


def visible(letter: str) -> str:
    """Itself, or its escape; the wide space of Chinese and Japanese is a letter here."""
    return letter if letter.isprintable() or letter == "\u3000" else repr(letter)[1:-1]


def log_line(text: str) -> str:
    """A line of a log that others have written: colours, tabs and carriage returns of progress bars stay, all else is escaped.

    As git shows what a remote says (sideband.allowControlCharacters): a title of the window, a cursor that goes back
    over earlier lines or a text for the clipboard are not for a log to set.
    """
    if text.isprintable():
        return text
    pieces, at = [], 0
    for colour in COLOUR.finditer(text):
        pieces += [escaped(text[at : colour.start()]), colour.group()]
        at = colour.end()
    end = "\x1b[0m" if at else ""  # a colour ends with its line
    return "".join(pieces) + escaped(text[at:]) + end


def escaped(text: str) -> str:
    return "".join(letter if letter in "\t\r" else visible(letter) for letter in text)


def lines(text: str) -> str:
    """Lines of our own with names and addresses from outside in them: line ends and tabs stay, and no secret of a URL."""
    shown = text if text.isprintable() else "".join(one if one in "\n\t" else visible(one) for one in text)
    return address(shown)


def error(text: object) -> str:
    """A message of our own in one line: a line end in it came with a name or a value from outside, and is escaped, too."""
    return address(single_line(text))


def message(text: object) -> str:
    """A message of others in one line: its lines are joined."""
    return address(single_line(" ".join(str(text).split())))


def cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula: with an apostrophe before it (OWASP, CSV Injection).

    csv.writer with "\\n" as the end of lines leaves a carriage return unquoted, which other readers take for one.
    """
    return (f"'{text}" if text.startswith(FORMULA) else text).replace("\r", "\\r")


def address(text: str) -> str:
    """`text` with its URLs without user, password and query, which may hold keys."""
    return QUERY.sub(r"\1", USER.sub(r"\1", text))
