"""What the documents name is there: tests, files, options, recipes; both READMEs say the same; and they fit a window."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cli import job_arguments
from mindlift.cli import main as mindlift
from mindlift.model_utils.config import config, programs
from mindlift.model_utils.config.command_line import arguments, read_line, words_and_inputs
from mindlift.model_utils.config.schema import SWITCHES
from tests.support import pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])
README, README_CN = ROOT / "README.md", ROOT / "README_CN.md"
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
TEST = re.compile(r"`(?:(test_\w+\.py)(?:::(test_\w+))?|(test_\w+))`")
TESTS = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")}
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
FLAG = re.compile(r"(?<![\w-])--([A-Za-z]\w*(?:-\w+)*)")
OF_CONFIG = ("train.py", "eval.py", "export.py", "predict.py")
OF_OTHERS = {
    *("fast-list", "s3-no-head", "s3-no-check-bucket", "size-only"),  # of rclone
    *("dryrun", "local-code-dir"),  # of SkyPilot and TorchX, of ma-cli
}
PLACEHOLDERS = {
    "NET",
    "DATASET",
    "TAB",
    "dens<TAB>",
}  # where one of a list is wanted; DIR, RUN and FILE are as good as any
ADDED = {"plain8", "npz"}  # what docs/adding.md adds, and test_the_page_on_adding_is_followed trains


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_tests_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []
    for file, name, alone in TEST.findall(text):
        searched = [TESTS.get(file, "")] if file else list(TESTS.values())
        wanted = f"def {name or alone}(" if name or alone else "def test_"
        assert any(wanted in body for body in searched), f"{file} {wanted}"


def test_the_pages_name_some_tests():
    assert sum(len(TEST.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 20


@pytest.mark.parametrize("page", [README, README_CN], ids=lambda page: page.name)
def test_lines_of_the_readme_fit_a_window(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
    assert len(lines) <= 120


def table_rows(page: Path) -> list[str]:
    return [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]


def as_compared(block: pages.Block) -> tuple[str, str | None, list[str]]:
    """What programs print is in the language of the page."""
    return block.info, block.file, block.commands if block.info.split(" ")[0] != "text" else []


TWINS = [(README, README_CN), (ROOT / "docs/quickstart.md", ROOT / "docs/quickstart_CN.md")]


@pytest.mark.parametrize(("one", "other"), TWINS, ids=lambda page: page.name)
def test_both_languages_have_the_same_commands_and_tables(one, other):
    english, chinese = pages.blocks(one), pages.blocks(other)
    assert list(map(as_compared, english)) == list(map(as_compared, chinese))
    assert sum(len(block.commands) for block in english) > 20
    rows = table_rows(one), table_rows(other)
    assert len(rows[0]) == len(rows[1])
    for row, twin in zip(*rows):
        assert row.count("|") == twin.count("|"), row
        assert sorted(NUMBER.findall(row)) == sorted(NUMBER.findall(twin)), f"{row}\n{twin}"
        assert sorted(re.findall(r"`[^`]+`", row)) == sorted(re.findall(r"`[^`]+`", twin)), f"{row}\n{twin}"


def test_both_readmes_have_the_same_links():
    links = [re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")) for page in (README, README_CN)]
    assert (links[0][0], links[1][0]) == (README_CN.name, README.name)
    assert sorted(links[0][1:]) == sorted(links[1][1:])


def test_every_recipe_is_named():
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    recipes = sorted(path.stem for path in ROOT.glob("src/mindlift/models/*/recipes/*.yaml"))
    assert len(recipes) > 15
    assert [name for name in recipes if f"`{name}`" not in text] == []


SCHEMA = config.read_schema(ROOT / config.DEFAULTS)


def is_here(program: str) -> bool:
    """Whether it is a file of this checkout, or a command of `mindlift`."""
    return program.startswith("mindlift ") or (program.endswith(".py") and (ROOT / program).is_file())


@functools.lru_cache(None)
def help_of(program: str) -> str:
    how = [program] if program.endswith(".py") else ["-m", *program.split()]
    return subprocess.run(
        [sys.executable, *how, "--help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def parts(command: str) -> tuple[str, list[str]]:
    """The program of this project that a command runs, and its arguments; '' for any other command."""
    words = shlex.split(command.lstrip("$ "))
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    if len(words) < 2 or words[0] not in ("python", "bash", "mindlift"):
        return "", words
    if words[0] == "mindlift":
        return command_of(words[1:])
    if words[1] == "-m":
        return words[2], words[3:]
    if words[0] == "bash" and words[1].startswith("scripts/"):
        program = "eval.py" if "eval" in words[1] else "train.py"
        program = "src/data/build_seg_data.py" if words[1].endswith("build_data.sh") else program
        rest = words[2:]
        return program, rest[next((at for at, word in enumerate(rest) if word.startswith("--")), len(rest)) :]
    return words[1], words[2:]


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The same of what follows `mindlift`: a program, a command for jobs, or one of its own."""
    name, *rest = words
    if f"{name}.py" in OF_CONFIG:
        return f"{name}.py", rest
    if name in mindlift.JOBS:
        return "cloud/submit.py", words
    if name == "data":
        rest = rest or ["--help"]
        return (f"mindlift data {rest[0]}", rest[1:]) if rest[0] in mindlift.DATA else ("", rest)
    assert name in mindlift.COMMANDS or name.startswith("-") or name.isupper(), f"mindlift has no {name}"
    return f"mindlift {name}", rest


def check_command(command: str) -> None:
    """Fails for an option that the program doesn't have, or a value that it doesn't take."""
    program, words = parts(command)
    if program in OF_CONFIG:
        words = [word for word in words if word.lstrip("-") not in SWITCHES]
        if words and words[-1].startswith("--") and words[-1][2:] in SCHEMA.names:
            words.append(
                "true" if SCHEMA.names[words[-1][2:]].kind == "bool" else "TAB"
            )  # of which only the name is told
        if words and programs.uses_finished_weights(program) and not words[0].startswith("-"):
            words = ["--pretrained", *words] if not words[0].endswith(".mindir") else words[1:]
        takes = programs.takes_inputs(program)
        flags = words_and_inputs(words, SCHEMA)[0] if takes else list(arguments(words))
        config.check_use(read_line(flags, SCHEMA, False), SCHEMA, program)
        is_whole = program in ("train.py", "eval.py") and command.startswith("python")
        if program == "eval.py" and "RUN" in words:
            is_whole = "--net" in words  # else the run says which network it is of
        if is_whole and not (PLACEHOLDERS | ADDED) & set(words):
            config.load(words, prog=program)
    elif program == "cloud/submit.py" and "--help" not in words:
        job_arguments.parse(words)
    elif is_here(program):
        for name in FLAG.findall(command.partition(" -- ")[0]):  # behind it are a program's own
            assert f"--{name}" in help_of(program), f"{program} has no --{name}"


def shell_commands(page: Path) -> list[str]:
    """The commands of fenced blocks, and those in the text that begin with a program."""
    fenced = [
        line
        for block in pages.blocks(page)
        if block.info.split(" ")[0] in ("bash", "")
        for line in block.commands
    ]
    text = re.sub(pages.FENCE, "", page.read_text(encoding="utf-8"))
    inline = [
        found
        for found in re.findall(r"`([^`]+)`", text)
        if found.startswith(("python ", "bash ", "mindlift "))
    ]
    rows = re.findall(r"^\| `(--[^`]+)`", text, re.MULTILINE) if page.name == "recipes.md" else []
    found = [*fenced, *inline, *(f"python train.py {row}" for row in rows)]
    return [command.replace(" ...", "") for command in found if parts(command)[0]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_have_options_that_there_are(page):
    for command in shell_commands(page):
        check_command(command)


def test_an_option_that_is_not_there_is_noticed():
    for command in (
        "python train.py --learning_rat 1",
        "python predict.py --lr 1",
        "mindlift report RUN --pdf x",
    ):
        with pytest.raises((AssertionError, ValueError)):
            check_command(command)


@functools.lru_cache(None)
def known_flags() -> set[str]:
    cloud = {
        name.lstrip("-")
        for command in job_arguments.ABOUT
        for action in job_arguments.parser_of(command)._actions
        for name in action.option_strings
    }
    sources = [path for folder in ("src", "cloud", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")]
    others = set(
        re.findall(
            r'"--([\w-]+)"', "".join(path.read_text("utf-8") for path in [*sources, ROOT / "postprocess.py"])
        )
    )
    return {*SCHEMA.names, *SWITCHES, *cloud, *others, *OF_OTHERS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_in_a_pages_text_are_some_programs(page):
    text = re.sub(pages.FENCE, "", page.read_text(encoding="utf-8"))
    named = {name for code in re.findall(r"`([^`]+)`", text) for name in FLAG.findall(code)}
    assert sorted(named - known_flags()) == []
