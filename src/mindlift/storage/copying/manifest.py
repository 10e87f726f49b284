"""The list of what a copy has brought over: a local file of JSON lines, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mindlift import json_text
from mindlift.files import write_atomic
from mindlift.storage.copying.plan import Known
from mindlift.storage.store import Entry


def read_manifest(path: Path, source: str, target: str) -> dict[str, Known]:
    """What `path` knows of a copy from `source` to `target`; nothing if it is of another one or damaged."""
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        if json_text.parse(head) != {"source": source, "target": target}:
            return {}
        records = (json_text.parse(line) for line in lines)
        return {
            record[0]: Known(Entry(record[0], *record[1]), Entry(record[0], *record[2])) for record in records
        }
    except (FileNotFoundError, ValueError, TypeError, IndexError):
        return {}


def write_manifest(path: Path, source: str, target: str, known: Mapping[str, Known]) -> None:
    # In ASCII: names may have line separators of Unicode in them, or bytes that are no text.
    lines = [json.dumps({"source": source, "target": target})]
    for key, entry in sorted(known.items()):
        sides = [[side.size, side.etag, side.modified_ns] for side in (entry.source, entry.target)]
        lines.append(json.dumps([key, *sides]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n".join(lines) + "\n")
