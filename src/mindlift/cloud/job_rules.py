"""What a job has to be, as far as that needs no service: names, variables, places. And its secrets by reference."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from mindlift.cloud import secret_words
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import FIELDS, OWN_PROGRAMS, Job
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.model_utils.config.declared import own_schema
from mindlift.sanitize import single_line
from mindlift.storage.url import as_folder, is_remote, parse

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"(env|file):(.+)")


def finished(job: Job) -> Job:
    """`job` checked as far as that needs no service, with its derived places filled in."""
    if not NAME.fullmatch(job.name):
        raise JobError(f"name is {job.name!r}; expected 1 to 64 letters, digits, - and _")
    if job.retries > 3:
        raise JobError(f"retries is {job.retries}, but ModelArts starts a job again at most 3 times")
    if not job.is_program and job.boot_file not in OWN_PROGRAMS:
        raise JobError(
            f"boot_file is {job.boot_file!r}, but MindLift's own programs are {', '.join(OWN_PROGRAMS)}; "
            "for a program of yours name its folder as well: code"
        )
    check_variables(job)
    if job.is_program:
        check_program(job)
    check_urls(job)
    job = job.replace(
        train_url=as_folder_url(job.train_url),
        outputs={name: as_folder_url(url) for name, url in job.outputs.items()},
    )
    job = with_folders(job)
    check_overlaps(job)
    return job


def with_folders(job: Job, bucket: str = "") -> Job:
    """`job` with what is derived from its bucket, else from `bucket`: outputs, code and logs that name no place."""
    bucket = job.bucket or bucket
    if not bucket:
        return job
    root = f"obs://{bucket}"
    return job.replace(
        code_url=as_folder_url(job.code_url) or f"{root}/code/",
        log_url=as_folder_url(job.log_url) or f"{root}/logs/{job.name}/",
        outputs={name: url or f"{root}/runs/{job.name}/{name}/" for name, url in job.outputs.items()},
    )


def check_program(job: Job) -> None:
    """The keys of a program, by themselves."""
    if job.command and job.args:
        raise JobError("command and args are both given; write the arguments in the command's line")
    names = [*job.inputs, *job.outputs, *job.resume]
    for name in names:
        if not VARIABLE.fullmatch(name):
            raise JobError(f"{name!r} is no name of an input or output: letters, digits and _")
        if names.count(name) > 1:
            raise JobError(f"{name} is the name of two channels; each needs a name of its own")
        if not job.inputs.get(name, "somewhere"):
            raise JobError(
                f"inputs.{name} names no place: a local folder or archive, or obs://bucket/folder/"
            )
    for name, output in job.resume.items():
        if output not in job.outputs:
            there = ", ".join(job.outputs) or "none"
            raise JobError(f"resume.{name} is {output!r}, which is no output; outputs are {there}")
    for name, path in job.paths.items():
        if name not in names:
            raise JobError(f"paths.{name} is no input or output; there are {', '.join(names) or 'none'}")
        if not path.startswith("/"):
            raise JobError(f"paths.{name} is {path!r}; expected a path from the root, such as /cache/{name}")
    if job.paths and not job.keep:
        raise JobError("paths says where `mindlift run` puts inputs and outputs: set keep: true")
    for word in job.args:
        option = word.lstrip("-").partition("=")[0]
        if word.startswith("--") and option.replace("-", "_") in names and job.access != "none":
            raise JobError(
                f"args: {word} is given to the program by the channel {option}; leave it out there"
            )
    for key, words in (
        ("args", job.args),
        ("rehearsal_args", job.rehearsal_args),
        ("command", split(job.command)),
    ):
        told = secret_words.find(words)
        if told:
            raise JobError(
                f"{key}: {told} looks like a secret, and arguments are shown to everybody; use secrets, "
                "which arrive as variables"
            )


def split(command: str) -> list[str]:
    """The words of a shell's line; those between spaces where its quotes are open."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def as_folder_url(url: str) -> str:
    place = parse(url) if is_remote(url) else None
    return str(place.folder()) if place else url


def check_variables(job: Job) -> None:
    for name in [*job.environment, *job.secrets]:
        if not VARIABLE.fullmatch(name):
            raise JobError(f"environment: {name!r} is not the name of a variable")
    for name, value in job.environment.items():
        if secret_words.is_secret_variable(name, value):
            raise JobError(
                f"environment.{name} looks like a secret: write it as secrets.{name}: env:{name}, and export {name}"
            )
        if secret_words.is_key(value):
            raise JobError(
                f"environment.{name} holds what looks like a key: write it as secrets.{name}: env:{name}, and export {name}"
            )
        if "$" in value:
            raise JobError(f"environment.{name} is {value!r}, but platforms expand no $: write the value out")
    for name, value in job.secrets.items():
        if not isinstance(value, str) or not REFERENCE.fullmatch(value):
            raise JobError(
                f"secrets.{name} has to be a reference: env:VARIABLE or file:PATH, never the secret itself"
            )
    for name, given in job.recipe.items():
        if secret_words.is_secret_variable(name, str(given)):
            raise JobError(
                f"recipe.{name} looks like a secret, and arguments are shown to everybody; use secrets"
            )
        if isinstance(given, str) and single_line(given) != given:
            raise JobError(f"recipe.{name} holds a line break or another control character")


def check_urls(job: Job) -> None:
    places = {"code_url": job.code_url, "log_url": job.log_url, **job.sources, **job.results}
    for name, url in places.items():
        try:
            if is_remote(url):
                parse(url)
        except ConfigError as err:
            raise JobError(str(err)) from err
        if name in job.results and url and not is_remote(url):
            raise JobError(
                f"{name} is {url}, but results go to a bucket: obs://bucket/folder/, or nothing for a folder named "
                "after the job; fetch brings them here"
            )


def check_overlaps(job: Job) -> None:
    """No output inside an input, or inside another output."""
    for output, result in job.results.items():
        for name, data in job.sources.items():
            if name not in job.resume and is_inside(result, data):
                raise JobError(
                    f"{output} {result} is inside {name} {data}: results would become data; choose a folder beside it"
                )
        for name, other in job.results.items():
            if name != output and is_inside(result, other):
                raise JobError(
                    f"{output} {result} is inside {name} {other}: each output needs a folder of its own"
                )


def is_inside(inner: str, outer: str) -> bool:
    first, second = (parse(url) if is_remote(url) else None for url in (inner, outer))
    return bool(
        first
        and second
        and first.bucket == second.bucket
        and as_folder(first.key).startswith(as_folder(second.key))
    )


def resolve_secrets(job: Job, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that `secrets` refers to; JobError for those that are not there."""
    env = os.environ if env is None else env
    found = {}
    for name, reference in job.secrets.items():
        kind, _, what = reference.partition(":")
        if kind == "env":
            if not env.get(what):
                raise JobError(f"secrets.{name} refers to the variable {what}, which is not set: export it")
            found[name] = env[what]
        else:
            try:
                found[name] = Path(expanded(what)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as err:
                raise JobError(f"secrets.{name} refers to {what}, which can't be read: {err}") from err
    return found


def repeated(job: Job) -> list[str]:
    """Options of `recipe` that the job or its platform gives as well, each as a line that says what to do.

    A service refuses an option that comes twice, or keeps one of the two without a word.
    """
    known = own_schema().options
    found = []
    for name in job.recipe:
        option = name.replace("-", "_").replace(" ", "")  # OpenI drops spaces
        is_platforms = option in known and known[option].platform
        if option in known and option in FIELDS and not is_platforms:
            found.append(f"recipe.{name} comes twice: write it as {option}, outside of recipe")
        elif option == "enable_modelarts":
            found.append(f"recipe.{name} comes twice: every job has it already")
        elif is_platforms:
            found.append(
                f"recipe.{name} is the platform's: leave it out, and set data_url, train_url, pretrained "
                "(OpenI: datasets, models)"
            )
    options = [name.replace("-", "_") for name in job.recipe]
    return found + [f"recipe.{name} comes twice" for name in sorted(set(options)) if options.count(name) > 1]
