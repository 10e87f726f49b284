"""The one file that is sent back, and the summary on the terminal."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mindlift.ascend_check import redaction
from mindlift.ascend_check.work import Command, Place
from mindlift.files import as_json, atomic_file

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
LAST_LINES = 20  # of a log, in the result itself
LOG_CHARACTERS = 200_000  # of a log, from its end
FORMAT = 1


@dataclass
class Result:
    name: str
    state: str
    says: str = ""
    seconds: float = 0.0
    commands: list[Command] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    log: str = ""


def as_record(result: Result, redact: redaction.Redact) -> dict[str, object]:
    record = asdict(result)
    log = redact(record.pop("log"))
    record["seconds"] = round(result.seconds, 1)
    record["last_lines"] = log.splitlines()[-LAST_LINES:]
    record = {key: redaction.everywhere(value, redact) for key, value in record.items()}
    return {**record, "name": result.name, "state": result.state}


def write(results: Sequence[Result], place: Place, folder: Path, options: Mapping[str, object]) -> Path:
    """ascend_check_<chip or device>_<date>.tar.gz: result.json, and a log of each part."""
    chip = next((str(result.figures["chip"]) for result in results if result.figures.get("chip")), "")
    date = time.strftime("%Y%m%d-%H%M%S")
    stem = f"ascend_check_{(chip or place.device.target).lower()}_{date}"
    report = {
        "format": FORMAT,
        "date": date,
        "device_target": place.device.target,
        "cards": place.cards,
        **options,
        "parts": [as_record(result, place.redact) for result in results],
    }
    files = {"result.json": as_json(report, indent=1) + "\n"}
    for result in results:
        if result.log:
            files[f"logs/{result.name}.log"] = place.redact(result.log)[-LOG_CHARACTERS:]
    path = folder / f"{stem}.tar.gz"
    advice = "; pass --output FOLDER"
    with atomic_file(path, advice=advice) as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in files.items():
            add(archive, f"{stem}/{name}", text.encode())
    return path


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """With the owner that a new TarInfo has: none."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(data), int(time.time())
    archive.addfile(entry, io.BytesIO(data))


def summary(results: Sequence[Result]) -> str:
    width = max(len(result.name) for result in results)
    lines = [
        f"{result.name:{width}}  {result.state:7}  {result.seconds:6.0f} s  {result.says}".rstrip()
        for result in results
    ]
    counts = [
        f"{sum(result.state == state for result in results)} {state}" for state in (OK, FAILED, SKIPPED)
    ]
    return "\n".join([*lines, ", ".join(counts)])
