"""What a training and an evaluation share: from the configuration to a connected process."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ContextManager

from mindlift import garbage, models, silence
from mindlift.checkout import IS_CHECKOUT, ROOT
from mindlift.columns import wrapped
from mindlift.data import folder_check
from mindlift.data.multilabel import rules as multilabel
from mindlift.errors import ConfigError, DataError, DeviceError, RankError, StorageError
from mindlift.files import expanded
from mindlift.language import localized
from mindlift.model_utils import (
    cpu_kernels,
    device_adapter,
    devices,
    inputs,
    local_adapter,
    mindspore_build,
    packages,
)
from mindlift.model_utils.adapter import Adapter
from mindlift.model_utils.compiler import NotCompiled
from mindlift.model_utils.config import config, programs, sizes
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import as_yaml, show
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.local_adapter import LocalAdapter
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging import node_gate
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.model_utils.streaming import streamable
from mindlift.models.external import names
from mindlift.models.weights import published
from mindlift.runs import named_weights
from mindlift.runs.named_weights import Named, is_elsewhere
from mindlift.storage.url import is_remote
from mindlift.training import own_folder

LEAST_COLUMNS = 30  # of a terminal whose lines are wrapped

if TYPE_CHECKING:
    from mindlift.model_utils.staging.shared_arrays import Share
    from mindlift.runs.log import RunLog


@dataclass(frozen=True)
class Job:
    """The configuration, this process's place, and the adapter to its files; `workers` is its share of the CPUs."""

    cfg: Config
    ranks: Ranks
    device: str
    workers: int
    adapter: Adapter
    trains: bool

    def stage_in(self, weights: Sequence[Path] = ()) -> Path:
        """The folder with the data, of the right form as far as names and sizes show it; to evaluate, for `weights`."""
        from mindlift.runs import provenance

        path = self.adapter.stage_in()
        folder_check.check(self.cfg, path, self.trains, provenance.common_class_names(weights))
        return path

    def output(self) -> Path:
        """The folder that runs go to, with the run to continue in it."""
        from mindlift.runs import choose as runs

        wanted = runs.wanted(self.cfg.identity(), self.ranks.size)
        return self.adapter.output(self.cfg.resume == "auto", wanted)

    def weights(self) -> Named:
        """The checkpoints that the options name, newest first."""
        return named_weights.find(self.adapter.weights(), Path(self.cfg.ckpt_path))

    def teacher_weights(self) -> list[Path]:
        """What --teacher_weights names, on this machine."""
        return fetch(self.cfg, self.cfg.teacher_weights) if self.cfg.teacher_weights else []

    def connect(self) -> devices.Device:
        """Import mindspore, choose the device and join the other ranks; what the job computes on, with its kernels."""
        with self.telling("loading MindSpore"), garbage.put_off():
            mindspore_build.load()
        if self.ranks.is_main and self.ranks.size > 1:
            # MindSpore waits with the interpreter's lock: nobody could say it later
            print(localized(f"waiting for all {self.ranks.size} ranks (--join_timeout)"), flush=True)
        device_adapter.connect(self.ranks, self.device, self.cfg.threads)
        if self.cfg.cpu_kernels is not False:
            from mindlift.data.kernels import KERNELS

            KERNELS.use(self.kernels_folder(), self.without_pixel_kernels)
        with self.telling("compiling the kernels for this CPU"):
            return replace(devices.current(), kernels=self.kernels())

    def kernels_folder(self) -> Path:
        return cache_folder(self.cfg.cache_path) / "kernels"

    def without_pixel_kernels(self, why: Exception) -> None:
        if self.ranks.is_main:
            print(
                localized(f"images are made without compiled functions, which takes longer: {why}"),
                file=sys.stderr,
            )

    def telling(self, what: str) -> ContextManager[object]:
        """Says on the first rank that this is going on, where nothing else is said for five seconds."""
        return silence.told(what) if self.ranks.is_main else contextlib.nullcontext()

    def kernels(self) -> str:
        """The library of kernels for this CPU, if there is one, and --cpu_kernels and --amp_level let it be used, or ''."""
        wanted = self.cfg.cpu_kernels
        if wanted is False or not cpu_kernels.serve(
            self.cfg.amp_level, devices.of(self.device), bool(wanted)
        ):
            return ""
        version = mindspore_build.numbers(mindspore_build.installed_version())
        try:
            return str(cpu_kernels.library(self.kernels_folder(), version))
        except (NotCompiled, StorageError) as err:
            if wanted:
                raise DeviceError(f"--cpu_kernels true: {err}; leave it out to do without them") from err
            if self.ranks.is_main:
                print(
                    localized(f"norms and convolutions are computed by MindSpore's own kernels: {err}"),
                    file=sys.stderr,
                )
            return ""

    def sharing(self) -> ContextManager[Share]:
        """How the ranks of this node find the images once, together; call it once connected, because it needs numpy."""
        from mindlift.model_utils.staging import shared_arrays

        ranks = self.ranks
        if min(ranks.devices_per_node, ranks.size) == 1:
            return contextlib.nullcontext(shared_arrays.alone)
        folder, job = cache_folder(self.cfg.cache_path) / "shared", node_gate.job_token(os.environ)
        say = functools.partial(print, file=sys.stderr, flush=True)
        return shared_arrays.NodeShare(folder, job, ranks.rank, self.cfg.stage_timeout, say)

    def naming_lost_peers(self) -> ContextManager[None]:
        """Says in a line that another rank has ended."""
        return device_adapter.naming_lost_peers(self.ranks)

    def context(self, log: RunLog, device: devices.Device) -> JobContext:
        """What the job's parts are given, once it is connected to `device`."""
        return JobContext(self.cfg, self.ranks, device, self.workers, log)

    def agree(self, values: list[int]) -> list[int]:
        return device_adapter.agree(self.ranks, values)

    def of_main(self, text: str) -> str:
        """The text of rank 0, on every rank."""
        data = list(text.encode())
        (size,) = self.agree([len(data)])
        return bytes(self.agree(data if self.ranks.is_main else [0] * size)).decode()


def read(argv: Sequence[str] | None, prog: str, own: own_folder.OwnFolder | None = None) -> Config:
    """The configuration that a command line asks for."""
    return config.load(argv, in_cloud=device_adapter.in_cloud_job(), prog=prog, planner=own)


def start(cfg: Config, prog: str, own: own_folder.OwnFolder | None = None) -> Job:
    """Check the configuration, read the rank variables, and prepare the environment for mindspore.

    What was chosen for the folder of `own` is said.
    """
    check_program(cfg, prog)
    trains = prog == "train.py"
    ranks = ranks_of(cfg)
    ranks = device_adapter.check_ranks(ranks, cfg.rank, cfg.group_size, cfg.is_distributed, cfg.device_id)
    device = device_adapter.choose_device(cfg.device_target)
    mindspore_build.check(cfg.any_mindspore)
    mindspore_build.check_ranks(ranks.size, devices.of(device), cfg.any_mindspore)
    packages.ensure(packages.for_options(*cfg.package_needs()))
    check_networks(cfg)
    multilabel.check(cfg)
    devices.check_precision(cfg.amp_dtype, cfg.amp_level, devices.of(device), trains)
    if not cfg.enable_modelarts:
        check_urls(cfg)
        check_files(cfg, trains)
    check_format(cfg, trains)
    if trains:
        devices.check_sink(cfg.dataset_sink_mode, devices.of(device))
    check_refused(cfg)
    if trains:
        from mindlift.report.loggers import names as loggers
        from mindlift.training import rules, schedules

        rules.check(cfg)
        loggers.check(cfg.loggers)
        schedules.from_config(cfg, ranks.size, images=0)
    if prog == "eval.py":
        check_evaluation(cfg)
    adapter = choose_adapter(cfg, ranks, trains)
    device_adapter.prepare_environment(
        ranks, threads=cfg.threads, target=device, join_timeout=cfg.join_timeout
    )
    if ranks.is_main:
        say_what_is_odd(cfg)
        for line in own_folder.lines(cfg, own, ranks.size) if own else ():
            say_wrapped(localized(line))
    return Job(cfg, ranks, device, device_adapter.cpus_per_rank(ranks), adapter, trains)


def say_wrapped(line: str) -> None:
    """On a terminal no word is parted where the screen ends."""
    width = shutil.get_terminal_size().columns
    lines = wrapped(line, width, "", "  ") if sys.stdout.isatty() and width > LEAST_COLUMNS else [line]
    print("\n".join(lines), flush=True)


def check_program(cfg: Config, prog: str) -> None:
    """ConfigError for a configuration that was read for another program, whose options mean something else there."""
    if not isinstance(cfg, Config):
        raise ConfigError(f"{show(cfg)} is no configuration; make one by load_config()")
    if cfg.program != prog:
        wanted, given = programs.name_of(prog), programs.name_of(cfg.program)
        raise ConfigError(
            f"this configuration was read for {given!r}, where --pretrained and folders mean something else than for"
            f" {wanted!r}; read one with load_config(program={wanted!r}, ...)"
        )
    published.check(cfg.pretrained, cfg.net)


def say_what_is_odd(cfg: Config) -> None:
    if cfg.backbone:
        print(localized("--backbone is ignored: it has no effect on any network"), file=sys.stderr)
    for odd in (sizes.mismatch(cfg.to_dict()), config.left_out_of_recipe(cfg)):
        if odd:
            print(localized(f"warning: {odd}"), file=sys.stderr)


def check_networks(cfg: Config) -> None:
    """ConfigError for a network, or a teacher, that there is not."""
    for option, net in (("net", cfg.net), ("teacher", cfg.teacher)):
        names.check(net)
        if net:
            try:
                models.family_name(net)
            except KeyError as err:
                raise ConfigError(f"--{option}: {err.args[0]}") from err


def check_refused(cfg: Config) -> None:
    """ConfigError for what the original models have an option for and this project has not, beyond its default."""
    for option in cfg.declared():
        value = getattr(cfg, option.name)
        if option.refused and value not in (option.default, "none"):
            raise ConfigError(f"--{option.name} {as_yaml(value)}: not supported, because {option.refused}")


def check_urls(cfg: Config) -> None:
    """ConfigError for places in a bucket that nothing would be read from, or written to."""
    if device_adapter.in_cloud_job():
        return  # the platform gives these to every program
    for name, url in (("data_url", cfg.data_url), ("train_url", cfg.train_url)):
        if is_remote(url):
            raise ConfigError(f"--{name} {url} has no effect without --enable_modelarts True; add that")


def check_files(cfg: Config, train: bool) -> None:
    """Find out in no time, and on every process of a job, what is wrong with the files that options name."""
    from mindlift.models.weights import forms
    from mindlift.runs import choose as runs
    from mindlift.runs import provenance

    folder = data_folder(cfg, train)
    weights: list[Path] = []
    if (cfg.pretrained or not train) and not is_elsewhere(cfg.pretrained):
        named = [Path(cfg.pretrained)] if cfg.pretrained else []
        found = named_weights.find(named, Path(cfg.ckpt_path))
        weights = found.files if train else found.to_evaluate(cfg.all).files
    if train and cfg.data_file and not cfg.data_dir and not Path(folder).is_dir():
        raise DataError(f"--data_file {cfg.data_file}: there is no folder {folder}; name the first shard")
    if folder:
        path = local_adapter.existing_folder(folder)
        if train or not is_elsewhere(cfg.pretrained):  # else the names of the classes are with the weights
            folder_check.check(cfg, path, train, [] if train else provenance.common_class_names(weights))
    if train and cfg.teacher_weights and not is_remote(cfg.teacher_weights):
        forms.form_of(named_weights.find([Path(cfg.teacher_weights)], Path()).files[0])
    if train:
        runs.explicit_checkpoint(cfg.resume)
    if weights:
        forms.form_of(weights[0])


def check_evaluation(cfg: Config) -> None:
    """What can be said of the options of an evaluation without its images."""
    from mindlift.data.classification import blacklist, crops

    if cfg.blacklist:
        blacklist.read(Path(cfg.blacklist), 0)
    if cfg.crops > 1:
        crops.check(cfg)


def check_format(cfg: Config, train: bool) -> None:
    """ConfigError for options that MindRecord data can't be read with."""
    if cfg.data_format != "mindrecord":
        return
    if not cfg.enable_modelarts and not (cfg.data_dir if train else cfg.eval_data_dir or cfg.data_dir):
        raise ConfigError(
            "--data_format mindrecord needs --data_dir; make the shards with mindlift data to_mindrecord"
        )
    if cfg.stage_mode == "node_shards":
        raise ConfigError(
            "--stage_mode node_shards: every rank draws from all images, in an order that the number of ranks does not"
            " change, so --data_format mindrecord needs all shards on every node; use --stage_mode all"
        )


def job_size() -> int:
    """Ranks of this job, before it is known whether it wants them."""
    try:
        return device_adapter.read_ranks().size
    except RankError:  # told once the options are known
        return 1


def ranks_of(cfg: Config) -> Ranks:
    """This process's place; variables that make no sense don't stop a job that wants one device."""
    try:
        return device_adapter.read_ranks()
    except RankError:
        if cfg.is_distributed:
            raise
        return Ranks()


def choose_adapter(cfg: Config, ranks: Ranks, trains: bool) -> Adapter:
    """The adapter for where the data is."""
    default = functools.partial(embedded, cfg)
    if cfg.enable_modelarts:
        wanted = inputs.read_inputs(cfg, os.environ)
        if not trains and not wanted.weights:
            wanted = replace(wanted, weights=wanted.output)
        from mindlift.model_utils import cloud_adapter

        finder = None
        if streamable.has_parts(cfg):
            from mindlift.data.mindrecord.parts import RowFinder

            finder = RowFinder()
        return cloud_adapter.make(cfg, wanted, ranks, node_gate.job_token(os.environ), default, finder)
    return LocalAdapter(
        data_folder(cfg, trains), cfg.pretrained, cfg.ckpt_path, default, functools.partial(fetch, cfg)
    )


def data_folder(cfg: Config, train: bool) -> str:
    """The folder that options name for the images; '' if none does."""
    if not train:
        return cfg.eval_data_dir or cfg.data_dir
    return cfg.data_dir or (str(Path(cfg.data_file).parent) if cfg.data_file else "")


def fetch(cfg: Config, url: str) -> list[Path]:
    """The checkpoints at a URL or local path, or those of published weights."""
    if not is_elsewhere(url):
        return [Path(url)]
    from mindlift.model_utils.staging import checkpoints
    from mindlift.model_utils.staging.stager import Stager

    return checkpoints.fetch(Stager(cache_folder(cfg.cache_path), print, cfg.progress), url, cfg.all)


def data_home() -> Path:
    """Where data sets that come with the project are written: data/ of the checkout, else the user's cache."""
    if IS_CHECKOUT:
        return ROOT / "data"
    return Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "mindlift" / "data"


def embedded(cfg: Config) -> Path:
    """The data set that comes with the project; ConfigError for those that don't."""
    from mindlift.data.embedded import digits as demo
    from mindlift.data.embedded import vocdigits as demo_voc

    known = cfg.option("dataset").embedded
    if cfg.dataset not in known:
        raise ConfigError(
            f"--dataset {cfg.dataset} needs --data_dir, or --data_url in a cloud job; only "
            f"{' and '.join(map(repr, known))} come with the project"
        )
    build = {"digits": demo.build, "vocdigits": demo_voc.build_voc}[cfg.dataset]
    return build(data_home() / cfg.dataset)
