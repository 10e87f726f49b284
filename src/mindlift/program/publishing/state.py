"""What this machine knows of an output between two runs: what the bucket has of it, and which other files are complete."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from mindlift import json_text
from mindlift.files import remove_file, write_atomic
from mindlift.model_utils.staging.node_gate import Process
from mindlift.program.publishing.completeness import Content
from mindlift.storage.copying.manifest import read_manifest, write_manifest
from mindlift.storage.copying.plan import Known


class State:
    """Files below the folder `cache` about the copy of the local folder `root` at `url`."""

    def __init__(self, cache: Path, root: Path, url: str):
        self.root, self.url = str(root), url
        name = f"{root.name}-{sha256(f'{root} {url}'.encode()).hexdigest()[:8]}"
        self.published_file = cache / "published" / f"{name}.jsonl"
        self.complete_file = cache / "published" / f"{name}.json"

    @property
    def is_there(self) -> bool:
        return self.complete_file.is_file()

    def published(self) -> dict[str, Known]:
        return read_manifest(self.published_file, self.root, self.url)

    def complete(self) -> dict[str, Content]:
        """Files that were complete and not yet published."""
        return {name: tuple(found) for name, found in self.record().get("complete", {}).items()}

    def program(self) -> Process | None:
        """The program that writes to the folder, or did."""
        try:
            return Process(**self.record()["program"])
        except (KeyError, TypeError):
            return None

    def record(self) -> dict:
        try:
            found = json_text.read(self.complete_file)
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, published: Mapping[str, Known], complete: Mapping[str, Content], program: int) -> None:
        self.published_file.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(self.published_file, self.root, self.url, sorted(published.values()))
        record = {"complete": complete, "program": asdict(Process.of(program)) if program else None}
        write_atomic(self.complete_file, json.dumps(record))

    def forget(self) -> None:
        for path in (self.published_file, self.complete_file):
            remove_file(path)


def here(program: Process | None) -> bool:
    """Whether an earlier run's program still runs on this machine."""
    return program is not None and program.host == platform.node() and not program.is_gone()
