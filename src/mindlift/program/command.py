"""`mindlift run`: stages, restores, runs the program, publishes. Its lines go to stderr, stdout is the program's."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Callable

from mindlift import sanitize
from mindlift.errors import MindLiftError
from mindlift.interrupts import Interrupted, exit_code
from mindlift.language import localized
from mindlift.model_utils.ranks import Ranks, read_node
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.model_utils.staging.node_gate import NodeGate, job_token
from mindlift.model_utils.staging.stager import Stager
from mindlift.program import arguments
from mindlift.program.arguments import Request
from mindlift.program.channels import check_program, hand_over
from mindlift.program.child import ENDING, Child, find
from mindlift.program.inputs import InputStager, check_exists
from mindlift.program.outputs import Outputs
from mindlift.program.peers import Peers
from mindlift.program.publishing.publisher import Rules
from mindlift.program.publishing.restore import Nodes
from mindlift.refused_paths import naming_refused_paths

MARGIN_S = 1.0  # of the grace, to leave in order


def main(argv: Sequence[str] | None = None, prog: str = "mindlift run") -> int:
    """The exit code: the program's, or that of an error before it."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        with naming_refused_paths():
            return run(arguments.read(sys.argv[1:] if argv is None else argv, prog))
    except Interrupted as err:
        print(
            localized(f"error: ended by {signal.Signals(err.number).name} before the program was started"),
            file=sys.stderr,
        )
        return exit_code(err)
    except KeyboardInterrupt:
        print(localized("error: interrupted"), file=sys.stderr)
        return 130
    except MindLiftError as err:
        if debug:
            traceback.print_exc()
        print(localized(f"error: {sanitize.error(err)}"), file=sys.stderr)
        return err.exit_code
    except ModuleNotFoundError as err:
        if debug or (err.name or "").partition(".")[0] == "mindlift":
            raise
        print(
            localized(f"error: the package {err.name} is not installed: pip install {err.name}"),
            file=sys.stderr,
        )
        return 1


def run(request: Request) -> int:
    ranks = read_node()
    check_program(request.words, request.channels, request.way, os.environ)
    find(request.words, os.environ)
    job = Job(request, ranks)
    child = Child(request.words, os.environ)
    with child.forwarding():
        try:
            return job.run(child)
        finally:
            job.inputs.close()
            job.outputs.release()


class Job:
    """This rank's part: the first of a machine stages and publishes, the others wait for it."""

    def __init__(self, request: Request, ranks: Ranks):
        self.request = request
        self.is_copier = ranks.local_rank == 0 and not ranks.is_scheduler
        self.say: Callable[[str], None] = say if self.is_copier else lambda line: None
        cache, token = cache_folder(request.cache_path), job_token(os.environ)
        count = min(ranks.devices_per_node, ranks.size)
        self.gate = NodeGate(
            cache / "gate", token, ranks.rank, count, self.is_copier, request.stage_timeout_s, say=self.say
        )
        self.peers = Peers(cache, token, ranks.rank, count)
        self.stager = Stager(cache, self.say, timeout_s=request.stage_timeout_s)
        self.inputs = InputStager(self.stager, request.unpacks, request.first)
        nodes = Nodes(ranks.node, -(-ranks.size // ranks.devices_per_node))
        self.outputs = Outputs(self.stager, nodes, Rules(request.settle_s, request.growing), self.say)
        self.ends_at = float("inf")
        self.heard: list[int] = []

    def run(self, child: Child) -> int:
        request = self.request
        paths = self.gate.run("bring the program's inputs and outputs to this machine", self.prepare)
        child.words, variables = hand_over(request.words, request.channels, paths, request.way)
        child.env.update(variables)
        child.on_signal = self.hear
        self.peers.say(None)
        began = time.monotonic()
        program = child.start()
        self.outputs.start(program, child.is_alive)
        code = child.wait()
        self.say(f"the program ended with {describe(code)} after {time.monotonic() - began:.0f} s")
        self.peers.say(code)
        return self.finish(code) if self.is_copier else code

    def prepare(self) -> dict[str, str]:
        """The local path of each channel, by name; nothing is copied before all is known to be there."""
        self.peers.clear()
        for channel in self.request.inputs:
            check_exists(channel)
        self.outputs.lease(self.request.outputs)
        paths = {channel.name: str(self.inputs.stage(channel)) for channel in self.request.inputs}
        self.outputs.restore()
        self.inputs.await_first()
        paths.update({output.channel.name: str(output.root) for output in self.outputs.outputs})
        return paths

    def hear(self, number: int) -> None:
        """A signal has come, and the program has got it."""
        self.heard.append(number)
        if self.heard.count(signal.SIGINT) > 1:
            self.ends_at = time.monotonic()  # the second Ctrl-C: wait for nothing
        elif number in ENDING:
            grace_s = self.request.publish_timeout_s if number == signal.SIGINT else self.request.grace_s
            self.ends_at = min(self.ends_at, time.monotonic() + max(grace_s - MARGIN_S, grace_s / 2))
            self.outputs.hurry()

    def finish(self, code: int) -> int:
        self.ends_at = min(self.ends_at, time.monotonic() + self.request.publish_timeout_s)
        others_ended_well = self.peers.wait(lambda: self.ends_at)
        by_itself = code < 128 and others_ended_well
        is_all = self.outputs.close(code == 0 and others_ended_well, by_itself, lambda: self.ends_at)
        self.peers.clear()
        return code or (0 if is_all else 1)


def describe(code: int) -> str:
    return (
        f"signal {signal.Signals(code - 128).name}"
        if code > 128 and code - 128 in list(signal.Signals)
        else f"code {code}"
    )


def say(line: str) -> None:
    print(localized(f"mindlift run: {sanitize.message(line)}"), file=sys.stderr, flush=True)
