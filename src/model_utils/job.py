"""What train.py and eval.py share: from the command line to a connected process, and to an exit code."""

from __future__ import annotations

import functools
import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.model_utils import config, device_adapter
from src.model_utils.config import Config
from src.model_utils.errors import ConfigError, MindLiftError, RankError
from src.model_utils.interrupts import Deferred
from src.model_utils.local_adapter import LocalAdapter
from src.model_utils.ranks import Ranks

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """The configuration and this process's place; `workers` is its share of the CPUs."""

    cfg: Config
    ranks: Ranks
    device: str
    workers: int

    def connect(self) -> None:
        """Import mindspore, choose the device and join the other ranks."""
        with Deferred():  # a process that has imported half of mindspore crashes when it ends
            importlib.import_module("mindspore")
        device_adapter.connect(self.ranks, self.device, self.cfg.threads)

    def agree(self, values: list[int]) -> list[int]:
        return device_adapter.agree(self.ranks, values)


def start(argv: Sequence[str] | None, prog: str) -> Job:
    """Read the configuration and the rank variables, and prepare the environment for mindspore."""
    cfg = config.load(argv, in_cloud=device_adapter.in_cloud_job(), prog=prog)
    ranks = ranks_of(cfg)
    ranks = device_adapter.check_ranks(ranks, cfg.rank, cfg.group_size, cfg.is_distributed)
    device = device_adapter.choose_device(cfg.device_target)
    if not cfg.enable_modelarts:
        check_files(cfg, train=prog == "train.py")
    if prog == "train.py" and cfg.dataset_sink_mode and device != "Ascend":
        raise ConfigError(
            f"--dataset_sink_mode true needs Ascend, but this job runs on {device}; leave it out"
        )
    device_adapter.prepare_environment(ranks, threads=cfg.threads)
    if cfg.backbone and ranks.is_main:
        print("--backbone is ignored: it has no effect on any network", file=sys.stderr)
    return Job(cfg, ranks, device, device_adapter.cpus_per_rank(ranks))


def check_files(cfg: Config, train: bool) -> None:
    """Find out in no time, and on every process of a job, what is wrong with the files that options name."""
    from src import checkpoint, runs
    from src.data import layout

    folder = cfg.data_dir if train else cfg.eval_data_dir or cfg.data_dir
    if folder:
        path = LocalAdapter().stage_in(folder)
        layout.check(cfg.dataset, path, train, cfg.num_classes, cfg.allow_unused_classes)
    if train:
        runs.explicit_checkpoint(cfg.resume)
    if cfg.pretrained or not train:
        checkpoint.check_file(runs.to_evaluate(cfg)[0])


def ranks_of(cfg: Config) -> Ranks:
    """This process's place; variables that make no sense don't stop a job that wants one device."""
    try:
        return device_adapter.read_ranks()
    except RankError:
        if cfg.is_distributed:
            raise
        return Ranks()


def choose_adapter(cfg: Config) -> LocalAdapter:
    """The adapter for where the data is."""
    if cfg.enable_modelarts:
        raise ConfigError(
            "--enable_modelarts true needs the cloud adapter, which is not part of this version; pass false"
        )
    return LocalAdapter(functools.partial(embedded, cfg.dataset))


def embedded(dataset: str) -> Path:
    """The data set that comes with the project; ConfigError for those that don't."""
    if dataset != "digits":
        raise ConfigError(f"--dataset {dataset} needs --data_dir; only 'digits' comes with the project")
    from src.data import demo

    return demo.build(ROOT / "data" / "digits")


def main(body: Callable[[], None], debug: bool) -> int:
    """Run `body`; an expected error becomes one line on stderr and its exit code."""
    try:
        body()
        return 0
    except MindLiftError as err:
        if debug:
            traceback.print_exc()
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    except (KeyboardInterrupt, ImportError) as err:
        # while a C extension is being imported, Ctrl-C surfaces as the cause of an ImportError
        if not isinstance(err, KeyboardInterrupt) and not isinstance(err.__cause__, KeyboardInterrupt):
            raise
        print("error: interrupted", file=sys.stderr)
        return 130


def wants_debug(arguments: Sequence[str]) -> bool:
    """Whether tracebacks are wanted, also when the command line can't be read."""
    return any(
        argument.split("=")[0] in ("--debug", "debug") and not argument.lower().endswith("false")
        for argument in arguments
    )
