"""Which checkpoints the options of a program name: files, folders, runs and folders of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils.config import config
from mindlift.runs import manifest, named_weights
from mindlift.runs.paths import RunPaths


def made_run(base: Path, name: str, *steps: int, argv: str = "--net densenet22") -> Path:
    """A run's folder with a checkpoint after each of `steps`."""
    paths = RunPaths(base / name).create()
    paths.config.write_text(config.load(argv.split()).to_yaml(origins=True))
    for step in steps:
        file = paths.checkpoints / f"net-1_{step}.ckpt"
        file.write_bytes(b"%d" % step)
        saved = manifest.Saved(file.name, 1, step, 9, 1, file.stat().st_size, manifest.file_sha256(file), 1.0)
        with open(paths.checkpoints / manifest.MANIFEST, "a") as lines:
            lines.write(json.dumps(vars(saved)) + "\n")
    return paths.root


@pytest.fixture
def base(tmp_path) -> Path:
    made_run(tmp_path, "20260101-000000", 1, 2, argv="--net densenet100")
    made_run(tmp_path, "20260102-000000", 4, 5, 6, argv="--net densenet22 --image_size 16 --per_batch_size 5")
    made_run(tmp_path, "20260103-000000")  # ended before its first checkpoint
    return tmp_path


# what is named, below the folder of runs: (the checkpoints' steps, newest first, a part of the note)
NAMED = {
    "": ([6, 5, 4], "has 3 runs: 20260102-000000, the newest with a checkpoint, is taken"),
    "20260101-000000": ([2, 1], ""),
    "20260101-000000/checkpoints": ([2, 1], ""),
    "20260102-000000/checkpoints/net-1_5.ckpt": ([5], ""),
}


def steps(found: named_weights.Named) -> list[int]:
    return [int(path.read_bytes()) for path in found.files]


@pytest.mark.parametrize("place", NAMED)
def test_what_is_named(base, place):
    found = named_weights.find([base / place], Path("nowhere"))
    expected, note = NAMED[place]
    assert steps(found) == expected
    assert (note in found.note) if note else found.note == ""
    newest = found.to_evaluate(every=False)
    assert steps(newest) == expected[:1]
    assert ("--all true evaluates every one" in newest.note) == (len(expected) > 1)
    assert found.to_evaluate(every=True) == found


def test_without_any_the_newest_run_counts(base):
    assert steps(named_weights.find([], base)) == [6, 5, 4]
    damaged = base / "20260102-000000/checkpoints/net-1_6.ckpt"
    damaged.write_bytes(b"7")
    assert steps(named_weights.find([], base)) == [5, 4], "what is not as its manifest says is passed over"
    assert steps(named_weights.find([], damaged)) == [
        7
    ], "a checkpoint itself, as DeepLabV3's documents have it"


def test_a_folder_with_one_run_and_one_with_none(tmp_path):
    made_run(tmp_path / "one", "20260101-000000", 3)
    assert named_weights.find([tmp_path / "one"], tmp_path).note.endswith(
        "has a run: 20260101-000000 is taken"
    )
    made_run(tmp_path / "two", "20260101-000000")
    with pytest.raises(CheckpointError, match="none of the 1 runs in .*two has a complete checkpoint"):
        named_weights.find([tmp_path / "two"], tmp_path)
    (tmp_path / "three").mkdir()
    with pytest.raises(CheckpointError, match=r"no \.ckpt, .* files in .*three"):
        named_weights.find([tmp_path / "three"], tmp_path)


def test_files_beside_runs_count_before_them(base):
    (base / "a.pth").write_bytes(b"9")
    assert steps(named_weights.find([base], base)) == [9]


@pytest.mark.parametrize("place", ["", "20260102-000000", "20260102-000000/checkpoints/net-1_5.ckpt"])
@pytest.mark.parametrize("prog", ["eval.py", "export.py", "predict.py"])
def test_every_program_takes_network_and_sizes_of_the_run(base, place, prog):
    cfg = config.load(["--pretrained", str(base / place)], prog=prog)
    assert (cfg.net, cfg.image_size) == ("densenet22", (16, 16))
    assert cfg.per_batch_size == (5 if prog == "eval.py" else 64)
    assert cfg.origin("net") == str(base / "20260102-000000/config.yaml")
    by_default = config.load(["--ckpt_path", str(base)], prog=prog)
    assert by_default == cfg.replace(ckpt_path=str(base), pretrained="")


def test_the_command_line_wins_over_the_run(base):
    argv = ["--pretrained", str(base), "--image_size", "8", "--per_batch_size", "7", "--num_classes", "3"]
    cfg = config.load(argv, prog="eval.py")
    assert (cfg.net, cfg.image_size, cfg.per_batch_size, cfg.num_classes) == ("densenet22", (8, 8), 7, 3)


def test_images_of_the_run_if_they_are_still_there(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    argv = f"--net densenet22 --data_dir {tmp_path / 'data'} --eval_data_dir {tmp_path / 'gone'}"
    run = made_run(tmp_path / "runs", "20260101-000000", 1, argv=argv)

    def folders(*more: str) -> tuple[str, str]:
        cfg = config.load(["--pretrained", str(run), *more], prog="eval.py")
        return cfg.data_dir, cfg.eval_data_dir

    assert folders() == (str(tmp_path / "data"), "")
    assert folders("--data_dir", "other") == ("other", "")
    assert folders("--eval_data_dir", "other") == ("", "other")
    assert folders("--enable_modelarts", "true") == ("", "")
    (tmp_path / "gone").mkdir()
    assert folders() == (str(tmp_path / "data"), str(tmp_path / "gone"))
    assert folders("--data_dir", "other") == ("other", "")
    assert config.load(["--pretrained", str(run)], prog="export.py").data_dir == "", "an export reads none"


@pytest.mark.parametrize(
    "argv",
    [
        "--pretrained x.ckpt",
        "--pretrained obs://bucket/run/",
        "--pretrained obs://bucket/run/ --dataset cifar10",
    ],
)
def test_weights_that_don_t_say_their_network(argv):
    with pytest.raises(ConfigError, match="does not say which network it is of; name it with --net"):
        config.load(argv.split(), prog="eval.py")
    assert config.load([*argv.split(), "--net", "densenet100"], prog="eval.py").net == "densenet100"


def test_in_a_cloud_job_runs_beside_the_program_are_not_meant(base):
    argv = ["--ckpt_path", str(base), "--enable_modelarts", "true", "--train_url", "obs://bucket/run/"]
    assert config.load([*argv, "--net", "densenet100"], prog="eval.py").image_size == (16, 16)
    assert config.load([*argv, "--net", "densenet100"], prog="eval.py").origin("net") == "command line"
