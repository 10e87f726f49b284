"""What the word at the cursor of a command line of cloud/submit.py can become; see src/mindlift/cli/completion.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mindlift.checkout import ROOT
from mindlift.cli import completion
from mindlift.cli.job_arguments import ABOUT, ALIASES, ON_A_JOB, parser_of
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS
from mindlift.cloud.providers.local.folder import JobFolder, home
from mindlift.cloud.states import Phase
from mindlift.model_utils.config.declared import own_schema


def candidates(words: Sequence[str]) -> list[str]:
    """For the last of `words`, which follow the program's name: commands, options, their values, rehearsals; whole words."""
    if len(words) == 1 and not words[0].startswith("-"):
        return [name for name in ABOUT if name.startswith(words[0])]
    command = ALIASES.get(words[0], words[0])
    if command not in ABOUT:
        command = "submit"
    flag, value, prefix = completion.at_cursor(words)
    options = {
        name: action.nargs != 0
        for action in parser_of(command)._actions
        for name in action.option_strings
        if name.startswith("--")
    }
    if options.get(flag):
        return [prefix + each for each in values_of(flag[2:], words) if each.startswith(value)]
    if value.startswith("-") or command not in ON_A_JOB:
        return [name for name in options if name.startswith(value)]
    return [name for name in rehearsals() if name.startswith(value)]


def values_of(name: str, words: Sequence[str]) -> Iterable[str]:
    if name == "state":
        return [phase.value for phase in Phase]
    if name in ("net", "dataset"):
        return completion.values_of(own_schema().options[name], words, ROOT)
    about = FIELDS[name].metadata if name in FIELDS else {}
    return completion.TRUTHS if about.get("kind") == "bool" else about.get("choices", ())


def rehearsals() -> list[str]:
    """The handles that can be known without asking a service."""
    found = (path for path in home().glob("*") if JobFolder(path).exists())
    return [str(Handle("local", (path.name,))) for path in sorted(found, reverse=True)]
