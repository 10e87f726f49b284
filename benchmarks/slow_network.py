"""A network between a client and a server of this machine: a delay each way, and a rate that all connections share.

    python benchmarks/slow_network.py --to 127.0.0.1:9000 --delay_ms 10 --mb_s 50

It prints the port that it listens on. `tc netem` does the same in the kernel, where that has it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MOST_WAITING = 4 << 20  # bytes of one connection and direction that are on their way
PIECE = 256 << 10


class Line:
    """One direction of the network, which all connections share: bytes leave one after another."""

    def __init__(self, delay_s: float, bytes_per_s: float):
        self.delay_s, self.bytes_per_s, self.free_at = delay_s, bytes_per_s, 0.0

    def arrival(self, now: float, size: int) -> float:
        """When `size` bytes are there that are sent `now`."""
        if self.bytes_per_s:
            self.free_at = max(self.free_at, now) + size / self.bytes_per_s
            now = self.free_at
        return now + self.delay_s


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line) -> None:
    """All bytes of one direction of a connection, each when it arrives."""
    loop = asyncio.get_running_loop()
    ahead: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_WAITING // PIECE)

    async def take() -> None:
        # a program that was killed: the other side is closed as well
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(PIECE):
                await ahead.put((line.arrival(loop.time(), len(data)), data))
        await ahead.put((line.arrival(loop.time(), 0), b""))

    taking = asyncio.create_task(take())
    try:
        while True:
            at, data = await ahead.get()
            await asyncio.sleep(max(at - loop.time(), 0))
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        taking.cancel()
        writer.close()


async def serve(host: str, port: int, delay_s: float, bytes_per_s: float) -> None:
    there, back = Line(delay_s, bytes_per_s), Line(delay_s, bytes_per_s)
    tasks: set[asyncio.Task[None]] = (
        set()
    )  # of connections; asyncio itself forgets those whose client has gone

    async def carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port, limit=PIECE)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            carry(reader, far_writer, there), carry(far_reader, writer, back), return_exceptions=True
        )

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(carried(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=PIECE, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def slow_network(address: str, delay_ms: float, mb_s: float = 0) -> Iterator[str]:
    """host:port that leads to `address` through a process of its own; 0 MB/s is no limit."""
    command = [sys.executable, __file__, "--to", address, "--delay_ms", str(delay_ms), "--mb_s", str(mb_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", required=True, help="host:port of the server")
    parser.add_argument("--delay_ms", type=float, default=0, help="each way, half of the round trip")
    parser.add_argument("--mb_s", type=float, default=0, help="MB/s in each direction; 0: no limit")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    asyncio.run(serve(host, int(port), options.delay_ms / 1000, options.mb_s * 1e6))


if __name__ == "__main__":
    main()
