"""Which files of a folder a job gets: as gitignore(5) says, and as `git check-ignore` answers on the same tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.prepare import code_files

# Each: files, ignore files by path, and where gitignore(5) ("PATTERN FORMAT", "EXAMPLES", git 2.39) says so.
TREES = {
    "a comment and an escaped one": (["#a", "b", "a"], {".gitignore": "# b\n\\#a\n\n"}),
    "trailing spaces": (["a", "b ", "c"], {".gitignore": "a   \nb\\ \n"}),
    "a later line with ! wins": (["a.log", "keep.log", "d/keep.log"], {".gitignore": "*.log\n!keep.log\n"}),
    "an earlier line with ! loses": (["keep.log"], {".gitignore": "!keep.log\n*.log\n"}),
    "nothing comes back below an excluded folder": (
        ["d/keep", "d/x", "e/keep", "e/x"],
        {".gitignore": "d/\n!d/keep\ne/*\n!e/keep\n"},
    ),
    "a literal !": (["!important!.txt", "x"], {".gitignore": "\\!important!.txt\n"}),
    "a name without a slash matches at any level": (["hello.c", "d/hello.c"], {".gitignore": "hello.*\n"}),
    "a slash at the beginning ties to the folder": (["hello.c", "d/hello.c"], {".gitignore": "/hello.*\n"}),
    "a slash in the middle ties, too": (["doc/frotz/x", "a/doc/frotz/x"], {".gitignore": "doc/frotz\n"}),
    "a slash at the end is for folders": (["frotz", "a/frotz/x", "b/frotz"], {".gitignore": "frotz/\n"}),
    "a star matches no slash": (["foo/test.json", "foo/bar/hello.c", "foo/x"], {".gitignore": "foo/*.json\n"}),
    "a question mark and a range": (["a1", "a12", "b3", "c1"], {".gitignore": "a?\n[b-c]3\n"}),
    "two stars before": (["foo/bar", "a/b/foo/bar", "foo/x"], {".gitignore": "**/foo/bar\n"}),
    "two stars behind": (["abc/x", "abc/d/y", "d/abc/z"], {".gitignore": "abc/**\n"}),
    "what is below comes back": (["abc/x", "abc/y", "abc/d/x"], {".gitignore": "abc/**\n!abc/x\n"}),
    "two stars between": (["a/b", "a/x/b", "a/x/y/b", "c/a/b"], {".gitignore": "a/**/b\n"}),
    "everything but one folder": (["foo/bar/x", "foo/y", "z"], {".gitignore": "/*\n!/foo\n/foo/*\n!/foo/bar\n"}),
    "everything but Python": (["a.txt", "b.py", "d/e.txt", "d/f.py"], {".gitignore": "*\n!*/\n!*.py\n"}),
    "a file below wins over one above": (
        ["a.log", "d/a.log", "d/e/a.log", "d/b.txt"],
        {".gitignore": "*.log\n", "d/.gitignore": "!a.log\n*.txt\n", "d/e/.gitignore": "a.log\n"},
    ),
    "a file below is about its folder": (["x", "d/x", "d/e/x"], {"d/.gitignore": "/x\n"}),
    "none below an excluded folder is read": (
        ["d/x", "d/y"],
        {".gitignore": "d/\n", "d/.gitignore": "!x\n"},
    ),
    "a folder that comes back": (["out/a", "out/b"], {".gitignore": "out/\n!out/\n"}),
}  # fmt: off


def plant(root: Path, files: list[str], ignore_files: dict[str, str]) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    for name, text in ignore_files.items():
        (root / name).write_text(text)


def found(root: Path, *exclude: str) -> list[str]:
    return [name for name in sorted(code_files.find(root, exclude).files) if "ignore" not in name]


def left_out(root: Path, *exclude: str) -> tuple[str, ...]:
    return code_files.find(root, exclude).left_out


@pytest.mark.parametrize("case", TREES)
def test_the_same_as_git(tmp_path, case):
    files, ignore_files = TREES[case]
    plant(tmp_path, files, ignore_files)
    git = ["git", "-C", str(tmp_path), "-c", "core.excludesFile="]
    subprocess.run([*git, "init", "-q"], check=True)
    asked = subprocess.run(
        [*git, "check-ignore", "-z", "--stdin"],
        input="\0".join(files),
        capture_output=True,
        check=False,
        text=True,
    )
    assert asked.returncode in (0, 1), asked.stderr
    ignored = set(filter(None, asked.stdout.split("\0")))
    assert found(tmp_path) == sorted(set(files) - ignored)


def test_the_table_is_not_about_nothing(tmp_path):
    """In nearly every tree something is left out and something is not."""
    for number, (files, ignore_files) in enumerate(TREES.values()):
        plant(tmp_path / str(number), files, ignore_files)
    kept = [len(found(tmp_path / str(number))) for number in range(len(TREES))]
    assert sum(kept) > 20
    assert sum(len(files) for files, _ in TREES.values()) - sum(kept) > 25


def test_an_ignore_file_of_mindlift_stands_in_for_gits(tmp_path):
    plant(
        tmp_path, ["a.log", "big.bin", "d/a.log"], {".gitignore": "*.log\n", ".mindliftignore": "big.bin\n"}
    )
    assert found(tmp_path) == ["a.log", "d/a.log"]


def test_exclude_wins_over_the_files(tmp_path):
    plant(tmp_path, ["a.log", "b.py", "d/c.py"], {".gitignore": "*.log\n", "d/.gitignore": "!c.py\n"})
    assert found(tmp_path, "c.py", "!a.log") == ["a.log", "b.py"]


def test_data_and_checkpoints_stay_here_and_are_named(tmp_path):
    plant(
        tmp_path,
        ["train.py", "a.ckpt", "x/b.PTH", "x/b.pth", "d.mindrecord", "d.mindrecord.db", "i.tar.gz"],
        {},
    )
    assert found(tmp_path) == ["train.py", "x/b.PTH"]  # as git: names differ by their case
    assert left_out(tmp_path) == (
        "checkpoints (2 files, 2 B: a.ckpt, x/b.pth)",
        "data (3 files, 3 B: d.mindrecord, d.mindrecord.db, i.tar.gz)",
    )
    assert found(tmp_path, "!a.ckpt", "!d.*") == [
        "a.ckpt",
        "d.mindrecord",
        "d.mindrecord.db",
        "train.py",
        "x/b.PTH",
    ]


def test_folders_of_tools_and_environments_are_not_opened(tmp_path):
    inside = [f"{name}/x.py" for name in (".git", "a/__pycache__", "b/__pycache__", "env", "conda", "real")]
    plant(tmp_path, [*inside, "env/pyvenv.cfg", "conda/conda-meta/history"], {})
    (tmp_path / "env/unreadable").mkdir(mode=0)
    assert found(tmp_path) == ["real/x.py"]
    assert left_out(tmp_path) == (".git/", "__pycache__/", "conda/", "env/")


def test_links_to_files_inside_are_sent_and_those_to_folders_are_not(tmp_path):
    code = tmp_path / "code"
    plant(code, ["train.py", "lib/shared.py"], {})
    plant(tmp_path, ["big/data"], {})
    (code / "shared.py").symlink_to(code / "lib/shared.py")
    (code / "big").symlink_to(tmp_path / "big")
    (code / "round").symlink_to(code)
    (code / "gone").symlink_to(tmp_path / "nothing")
    assert found(code) == ["lib/shared.py", "shared.py", "train.py"]
    assert left_out(code) == ("big/", "round/", "broken links (1 file, 0 B: gone)")


def test_a_folder_of_many_images_is_data(tmp_path):
    plant(tmp_path, [f"imgs/{n}.JPG" for n in range(code_files.MANY_IMAGES)], {})
    plant(tmp_path, ["imgs/labels.csv", "docs/figure.png", "train.py"], {})
    assert found(tmp_path) == ["docs/figure.png", "imgs/labels.csv", "train.py"]
    assert left_out(tmp_path) == ("images (50 files, 50 B: imgs/0.JPG, imgs/1.JPG, imgs/10.JPG, ...)",)
    assert len(found(tmp_path, "!imgs/")) == 53


def test_an_ignore_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe")
    with pytest.raises(JobError, match=r"\.gitignore can't be read"):
        code_files.find(tmp_path, ())
