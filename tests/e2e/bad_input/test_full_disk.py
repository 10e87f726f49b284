"""A disk that is full, or may not be written: one line, and the last good checkpoint stays."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal

from mindlift.runs import manifest as checkpoint_manifest
from tests.support.interrupted import files, prepared
from tests.support.programs import TINY, TRAIN, TRAINED, Finished, run_program

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


def limited(*given: object, most_bytes: int) -> Finished:
    """train.py with a disk that takes no file above `most_bytes`: writing fails as on a full one."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return prepared(limit, *given)


def test_a_folder_without_permission(few_digits, tmp_path):
    def obey_permissions() -> None:
        if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0

    tmp_path.chmod(0o555)
    done = prepared(obey_permissions, *TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path)
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    for part in (str(tmp_path), "Permission denied", "--ckpt_path"):
        assert part in done.error
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_from_the_start(few_digits, tmp_path):
    done = limited(*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path, most_bytes=10)
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    assert str(tmp_path) in done.error
    assert "File too large" in done.error
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_under_the_log(few_digits, tmp_path):
    (tmp_path / "rank_0.log").symlink_to("/dev/full")
    done = run_program(
        TRAIN, *TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path / "out", "--log_path", tmp_path
    )
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    for part in ("rank_0.log", "No space left on device", "--log_path"):
        assert part in done.error


def test_a_full_disk_leaves_the_last_good_checkpoint(few_digits, run, tmp_path):
    shutil.copytree(run, tmp_path / run.name)
    folder = tmp_path / run.name / "checkpoints"
    (folder.parent / "result.json").unlink()  # as if it had been killed after its third checkpoint
    for later in checkpoint_manifest.listed(folder):
        if later.step > 6:
            (folder / later.file).unlink()
    command = (*TRAINED, "--data_dir", few_digits, "--ckpt_path", tmp_path)
    before = files(folder)
    done = limited(*command, most_bytes=20_000)
    assert done.code == 1, done.err + done.out
    assert done.err == done.error + "\n"
    for part in ("can't save checkpoint", "File too large", "earlier checkpoints are unharmed"):
        assert part in done.error
    assert files(folder) == before
    last = run_program(TRAIN, *command)
    assert last.code == 0, last.err
    assert "continuing from" in last.out
    assert "after step 6" in last.out
