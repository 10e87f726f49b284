"""Tells loggers what a training writes to metrics.jsonl; the file stays the source."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from mindlift.errors import ConfigError
from mindlift.files import as_json, write_atomic
from mindlift.json_text import Record
from mindlift.report.events import scalars
from mindlift.report.loggers.names import Logger, Start, parsed, starter
from mindlift.report.pictures import of_evaluation
from mindlift.runs import folder as run_folder
from mindlift.runs.paths import RunPaths
from mindlift.runs.records import integer

Warn = Callable[[str], None]


class Loggers:
    """Those that `text` names, of the run in `root`; use it as a `with` block.

    One that fails while the training goes on is left out from then on, with a line by `warn`; one that can't start is a
    ConfigError. The ids by which they find a run again are in its loggers.json, so that a training that is continued, here
    or on another machine, is the same run there.
    """

    def __init__(self, text: str, root: Path, options: Mapping[str, object], warn: Warn):
        self.names, self.paths, self.options, self.warn = parsed(text), RunPaths(root), options, warn
        self.running: dict[str, Logger] = {}

    def __enter__(self) -> Loggers:
        known = run_folder.read_object(self.paths.loggers)
        ids = {name: str(value) for name, value in known.items()}
        for name in self.names:
            start = Start(self.paths.root.name, self.paths.root, self.options, ids.get(name, ""))
            try:
                self.running[name] = starter(name)(start)
            except Exception as err:  # whatever a service raises
                self.__exit__()
                raise ConfigError(
                    f"--loggers {name} did not start: {one_line(err)}; set it up as its documents say, or leave it out"
                ) from err
            ids[name] = self.running[name].id
        write_atomic(self.paths.loggers, as_json(ids) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        self.tell(lambda logger: logger.close())

    def add(self, record: Record) -> None:
        """A record of metrics.jsonl: a step's line or an event."""
        step, values = integer(record.get("step")), scalars(record)
        if step is not None and values:
            self.tell(lambda logger: logger.log(values, step))

    def pictures(self, step: int) -> None:
        """Those of the newest evaluation."""
        for file in of_evaluation(self.paths.root):
            self.tell(functools.partial(show, file, step))

    def tell(self, what: Callable[[Logger], None]) -> None:
        for name, logger in list(self.running.items()):
            try:
                what(logger)
            except Exception as err:  # a training does not end for want of a service
                del self.running[name]
                self.warn(f"--loggers {name} failed, and the training goes on without it: {one_line(err)}")


def show(file: Path, step: int, logger: Logger) -> None:
    logger.image(f"evaluation/{file.stem}", file, step)


def one_line(err: Exception) -> str:
    return f"{type(err).__name__}: {' '.join(str(err).split())[:300]}"
