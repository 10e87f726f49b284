"""All that a training needs before its first step: images, network, optimiser, schedule, and the state to start from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn

from mindlift import models
from mindlift.data.batches import Options
from mindlift.errors import ConfigError
from mindlift.model_utils import collectives, devices, mindspore_build
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.runs import checkpoint, named_weights
from mindlift.runs.choose import Run
from mindlift.tasks import base as tasks
from mindlift.tasks import network as networks
from mindlift.training import build, compile_cache, freezing, rules
from mindlift.training.images import Opened, Steps, check_classes, check_step
from mindlift.training.masks import Masks
from mindlift.training.networks import Networks
from mindlift.training.standing import KeptStanding
from mindlift.training.step import TrainStep


@dataclass(frozen=True)
class Inputs:
    """What a training begins with: its opened run, its images, its networks, and weights to start from, if any."""

    run: Run
    data: Opened
    networks: Networks
    weights: Sequence[Path]


@dataclass(frozen=True)
class Prepared:
    """A training before its first step. `done` of its steps were made before, `state` is what a checkpoint keeps.

    `standing` is None where nothing follows from evaluations. `uses_queue`: batches come from the device's queue. `graphs` is the folder for the compiled step, None for no cache.
    """

    task: tasks.AnyTask
    options: Options
    samples: tasks.Samples
    network: nn.Cell
    step: TrainStep
    masks: Masks
    steps: Steps
    state: list[ms.Parameter]
    standing: KeptStanding | None
    done: int
    uses_queue: bool
    graphs: Path | None
    frozen: freezing.Freezing | None
    step_for_what_learns: Callable[[], TrainStep]

    def release_at(self, step: int) -> None:
        """Train all of the network from this step on, if it is the one that --unfreeze_epoch means."""
        if self.frozen is not None and self.releases_at(step):
            self.frozen.release()
            freezing.continue_with(self.step, self.step_for_what_learns(), self.state)

    def releases_at(self, step: int) -> bool:
        return self.frozen is not None and self.frozen.until == step

    @property
    def has_graphs(self) -> bool:
        return compile_cache.has(self.graphs)


def prepare(job: JobContext, inputs: Inputs) -> Prepared:
    """Fill the network, and build its optimiser; afterwards all ranks hold the same values."""
    cfg, ranks, device = job.cfg, job.ranks, job.device
    task, options, samples, steps = (
        inputs.data.task,
        inputs.data.options,
        inputs.data.samples,
        inputs.data.steps,
    )
    check_classes(samples.classes, inputs.run.resume_from or inputs.run.paths.root)
    network, teacher = inputs.networks.network, inputs.networks.teacher
    load_initial(job, network, inputs.weights)
    check_phase(job, inputs)
    done = done_before(inputs.run) if cfg.unfreeze_epoch else 0
    frozen = freezing.of(cfg, network, functools.partial(models.head_of, cfg.net), done, steps.per_epoch)
    if frozen:
        frozen.apply()
        job.log.info(f"frozen: {len(frozen.parameters)} of the weights' tensors (--freeze {cfg.freeze})")
    objective = task.objective(cfg, inputs.networks.shown, options)
    masks = Masks(objective, cfg.seed, ranks)
    options_of_step = build.step_options(cfg, ranks.size, device.saturates, steps.per_epoch)
    others = [*([masks.keys] if masks.cells else []), *(teacher.parameters if teacher else [])]

    def step_for_what_learns() -> TrainStep:
        collectives.fuse_all_reduces(
            network.trainable_params(), cfg.all_reduce_fusion, device.fuses_all_reduces
        )
        optimizer = build.optimizer(cfg, network, steps.rates, device)
        return TrainStep(objective, optimizer, options_of_step, others=others)

    step = step_for_what_learns()
    standing = KeptStanding() if rules.watches(cfg) else None
    state = unique([*network.get_parameters(), *step.state, *(standing.parameters if standing else ())])
    if teacher is not None:
        job.log.info(teacher.said)
        state.append(teacher.digest)
    done = restore(job, inputs.run, state, steps.total)
    collectives.copy_from_rank0(state, ranks.rank, ranks.size)
    if teacher is not None:
        teacher.check(inputs.run.resume_from or inputs.run.paths.root)
    uses_queue = takes_queue(job)
    is_frozen = frozen is not None and frozen.until != done
    graphs = graph_folder(job, inputs, objective, uses_queue, is_frozen)
    return Prepared(
        task,
        options,
        samples,
        network,
        step,
        masks,
        steps,
        state,
        standing,
        done,
        uses_queue,
        graphs,
        frozen,
        step_for_what_learns,
    )


def done_before(run: Run) -> int:
    """The steps of the checkpoint to continue from, on every rank."""
    return run.step or (0 if run.resume_from is None else checkpoint.step_of(run.resume_from))


def load_initial(job: JobContext, network: nn.Cell, weights: Sequence[Path]) -> None:
    """Fill `network` from --pretrained, if that names any weights."""
    if not weights:
        return
    named = named_weights.find(weights, Path(job.cfg.ckpt_path))
    which = networks.load_pretrained(job.cfg, network, named.files[0], to_train=True)
    for said in filter(None, (named.taken, which)):
        job.log.info(said)


def check_phase(job: JobContext, inputs: Inputs) -> None:
    """ConfigError for a later phase that starts from nothing."""
    phase = job.cfg.phase
    if phase is not None and phase > 1 and not inputs.weights and inputs.run.resume_from is None:
        raise ConfigError(f"--phase {phase} goes on with the weights of phase {phase - 1}: pass --pretrained")


def restore(job: JobContext, run: Run, state: Iterable[ms.Parameter], total: int) -> int:
    """Fill `state` from the checkpoint to continue from, on the rank that has it; returns the steps done."""
    if run.resume_from is None:
        check_step(run.paths.root, run.step, total)
        return run.step
    done = checkpoint.restore(run.resume_from, state)
    check_step(run.resume_from, done, total)
    job.log.info(f"continuing from {run.resume_from} after step {done}")
    return done


def takes_queue(job: JobContext) -> bool:
    """Whether steps are fed from the device's queue; raises ConfigError where there is none."""
    cfg = job.cfg
    wanted = job.device.has_queue if cfg.dataset_sink_mode is None else cfg.dataset_sink_mode
    devices.check_sink(wanted, job.device)
    if cfg.dataset_sink_mode and cfg.accumulation_steps > 1:
        raise ConfigError(
            "--dataset_sink_mode true and --accumulation_steps above 1 exclude each other; drop one"
        )
    if cfg.dataset_sink_mode and cfg.unfreeze_epoch is not None:
        raise ConfigError("--dataset_sink_mode true and --unfreeze_epoch exclude each other; drop one")
    return wanted and cfg.accumulation_steps == 1 and cfg.unfreeze_epoch is None


def graph_folder(
    job: JobContext, inputs: Inputs, objective: nn.Cell, uses_queue: bool, is_frozen: bool
) -> Path | None:
    """The folder for the compiled step of this training; None: it is compiled each time."""
    cfg = job.cfg
    if cfg.compile_cache and uses_queue:
        raise ConfigError(
            "--compile_cache true was not tried in sink mode; pass --dataset_sink_mode false too"
        )
    is_usual = not uses_queue and compile_cache.is_tried(ms.__version__)
    if not (is_usual if cfg.compile_cache is None else cfg.compile_cache):
        return None
    teacher = inputs.networks.teacher
    facts = {
        **cfg.identity(),
        "data": inputs.data.options,
        "fusion": cfg.all_reduce_fusion,
        "mindspore": mindspore_build.build(),
        "device": job.device,
        "ranks": (job.ranks.rank, job.ranks.size),
        "steps": len(inputs.data.steps.rates),
        "frozen": is_frozen,
    }
    cells = [cell for _, cell in objective.cells_and_names()]
    if teacher is not None:
        facts["teacher"] = (teacher.options, teacher.digest.asnumpy().tolist())
        cells += [cell for _, cell in teacher.network.cells_and_names()]
    return cache_folder(cfg.cache_path) / "graphs" / compile_cache.key(facts, compile_cache.sources(cells))


def unique(parameters: Iterable[ms.Parameter]) -> list[ms.Parameter]:
    return list({parameter.name: parameter for parameter in parameters}.values())
