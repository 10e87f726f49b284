"""Mistakes of a rehearsal: one line each, before anything is created."""

from __future__ import annotations

import pytest

MISTAKES = {
    "no data": (["--data_url", "/no/such/folder"], "data_url: /no/such/folder does not exist here"),
    "no object": (
        ["--data_url", "obs://{bucket}/none/"],
        "data_url: there is nothing at obs://{bucket}/none/",
    ),
    "no bucket": (
        ["--data_url", "obs://no-such-bucket-here/x/"],
        "bucket no-such-bucket-here: there is no such bucket",
    ),
    "an option": (["--recipe", "lrr=1"], "options: command line: unknown option '--lrr'"),
    "a net": (["--net", "densenet9"], "options: unknown net 'densenet9'"),
    "data missing": (
        ["--net", "densenet121", "--dataset", "imagenet"],
        "dataset imagenet needs data, but the job names none",
    ),
    "nothing to evaluate": (["--boot_file", "eval.py", "--train_url", ""], "needs a checkpoint"),
    "a secret": (
        ["--secrets", "A=env:NOT_SET_HERE"],
        "refers to the variable NOT_SET_HERE, which is not set",
    ),
    "retries on openi": (
        ["--platform", "openi-c2net", "--retries", "1"],
        "OpenI does not start a failed job again",
    ),
    "inside": (["--data_url", "obs://{bucket}/", "--train_url", "obs://{bucket}/x"], "is inside data_url"),
}


@pytest.mark.parametrize("case", [case for case in MISTAKES if case != "nothing to evaluate"])
def test_mistakes_are_one_line_before_anything_is_created(home, case):
    words, expected = MISTAKES[case]
    words = [word.format(bucket=home.bucket) for word in words]
    done = home.run("submit", *home.common, "--cards", "2", *words)
    assert done.code == 2, done.err
    assert expected.format(bucket=home.bucket) in done.error
    assert not list((home.folder / "rehearsals").glob("*/request.json"))
    assert not home.keys("")


def test_wrong_keys_are_one_line(home):
    done = home.run("submit", *home.common, MINIO_SECRET_KEY="not-the-secret")
    assert done.code == 2
    assert "the keys come from" in done.error
    assert "not-the-secret" not in done.err + done.out
    assert "secret123" not in done.err + done.out


@pytest.mark.parametrize(
    "words", [["status", "local://nobody"], ["fetch", "local://nobody"], ["status", "nobody"]]
)
def test_jobs_that_are_not_there(home, words):
    done = home.run(*words)
    assert done.code == 2
    assert "nobody" in done.error
