"""Rank variables, ports and numbers of ranks that make no sense: one line, and an end in time."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from mindlift.data.classification import cifar10
from tests.support.programs import TINY, TRAIN, run_program, run_ranks

MSRUN = {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "1"}
# id: (variables, arguments, parts of the one line)
VARIABLES = {
    "rank without size": ({"RANK_ID": "0"}, "", ["RANK_ID=0", "RANK_SIZE is not set"]),
    "size without rank": ({"RANK_SIZE": "2"}, "", ["RANK_SIZE=2", "RANK_ID is not set"]),
    "rank above size": ({"RANK_ID": "3", "RANK_SIZE": "2"}, "", ["RANK_ID=3", "RANK_SIZE=2"]),
    "rank not a number": ({"RANK_ID": "one", "RANK_SIZE": "2"}, "", ["RANK_ID=one", "whole number"]),
    "role without the rest": ({"MS_ROLE": "MS_WORKER"}, "", ["MS_ROLE=MS_WORKER", "MS_WORKER_NUM", "msrun"]),
    "workers without role": ({"MS_WORKER_NUM": "2"}, "", ["MS_ROLE is not set", "MS_WORKER_NUM=2"]),
    "worker without number": (MSRUN, "", ["MS_NODE_ID is not set", "--node_rank"]),
    "two launchers": ({**MSRUN, "MS_NODE_ID": "0", "RANK_ID": "1"}, "", ["RANK_ID=1", "MS_NODE_ID=0"]),
    "openmpi half": ({"OMPI_COMM_WORLD_SIZE": "2"}, "", ["OMPI_COMM_WORLD_RANK is not set"]),
    "rank table missing": (
        {"RANK_ID": "0", "RANK_SIZE": "2", "RANK_TABLE_FILE": "/nowhere"},
        "",
        ["RANK_TABLE_FILE=/nowhere"],
    ),
    "group_size of another launch": (
        {**MSRUN, "MS_NODE_ID": "0"},
        "--group_size 8",
        ["--group_size 8", "2 process(es)", "local_ranks.sh 8"],
    ),
    "rank of another launch": ({**MSRUN, "MS_NODE_ID": "0"}, "--rank 1", ["--rank 1", "this is rank 0"]),
    "one process wanted": (
        {**MSRUN, "MS_NODE_ID": "0"},
        "--is_distributed 0",
        ["--is_distributed 0", "2 process(es)"],
    ),
    "a mistake in the scheduler": (
        {**MSRUN, "MS_ROLE": "MS_SCHED"},
        "--data_dir /nowhere",
        ["--data_dir /nowhere"],
    ),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_rank_variables_that_make_no_sense_are_one_line(case, place, tmp_path):
    variables, text, parts = VARIABLES[case]
    done = run_program(
        TRAIN,
        *TINY,
        "--ckpt_path",
        tmp_path / "out",
        *text.split(),
        PYTHONPATH=str(place / "without"),
        **variables,
    )
    assert done.code == 2, done.err
    for part in parts:
        assert part in done.error
    assert done.err == done.error + "\n"
    assert not list(tmp_path.iterdir())


def test_more_ranks_than_images(few_digits, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    images, labels = cifar10.read_batch(few_digits / "data_batch_1.bin")
    cifar10.write_batch(folder / "data_batch_1.bin", images[:1], labels[:1])
    started = time.monotonic()
    done = run_ranks(
        2,
        TRAIN,
        *TINY,
        "--data_dir",
        folder,
        "--ckpt_path",
        tmp_path / "out",
        "--per_batch_size",
        1,
        LOG_DIR=str(tmp_path / "logs"),
    )
    assert done.code == 2, done.err
    assert "2 ranks but only 1 training images" in done.error
    assert time.monotonic() - started < 60


@pytest.mark.heavy
def test_a_port_that_is_taken(few_digits, tmp_path):
    """Two ranks and their scheduler, whose port another program has."""
    program = tmp_path / "python"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        program.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {port} || exec {sys.executable} "$@"\n')
        program.chmod(0o755)
        started = time.monotonic()
        done = run_ranks(
            2,
            TRAIN,
            *TINY,
            "--data_dir",
            few_digits,
            "--ckpt_path",
            tmp_path / "out",
            LOG_DIR=str(tmp_path / "logs"),
            PYTHON=str(program),
        )
    assert done.code == 1, done.err
    assert str(tmp_path / "logs/scheduler.log") in done.err
    assert len(done.err.splitlines()) == 1
    assert time.monotonic() - started < 60
    log = (tmp_path / "logs/scheduler.log").read_text().splitlines()[-1]
    assert log.startswith(f"error: the scheduler could not join the other ranks at 127.0.0.1:{port}")
    assert "another job has taken the port" in log
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_mistake_on_several_ranks_is_said_once(tmp_path):
    done = run_ranks(2, TRAIN, *TINY, "--lr", "-1", "--ckpt_path", tmp_path, LOG_DIR=str(tmp_path / "logs"))
    assert done.code == 2
    assert "at least 0" in done.error
