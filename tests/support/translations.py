"""The catalogue of Chinese texts: what the source says, what of it has no translation, and the compiled file.

`python -m tests.support.translations` brings mindlift.po and docs/troubleshooting_CN.md up to date with the source and
compiles it; translations of what the source says no more stay at its end. `--missing` lists the
texts that have no translation, `--fill FILE` takes translations from a file of lines `msgid<TAB>msgstr`.

A msgid is a text as the source has it, line by line, without the spaces around it; `{0}`, `{1}` ... stand for what it is
filled with. Everything in src/mindlift that reads as prose is one: whole messages, and the parts that they are made of.
"""

from __future__ import annotations

import ast
import functools
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mindlift.language import LEAST_LETTERS
from tests.support import chinese_page
from tests.support.messages import LEAST_WORDS, SPEAKERS, exceptions, name_of

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/mindlift"
CATALOGUE = SOURCE / "locale/zh_CN/LC_MESSAGES/mindlift.po"
COMPILED = CATALOGUE.with_suffix(".mo")
MARKED = {"gettext", "localized", "N_"}  # what is given to one of them is a text, however short
HELP = {"help", "description", "epilog"}  # of argparse, also however short
NO_TEXTS = Path(__file__).with_name(
    "no_texts.txt"
)  # prose by its looks: commands, code, words of other programs
# Their output is for developers, for programs or for the model zoo's readers of logs, whatever the language.
ENGLISH = ("ascend_check/", "model_utils/config/options_types.py", "storage/s3/signature.py", "locale/")
NO_PROSE = re.compile(
    r"[<>]\w|\w>|\(\?|\\[wdsSb.|]|%\(|%[sdr]\b|\w+=\{|://\{0\}|text/|default-src|-src |frame-anc|\[\w+\]|\$ |^import |dict\[|list\["
)
PLACEHOLDER = re.compile(r"<[a-z]+>(?!.*</)")  # in a path, and no tag of HTML
JS_TEXT = re.compile(r"""\bgettext\("((?:[^"\\]|\\.)+)"[,)]""")
OBSOLETE = "#~ "
HEADER = (
    "Project-Id-Version: MindLift\\nLanguage: zh_CN\\nMIME-Version: 1.0\\n"
    "Content-Type: text/plain; charset=UTF-8\\nContent-Transfer-Encoding: 8bit\\n"
)


@dataclass
class Text:
    """A msgid: where it is said, and what its places are filled with."""

    places: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)


class Template:
    """The text of an expression with its places numbered."""

    def __init__(self) -> None:
        self.filled: list[str] = []

    def place(self, node: ast.AST) -> str:
        return self.number(" ".join(ast.unparse(node).split()))

    def number(self, filled: str) -> str:
        self.filled.append(filled)
        return f"{{{len(self.filled) - 1}}}"

    def of(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return re.sub(r"\{\w*\}", lambda found: self.number(found[0]), node.value)  # of format()
        if isinstance(node, ast.JoinedStr):
            return "".join(
                self.place(part.value) if isinstance(part, ast.FormattedValue) else self.of(part)
                for part in node.values
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.of(node.left) + self.of(node.right)
        if isinstance(node, ast.Call) and name_of(node.func) in MARKED and node.args:
            return self.of(node.args[0])
        return self.place(node)


def texts() -> dict[str, Text]:
    """All msgids, in the order of the source."""
    left_out = set(NO_TEXTS.read_text("utf-8").splitlines())
    return {msgid: text for msgid, text in all_texts().items() if msgid not in left_out}


@functools.lru_cache(maxsize=None)
def all_texts() -> dict[str, Text]:
    """With what only looks like one."""
    found: dict[str, Text] = {}
    sources = {path.relative_to(SOURCE).as_posix(): path.read_text("utf-8") for path in SOURCE.rglob("*.py")}
    trees = {name: ast.parse(source) for name, source in sorted(sources.items())}
    speakers = exceptions(trees) | SPEAKERS | {"info", "warning"}
    for name, tree in trees.items():
        if not name.startswith(ENGLISH):
            source = sources[name]
            if "description=__doc__" in source:
                about = ast.get_docstring(tree) or ""
                lines_of = about.splitlines() if "is_raw" in source else [" ".join(about.split())]
                for line in filter(None, map(str.strip, lines_of)):
                    add(found, line, name, [])
            for msgid, filled in of_module(tree, speakers):
                add(found, msgid, name, filled)
    for path in sorted(SOURCE.rglob("*.js")):
        for text in JS_TEXT.findall(path.read_text("utf-8")) if "vendor" not in path.parts else ():
            add(found, text, path.relative_to(SOURCE).as_posix(), [])
    for title, group in yaml.safe_load((ROOT / "default_config.yaml").read_text("utf-8")).items():
        add(found, title, "default_config.yaml", [])
        for name, option in group.items() if isinstance(group, dict) else ():
            for key in ("help", "refused"):
                if isinstance(option, dict) and option.get(key):
                    template = Template()
                    add(found, template.of(ast.Constant(option[key])), f"--{name}", template.filled)
    return found


def add(found: dict[str, Text], msgid: str, place: str, filled: list[str]) -> None:
    known = found.setdefault(msgid, Text(filled=filled))
    if place not in known.places:
        known.places.append(place)


def of_module(tree: ast.Module, speakers: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line of each text of a module, with what fills its places; shorter ones too where they are shown or raised."""
    passed: set[int] = set()
    said = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name_of(node.func) in speakers
        for each in node.args
        for argument in ([each.body, each.orelse] if isinstance(each, ast.IfExp) else [each])
    }
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))  # a docstring
        elif isinstance(node, ast.keyword) and node.arg in HELP and is_text(node.value):
            passed |= {id(each) for each in ast.walk(node.value)}
            yield from lines(node.value, 1)
        elif isinstance(node, ast.Call) and name_of(node.func) in MARKED and node.args:
            passed |= {id(each) for each in ast.walk(node.args[0])}
            yield from lines(node.args[0], 0)
        elif is_text(node):
            mine = [each for part in parts(node) for each in (part, *ast.iter_child_nodes(part))]
            passed |= {id(each) for each in mine if not isinstance(each, ast.Call)}
            least = 1 if id(node) in said or is_template(node) else LEAST_WORDS
            yield from lines(node, least, id(node) in said)


def is_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in parts(node)
    )


def is_template(node: ast.AST) -> bool:
    """Whether it has letters enough to be known again (see LEAST_LETTERS in mindlift.language)."""
    if not isinstance(node, ast.JoinedStr):
        return False
    text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return " " in text and sum(map(str.isalpha, text)) >= LEAST_LETTERS


def parts(node: ast.AST) -> list[ast.AST]:
    """The strings that are put together by +, or the one that it is."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [node, *parts(node.left), *parts(node.right)]
    return [node]


def lines(node: ast.expr, least: int, is_said: bool = False) -> Iterator[tuple[str, list[str]]]:
    """What `is_said` is prose, whatever else it looks like."""
    template = Template()
    for line in template.of(node).split("\n"):
        msgid, filled = numbered(line.strip(), template.filled)
        if is_prose(msgid, least, is_said):
            yield msgid, filled


def numbered(line: str, filled: list[str]) -> tuple[str, list[str]]:
    """A line of a text with its own places numbered from 0 on."""
    own = [int(number) for number in re.findall(r"\{(\d+)\}", line)]
    for at, number in enumerate(own):
        line = line.replace(f"{{{number}}}", f"{{{at}}}", 1) if at != number else line
    return line, [filled[number] for number in own]


def is_prose(text: str, least: int, is_said: bool = False) -> bool:
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\d+\}", "", text))
    if not least:
        return bool(words)
    return len(words) >= least and " " in text and (is_said or not NO_PROSE.search(PLACEHOLDER.sub("", text)))


def read(path: Path = CATALOGUE, is_obsolete: bool = False) -> dict[str, str]:
    """msgid -> msgstr of a .po file; `is_obsolete`: of what the source does not say now, which lines with #~ keep."""
    found: dict[str, str] = {}
    entry: dict[str, str] = {}
    key = ""
    text = path.read_text("utf-8")
    if is_obsolete:
        text = "\n".join(line[3:] for line in text.splitlines() if line.startswith(OBSOLETE) or not line)
    for line in [*text.splitlines(), ""]:
        word, _, rest = line.partition(" ")
        if word in ("msgid", "msgstr"):
            key = word
            entry[key] = unquoted(rest)
        elif line.startswith('"'):
            entry[key] += unquoted(line)
        elif entry.get("msgid") is not None and not line.strip():
            found[entry["msgid"]] = entry.get("msgstr", "")
            entry = {}
    found.pop("", None)
    return found


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda at: {"n": "\n", "t": "\t"}.get(at[1], at[1]), text.strip()[1:-1])


def quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def as_po(wanted: dict[str, Text], known: dict[str, str]) -> str:
    """What the source says, then what it has said: a text that comes back has its translation."""
    entries = [f'msgid ""\nmsgstr "{HEADER}"\n']
    for msgid, text in wanted.items():
        notes = [f"#. {{{at}}}: {what}\n" for at, what in enumerate(text.filled)]
        notes.append(f"#: {' '.join(text.places)}\n")
        entries.append(f"{''.join(notes)}msgid {quoted(msgid)}\nmsgstr {quoted(known.get(msgid, ''))}\n")
    for msgid in sorted(known.keys() - wanted.keys()):
        if known[msgid]:
            entries.append(f"{OBSOLETE}msgid {quoted(msgid)}\n{OBSOLETE}msgstr {quoted(known[msgid])}\n")
    return "\n".join(entries)


def as_mo(known: dict[str, str]) -> bytes:
    """The compiled form (GNU gettext's manual, The Format of GNU MO Files), without what is not localized."""
    pairs = {"": HEADER.replace("\\n", "\n"), **{key: value for key, value in known.items() if value}}
    texts = sorted((key.encode(), value.encode()) for key, value in pairs.items())
    count = len(texts)
    at = 28 + 16 * count
    tables: list[int] = []
    data = b""
    for column in (0, 1):
        for pair in texts:
            tables += [len(pair[column]), at + len(data)]
            data += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, at)
    return head + struct.pack(f"<{len(tables)}I", *tables) + data


def missing() -> list[str]:
    known = read() if CATALOGUE.exists() else {}
    return [msgid for msgid in texts() if not known.get(msgid)]


def write(more: dict[str, str]) -> None:
    known = {**read(is_obsolete=True), **read(), **more} if CATALOGUE.exists() else more
    CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
    wanted = texts()
    CATALOGUE.write_text(as_po(wanted, known), "utf-8")
    COMPILED.write_bytes(as_mo({msgid: known.get(msgid, "") for msgid in wanted}))
    chinese_page.CHINESE_PAGE.write_text(chinese_page.page(read()), "utf-8")


def main(words: list[str]) -> int:
    if words == ["--missing"]:
        found = missing()
        print("\n".join(found))
        return int(bool(found))
    more: dict[str, str] = {}
    if words[:1] == ["--fill"]:
        rows = Path(words[1]).read_text("utf-8").splitlines()
        more = dict(row.split("\t", 1) for row in rows if "\t" in row)  # type: ignore[misc]
    write(more)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
