"""The adapter of a job whose data and results are in a bucket.

On every node one rank copies and the others wait at the gate, before anything is connected. The first rank
of each node publishes. A value that is a local folder already (ModelArts v2, a mount) is used in place.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mindlift.errors import ConfigError, MindLiftError, StageError
from mindlift.files import append_line, remove_file, write_atomic
from mindlift.language import localized
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.schema import DEFAULTS
from mindlift.model_utils.inputs import Inputs, Source, main_source
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging import checkpoints
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.model_utils.staging.lease import Lease, LeaseLost
from mindlift.model_utils.staging.node_gate import NodeGate
from mindlift.model_utils.staging.publisher import Overtaken, Publisher, Target, describe
from mindlift.model_utils.staging.restore import Restored, fetch_logs, restore
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging.stager import Stager
from mindlift.model_utils.streaming import start, streamable
from mindlift.model_utils.streaming.arrivals import ARRIVALS, Arriving
from mindlift.model_utils.streaming.pieces import Finder
from mindlift.model_utils.streaming.streamer import Rounds, Streamer
from mindlift.runs import anew
from mindlift.runs.choose import Wanted
from mindlift.runs.paths import RunPaths, run_folders
from mindlift.storage.url import is_remote, join, local_path

STOP_GRACE_S = 10.0  # of the 15 s that ModelArts gives after SIGTERM


@dataclass(frozen=True)
class Place:
    """Local folders and limits of this job."""

    ckpt_path: str  # '' unless the user names one
    keep: int
    data_url: str
    publish_timeout_s: float
    shares_shards: bool
    stage: str = "copy"  # the option, for data sets that can be streamed
    every_checkpoint: bool = False  # of the run that `weights` names, not the newest only
    data_index: str = ""
    keep_best: int = 0
    cache_bytes: int = 0  # 0: no limit
    finder: Finder | None = None  # of data whose objects are streamed in parts
    under_way_bytes: float = math.inf


class CloudAdapter:
    """See adapter.py for the contract; `default` makes the data set where no data is named."""

    def __init__(
        self,
        inputs: Inputs,
        ranks: Ranks,
        place: Place,
        gate: NodeGate,
        stager: Stager,
        default: Callable[[], Path] | None,
    ):
        self.inputs, self.ranks, self.place, self.gate, self.stager = inputs, ranks, place, gate, stager
        self.default = default
        self.restored = Restored()
        self.lease: Lease | None = None
        self.publisher: Publisher | None = None
        self.streamers: dict[Path, Streamer] = {}
        self.is_ending = False

    def __enter__(self) -> CloudAdapter:
        return self

    @property
    def is_copier(self) -> bool:
        return self.ranks.local_rank == 0

    @property
    def publishes(self) -> bool:
        return is_remote(self.inputs.output)

    def stage_in(self) -> Path:
        """One data set as the folder that holds it; of several the one that --data_url names, or their parent."""
        sources = self.inputs.data
        if not sources:
            if self.default is None:
                raise StageError("the job names no data: pass --data_url obs://bucket/folder/")
            return Path(self.gate.run("make the embedded data set", self.embedded))
        nodes = -(-self.ranks.size // self.ranks.devices_per_node) if self.place.shares_shards else 1
        folders = [self.folder(source, nodes) for source in sources]
        chosen = main_source(sources, self.place.data_url)
        if len(folders) == 1 or chosen:
            return folders[sources.index(chosen) if chosen else 0]
        return common_folder(sources, folders)

    def embedded(self) -> str:
        assert self.default
        return str(self.default())

    def folder(self, source: Source, nodes: int) -> Path:
        def work() -> list[str]:
            finder = self.place.finder
            if self.place.stage != "copy" and start.can_stream(self.stager, source, finder):
                how = start.How(
                    self.place.stage == "auto",
                    index_place=self.place.data_index,
                    cache_bytes=self.place.cache_bytes,
                    readers=min(self.ranks.devices_per_node, self.ranks.size),
                    finder=finder,
                    under_way_bytes=self.place.under_way_bytes,
                )
                begun = start.start(self.stager, source, how)
                self.streamers[begun.target] = begun.streamer
                mark = begun.streamer.request.mark if begun.streamer.wants_rounds else ""
                return [str(begun.target), str(begun.control), mark]
            return [str(stage_in(self.stager, source, self.ranks.node, nodes)), "", ""]

        folder, control, mark = self.gate.run(f"copy {source.url}", work)
        if control:
            own = f"{mark}-{self.ranks.local_rank}" if mark else ""
            ARRIVALS.begin(Arriving(Path(folder), Path(control), self.gate.timeout_s, self.stager.say, own))
        return Path(folder)

    def will_read(
        self, files: Callable[[], Sequence[str]], rounds: Callable[[], Rounds] | None = None
    ) -> None:
        if rounds is not None and ARRIVALS.lets_go:
            ARRIVALS.follow(rounds().begun())
        ordered = files() if self.streamers else ()
        for folder, streamer in self.streamers.items():
            root = f"{folder}/"
            if rounds is not None and streamer.wants_rounds:
                streamer.follow(below(root, rounds()))
            streamer.order([file[len(root) :] for file in ordered if file.startswith(root)])

    def weights(self) -> list[Path]:
        url = self.inputs.weights
        if not url:
            return []
        found = self.gate.run(f"copy {url}", lambda: self.fetched(url))
        return [Path(path) for path in found]

    def fetched(self, url: str) -> list[str]:
        return [str(path) for path in checkpoints.fetch(self.stager, url, self.place.every_checkpoint)]

    def output(self, may_continue: bool, wanted: Wanted) -> Path:
        base = self.local_output()
        origin = self.inputs.output if self.publishes else self.inputs.resume_url
        if may_continue and is_remote(origin) and self.ranks.node == 0:
            self.gate.run(f"look for a run to continue in {origin}", lambda: self.bring(base, wanted, origin))
        return base

    def local_output(self) -> Path:
        output = self.inputs.output
        if self.place.ckpt_path or not output:
            return Path(self.place.ckpt_path or "output/")
        if not self.publishes:
            return Path(local_path(output))
        return Path(self.inputs.output_path or self.stager.place("output", Source(output)))

    def bring(self, base: Path, wanted: Wanted, origin: str) -> str:
        """The furthest unfinished run of these settings in the bucket, unless it is further here.

        Where the platform moves the results, the job may have no access to the bucket: it starts from zero then.
        """
        try:
            self.restored = restore(base, origin, wanted.mark, self.stager.say, self.own)
            is_none = not self.restored.root and not run_folders(base)
            why_new = anew.of_bucket(origin, wanted) if is_none else ""
        except MindLiftError as err:
            if self.publishes:
                raise
            self.stager.say(f"warning: can't look for a run to continue in {origin}: {err}")
            return ""
        if why_new:
            self.stager.say(why_new)
        return str(self.restored.root or "")

    def own(self, run: str) -> None:
        """Take the lease of a run in the bucket, and give back that of another one; ConfigError if it is in use."""
        if not self.publishes or (self.lease and self.lease.url == run):
            return
        self.disown()
        lease = Lease(run, self.stager.say, on_loss=self.stop)
        lease.take()
        lease.keep()
        self.lease = lease

    def disown(self) -> None:
        if self.lease:
            self.lease.release()
            self.lease = None

    def stop(self) -> None:
        """Another job has the run: the training stops as after SIGTERM, which it knows to do at any point."""
        if not self.is_ending:
            self.is_ending = True
            os.kill(os.getpid(), signal.SIGTERM)

    def is_left(self, root: Path) -> bool:
        if not self.publishes:
            return False
        try:
            return RunPaths(root).unpublished.read_text(encoding="utf-8") == join(
                self.inputs.output, root.name
            )
        except (OSError, UnicodeDecodeError):
            return False

    def follow(self, root: Path) -> None:
        if not self.publishes or not self.is_copier:
            return
        url, is_main = join(self.inputs.output, root.name), self.ranks.rank == 0
        restored = self.restored if self.restored.root == root else Restored()
        if is_main:
            self.own(url)
            write_atomic(RunPaths(root).unpublished, url)
            for record in self.stager.staged:
                append_line(RunPaths(root).transfers, record)
        else:
            fetch_logs(root, url)
        target = Target(
            url,
            self.place.keep,
            is_main,
            self.lease,
            restored.files,
            restored.damaged,
            self.place.keep_best,
        )
        self.publisher = Publisher(root, target, self.stager.say, on_end=self.stop)

    def publish(self, file: Path) -> None:
        if self.publisher:
            self.publisher.notify()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        self.is_ending = True
        for streamer in self.streamers.values():
            streamer.close()
        try:
            self.finish(kind)
        finally:
            self.disown()

    def finish(self, kind: type[BaseException] | None) -> None:
        if self.publisher is None:
            return
        stopped = kind is not None and issubclass(kind, (InterruptedError, KeyboardInterrupt))
        problem = self.publisher.close(STOP_GRACE_S if stopped else self.place.publish_timeout_s)
        paths = RunPaths(self.publisher.root)
        if problem is None:
            if paths.result.is_file():
                remove_file(paths.unpublished)
            return
        if isinstance(problem, (LeaseLost, Overtaken)):
            raise problem
        text = (
            f"not everything is published to {self.publisher.url}: {describe(problem)}; it is in {paths.root}"
        )
        if kind is None:
            raise StageError(text) from problem
        print(localized(f"warning: {text}"), file=sys.stderr)


def below(root: str, rounds: Rounds) -> Rounds:
    """The same by names relative to `root`, without what is elsewhere."""
    start = len(root)
    return rounds._replace(
        each=([file[start:] for file in files if file.startswith(root)] for files in rounds.each)
    )


def common_folder(sources: tuple[Source, ...], folders: list[Path]) -> Path:
    """The folder around several data sets."""
    parents = {folder.parent for folder in folders}
    if len(parents) == 1:
        return parents.pop()
    names = ", ".join(source.name or source.url for source in sources)
    raise StageError(f"several data sets were selected ({names}); name the one to read with --data_url")


def rank0_of_node_printer(ranks: Ranks) -> Callable[[str], None]:
    """Lines of the first rank of each node on stdout, nothing from the others."""
    if ranks.local_rank:
        return lambda line: None
    return lambda line: print(localized(line), flush=True)


def make(
    cfg: Config,
    inputs: Inputs,
    ranks: Ranks,
    token: str,
    default: Callable[[], Path] | None,
    finder: Finder | None = None,
) -> CloudAdapter:
    """The adapter of a job with this configuration; `token` names this job and attempt. `finder` knows the parts of the
    objects that the data is in, if these are streamed in parts.
    """
    say, cache = rank0_of_node_printer(ranks), cache_folder(cfg.cache_path)
    peers = min(ranks.devices_per_node, ranks.size)
    gate = NodeGate(
        cache / "gate", token, ranks.rank, peers, ranks.local_rank == 0, cfg.stage_timeout, say=say
    )
    why_not = streamable.why_copied(cfg)
    if cfg.stage == "stream" and why_not:
        say(f"--stage stream: the data is copied before the first step: {why_not}")
    streamable.check(cfg, not why_not)
    if cfg.data_index and len(inputs.data) > 1:
        raise ConfigError(
            f"--data_index {cfg.data_index}: it is of one folder, and {len(inputs.data)} data sets are named"
        )
    place = Place(
        "" if cfg.origin("ckpt_path") == DEFAULTS else cfg.ckpt_path,
        cfg.keep_checkpoint_max,
        cfg.data_url,
        cfg.publish_timeout,
        cfg.stage_mode == "node_shards",
        "copy" if why_not else cfg.stage,
        cfg.all,
        cfg.data_index,
        cfg.keep_best,
        int(cfg.cache_gb * 1e9),
        finder,
        streamable.under_way_bytes(cfg),
    )
    return CloudAdapter(
        inputs, ranks, place, gate, Stager(cache, say, cfg.progress, cfg.stage_timeout), default
    )
