"""Take over what a probe has written: python -m tests.doubles.records probe-openi-20261128.yaml

The records go to records/<service>/seen.yaml; answers with an error code that errors.yaml lacks are named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from tests.doubles.records import HERE, SEEN, Record, load


def take_over(path: Path) -> tuple[Path, list[str]]:
    """(the file of records, what is new to us in it). ValueError for a file that no probe has written."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    service = found.get("service") if isinstance(found, dict) else None
    if not service or not (HERE / service).is_dir():
        raise ValueError(f"{path} names no service that has records")
    records = [Record(**item) for item in found["records"]]
    if not all(record.seen == SEEN[-1] and record.source for record in records):
        raise ValueError(f"{path} holds records that were not seen at a service")
    known = load(service)
    calls = {record.call for record in known.records}
    news = [f"new call: {record.call}" for record in records if record.call not in calls]
    for record in records:
        body = record.body if isinstance(record.body, dict) else {}
        code = body.get("error_code") or (body.get("code") if body.get("code") else None)
        if code is not None and str(code) not in known.errors:
            news.append(f"new code: {code} of {record.call}")
    target = HERE / service / "seen.yaml"
    before = yaml.safe_load(target.read_text(encoding="utf-8")) if target.exists() else []
    kept = [
        item for item in before if (item["call"], item["case"]) not in {(r.call, r.case) for r in records}
    ]
    text = yaml.safe_dump([*kept, *found["records"]], allow_unicode=True, sort_keys=False, width=110)
    target.write_text(text, encoding="utf-8")
    return target, news


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.doubles.records", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    try:
        target, news = take_over(file)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as err:
        print(f"error: can't take over {file}: {' '.join(str(err).split())}", file=sys.stderr)
        return 2
    print("\n".join([*news, str(target)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
