"""The first hour on a card: everything that no test can do without one, and one file to send back.

    bash scripts/ascend_check.sh [--device_target CPU] [--only PART,PART] [--output FOLDER]

A part that fails does not stop the others. The file has versions, figures and logs, with the names of user, home folder
and machine and all addresses taken out.
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
import shutil
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):  # started as a file: find `src`
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from src.model_utils import devices, job
from src.model_utils.errors import ConfigError, MindLiftError, StorageError
from src.tools import check_parts
from src.tools.check_parts import LAST_LINES, ROOT, Failed, Outcome, Place

ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
LEAST_NAME = 3  # letters of a user's or machine's name that are no part of other words


class PartsFailed(MindLiftError):
    """Some parts failed; the file says which."""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="scripts/ascend_check.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--device_target", default="auto", choices=["auto", *devices.TARGETS])
    found.add_argument("--only", default="", metavar="PART,...", help="these parts only, see --list")
    found.add_argument("--list", action="store_true", help="print the parts and end")
    found.add_argument(
        "--output", type=Path, default=Path(), metavar="FOLDER", help="where the file goes (here)"
    )
    found.add_argument(
        "--part_seconds", type=float, default=1800.0, metavar="S", help="longest time of one command (1800)"
    )
    return found


def wanted(only: str) -> list[str]:
    """The parts to run; ConfigError for one that there is not."""
    known = list(check_parts.parts())
    names = [name.strip() for name in only.split(",") if name.strip()] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"--only {unknown[0]}: no such part; there are {', '.join(known)}")
    return names


def check(args: argparse.Namespace) -> None:
    """Run the parts, print a line for each, and write the file."""
    names = wanted(args.only)
    if args.list:
        print("\n".join(names))
        return
    if not args.output.is_dir():
        raise ConfigError(f"--output {args.output}: there is no such folder; make it first")
    device = check_parts.chosen_device(args.device_target)
    folder = Path(tempfile.mkdtemp(prefix="mindlift-check-"))
    place = Place(device, check_parts.number_of_cards(device), folder, args.part_seconds)
    print(
        f"{len(names)} parts on {device}, {place.cards} card(s); every command may take {args.part_seconds:g} s",
        flush=True,
    )
    found: dict[str, dict] = {}
    try:
        for number, name in enumerate(names, 1):
            print(f"{number:>3}/{len(names)} {name:<14} ", end="", flush=True)
            started = time.monotonic()
            outcome = attempt(place, name)
            seconds = round(time.monotonic() - started, 1)
            found[name] = {**asdict(outcome), "seconds": seconds}
            print(f"{outcome.status:<7} {seconds:>7.1f} s  {outcome.says}", flush=True)
    finally:
        target = args.output / f"ascend_check_{time.strftime('%Y%m%d_%H%M%S')}.tar.gz"
        write(target, found, private_names(folder))
        shutil.rmtree(folder, ignore_errors=True)
        print(f"send back {target}")
    failed = [name for name, outcome in found.items() if outcome["status"] == "failed"]
    if failed:
        raise PartsFailed(
            f"{len(failed)} of {len(found)} parts failed: {', '.join(failed)}; the file says why"
        )


def attempt(place: Place, name: str) -> Outcome:
    """A part's outcome with its log; whatever goes wrong in it is its outcome."""
    log = place.folder / f"{name}.log"
    log.touch()
    try:
        outcome = check_parts.parts()[name](place, log)
    except Failed as err:
        outcome = Outcome("failed", str(err))
    except (
        Exception
    ) as err:  # also of a kind that nobody thought of: the other parts go on, and the file names it
        outcome = Outcome("failed", f"{type(err).__name__}: {err}")
    outcome.log = log.read_text(encoding="utf-8", errors="replace")
    return outcome


def private_names(folder: Path) -> list[tuple[str, str]]:
    """What must not be sent, and what stands in its place; longest first."""
    pairs = [(str(folder), "<work>"), (str(ROOT), "<project>"), (str(Path.home()), "<home>")]
    names = [(socket.gethostname(), "<host>"), (getpass.getuser(), "<user>")]
    pairs += [pair for pair in names if len(pair[0]) >= LEAST_NAME]
    return sorted((pair for pair in pairs if pair[0] != "/"), key=lambda pair: -len(pair[0]))


def without_addresses(text: str) -> str:
    """Without IPv4 addresses but those of a machine to itself. Versions of four numbers go, too."""
    return ADDRESS.sub(lambda match: match[0] if match[0].startswith("127.") else "<address>", text)


def redacted(text: str, names: Iterable[tuple[str, str]]) -> str:
    """Without paths of this machine, and names of user and host."""
    for name, instead in names:
        is_path = name.startswith("/")
        text = text.replace(name, instead) if is_path else re.sub(rf"\b{re.escape(name)}\b", instead, text)
    return text


def write(target: Path, found: dict[str, dict], names: list[tuple[str, str]]) -> None:
    """summary.json and logs/<part>.log in one archive; StorageError if it can't be written."""
    summary = {
        name: {key: value for key, value in part.items() if key != "log"} for name, part in found.items()
    }
    for name, part in found.items():
        last = without_addresses(part["log"]).splitlines()[-LAST_LINES:]
        summary[name]["last_lines"] = last if part["status"] == "failed" else []
        summary[name]["says"] = without_addresses(part["says"])
    files = {"summary.json": json.dumps(summary, indent=2, ensure_ascii=False)}
    files.update({f"logs/{name}.log": without_addresses(part["log"]) for name, part in found.items()})
    try:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(target, "w:gz") as archive:
            for name, text in files.items():
                file = Path(folder) / "file"
                file.write_text(redacted(text, names), encoding="utf-8")
                archive.add(file, name, filter=anonymous)
    except OSError as err:
        raise StorageError(f"can't write {target}: {err.strerror or err}") from err


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return job.main(lambda: check(args), debug=False)


if __name__ == "__main__":
    sys.exit(main())
