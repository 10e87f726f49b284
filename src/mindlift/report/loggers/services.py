"""Weights & Biases, SwanLab, MLflow and Aim. Where a run goes is their own variables' matter; its project is `mindlift`
unless these name one. Each is imported when it is started, for they take seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mindlift.report.loggers.names import Start

PROJECT = "mindlift"
BATCH = 100  # parameters in one call, which is as many as MLflow takes
MOST_LETTERS = 500  # of a parameter, in MLflow's oldest servers that are supported


class wandb:
    """WANDB_MODE=offline writes to <run>/wandb, for `wandb sync`; WANDB_PROJECT and others are wandb's own."""

    def __init__(self, start: Start):
        import wandb as sdk

        self.sdk = sdk
        self.run = sdk.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=start.name,
            id=start.earlier or None,
            resume="allow",
            dir=str(start.folder),
            config=dict(start.options),
            settings=sdk.Settings(console="off"),
        )

    @property
    def id(self) -> str:
        return str(self.run.id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def image(self, name: str, file: Path, step: int) -> None:
        self.run.log({name: self.sdk.Image(str(file))}, step=step)

    def close(self) -> None:
        self.run.finish()


class swanlab:
    """SWANLAB_MODE=offline writes to <run>/swanlog, for `swanlab sync`; a part that continues an earlier one has its id."""

    def __init__(self, start: Start):
        import swanlab as sdk

        self.sdk = sdk
        earlier = {"id": start.earlier, "resume": "allow"} if start.earlier else {}
        self.run = sdk.init(
            project=os.environ.get("SWANLAB_PROJ_NAME") or PROJECT,
            experiment_name=start.name,
            config=dict(start.options),
            logdir=str(start.folder / "swanlog"),
            **earlier,
        )

    @property
    def id(self) -> str:
        return str(getattr(self.run, "id", None) or "")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.sdk.log(dict(values), step=step)

    def image(self, name: str, file: Path, step: int) -> None:
        self.sdk.log({name: self.sdk.Image(str(file))}, step=step)

    def close(self) -> None:
        self.sdk.finish()


class mlflow:
    """MLFLOW_TRACKING_URI says where; the experiment is MLFLOW_EXPERIMENT_NAME's."""

    def __init__(self, start: Start):
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self.metric, self.client = Metric, MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        known = self.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self.client.create_experiment(name)
        self.id = start.earlier
        if self.id:
            self.client.update_run(self.id, status="RUNNING")
            return
        self.id = self.client.create_run(experiment, run_name=start.name).info.run_id
        shown = [Param(key, str(value)[:MOST_LETTERS]) for key, value in start.options.items()]
        for batch in in_batches(shown):
            self.client.log_batch(self.id, params=batch)

    def log(self, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        metrics = [self.metric(name, value, now, step) for name, value in values.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def image(self, name: str, file: Path, step: int) -> None:
        self.client.log_artifact(self.id, str(file), f"evaluation/step_{step}")

    def close(self) -> None:
        self.client.set_terminated(self.id)


class aim:
    """The repository is that of AIM_REPO, else `.aim` in the current folder."""

    def __init__(self, start: Start):
        import aim as sdk

        self.sdk = sdk
        self.run = sdk.Run(
            run_hash=start.earlier or None,
            repo=os.environ.get("AIM_REPO") or None,
            experiment=PROJECT,
            system_tracking_interval=None,
            capture_terminal_logs=False,
        )
        self.run.name = start.name
        self.run["options"] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in start.options.items()
        }

    @property
    def id(self) -> str:
        return str(self.run.hash)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.run.track(value, name=name, step=step)

    def image(self, name: str, file: Path, step: int) -> None:
        self.run.track(self.sdk.Image(str(file)), name=name, step=step)

    def close(self) -> None:
        self.run.close()


def in_batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))
