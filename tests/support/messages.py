"""Every message that a program of this project can print, as its source has it, and the list in docs/troubleshooting.md.

`python -m tests.support.messages` writes the list anew: the messages that no row above it explains. `…` stands for what a
message is filled with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/troubleshooting.md"
BEGINS, ENDS = "## Every other message\n", "\nNot on this page?"
OWN = "## What MindLift says"
# A message is an argument of one of these, beside all exceptions that are defined here: what is shown to a user.
SPEAKERS = {"Check", "Finding", "Answer", "warn", "warning", "note", "say", "tell", "print", "demand", "out"}
RAISED = {"ValueError", "RuntimeError", "SystemExit", "ArgumentTypeError", "KeyError", "OSError"}
# Variables that a message is put together in before it is given to one of them.
PARTS = {
    "says",
    "text",
    "advice",
    "hint",
    "problem",
    "why",
    "reason",
    "wrong",
    "line",
    "what",
    "told",
    "message",
}
TRANSLATED = {"gettext", "localized", "N_"}
LEAST_WORDS = 3  # of a text that can be searched for
SCRIPTS = re.compile(r"""(?:\bdie |\becho )"([^"\n]+)\"""")
GROUPS = (  # beginnings of paths below src/mindlift, and the page that tells more
    (
        "Options, recipes and files that a command names",
        "training.md",
        ("cli/", "model_utils/config/", "model_utils/inputs"),
    ),
    ("Images, labels and classes", "data.md", ("data/", "tasks/")),
    ("Weights, checkpoints and runs", "weights.md", ("models/", "runs/")),
    ("Ranks, devices and the training", "ascend.md", ("training/", "model_utils/")),
    ("Export, prediction, evaluation", "inference.md", ("inference/",)),
    (
        "Buckets and copies",
        "storage.md",
        ("storage/", "model_utils/staging/", "model_utils/streaming/", "model_utils/cloud_adapter"),
    ),
    ("Jobs", "cloud.md", ("cloud/",)),
    ("`mindlift run`", "run.md", ("program/",)),
    ("Reports", "report.md", ("report/",)),
    ("The doctor, and the check of a card", "tools.md", ("doctor/", "ascend_check/")),
    ("The launch scripts", "training.md", ("scripts/",)),
    ("Anything", "architecture.md", ("",)),
)


def exceptions(trees: dict[str, ast.Module]) -> set[str]:
    """The names of all exceptions that these modules define."""
    bases = {
        node.name: {name_of(base) for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"Exception", "MindLiftError", *RAISED}
    while more := {name for name, of in bases.items() if name not in found and of & found}:
        found |= more
    return found


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def text_of(node: ast.expr) -> str:
    """The text of an expression, … for what is not in the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.Call) and name_of(node.func) in TRANSLATED and node.args:
        return re.sub(r"\{[^}]*\}", "…", text_of(node.args[0]))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return re.sub(r"\{[^}]*\}", "…", text_of(node.func.value))
    return "…"


def said(tree: ast.AST, speakers: set[str]) -> Iterator[str]:
    """Each text that a module shows, or raises."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in speakers:
            for argument in node.args:
                yield from texts_of(argument)
        elif isinstance(node, ast.Assign):
            targets = [name_of(each) for target in node.targets for each in getattr(target, "elts", [target])]
            values = getattr(node.value, "elts", [node.value])
            if PARTS & set(targets):
                for value in values:
                    yield from texts_of(value)


def texts_of(node: ast.expr) -> Iterator[str]:
    """One text, or that of each branch."""
    if isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)
    else:
        yield text_of(node)


def is_searchable(text: str) -> bool:
    words = re.findall(r"[A-Za-z]{2,}", text)
    return len(words) >= LEAST_WORDS and " " in text.strip()


def tidy(text: str) -> str:
    return re.sub(r"…(\s*…)+", "…", " ".join(text.split())).strip()


def collected(sources: dict[str, str]) -> dict[str, set[str]]:
    """By the path of a module below src/mindlift: its messages."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    speakers = exceptions(trees) | SPEAKERS
    return {
        name: {tidy(text) for text in said(tree, speakers) if is_searchable(text)}
        for name, tree in trees.items()
    }


def of_project() -> dict[str, set[str]]:
    """The same of all modules, and by `scripts/<name>` of the shell's scripts."""
    folder = ROOT / "src/mindlift"
    modules = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }
    scripts = {
        f"scripts/{path.name}": of_script(path.read_text("utf-8"))
        for path in sorted(ROOT.glob("scripts/*.sh"))
    }
    return {**collected(modules), **scripts}


def of_script(text: str) -> set[str]:
    """What a script of the shell says, … for its variables and commands."""
    found = (re.sub(r"\$\([^)]*\)|\$\{[^}]*\}|\$[\w*@#]+", "…", line) for line in SCRIPTS.findall(text))
    return {tidy(line) for line in found if is_searchable(line)}


def explained(page: str) -> list[re.Pattern[str]]:
    """What the rows about our own messages say of them: each as a pattern of its parts."""
    rows = re.findall(r"^\| (`[^|]+`)", page.partition(OWN)[2].partition(BEGINS)[0], re.MULTILINE)
    texts = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    return [pattern(text) for text in texts if is_searchable(text)]


def pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part.strip()) for part in text.split("…") if part.strip()))


def section(page: str) -> str:
    """The list: all messages that no row explains, by subject."""
    rows, seen = explained(page), set()
    lines = [
        BEGINS,
        "Their text says what to do. Exit code 2 is a mistake in what was asked for, 1 a failure of something else; the page",
        "behind each heading tells more. `python -m tests.support.messages` writes this list from the source.",
    ]
    grouped: dict[str, set[str]] = {title: set() for title, _, _ in GROUPS}
    for name, texts in of_project().items():
        grouped[group_of(name)] |= texts
    for title, place, _ in GROUPS:
        rest = sorted(text for text in grouped[title] - seen if not any(row.search(text) for row in rows))
        seen |= grouped[title]
        if rest:
            lines += ["", f"### {title} ([{place}]({place}))", "", "```text", *rest, "```"]
    return "\n".join(lines) + "\n"


def group_of(name: str) -> str:
    """The subject with the longest beginning of the path."""
    fits = [(len(begin), title) for title, _, begins in GROUPS for begin in begins if name.startswith(begin)]
    return max(fits)[1]


def rewritten(page: str) -> str:
    start = page.index(BEGINS) if BEGINS in page else page.index(ENDS) + 1
    return page[:start] + section(page) + page[page.index(ENDS) :]


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
