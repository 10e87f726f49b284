"""A user's computer from which jobs are submitted, and waiting for what they do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from mindlift.cloud.providers.local.folder import JobFolder
from tests.support.programs import ROOT, Finished, environment, run_program
from tests.support.servers import s3_client


class Home:
    """A user's computer: a home folder, and a store that MINIO_ENDPOINT names."""

    def __init__(self, store, bucket: str, folder: Path):
        self.store, self.bucket, self.folder = store, bucket, folder
        self.env = {
            "HOME": str(folder),
            "MINDLIFT_REHEARSALS": str(folder / "rehearsals"),
            "MINIO_ENDPOINT": store.endpoint,
            "MINIO_ACCESS_KEY": store.access_key,
            "MINIO_SECRET_KEY": store.secret_key,
        }
        self.common = ["--provider", "local", "--allow_dirty", "true", "--train_url", f"obs://{bucket}/run/"]

    def run(self, *words: object, timeout: float = 300, **extra: str) -> Finished:
        return run_program("cloud/submit.py", *words, timeout=timeout, **{**self.env, **extra})

    def submit(self, *words: object, **extra: str) -> str:
        done = self.run("submit", *self.common, *words, **extra)
        assert done.code == 0, done.err
        return done.out.strip()

    def start(self, *words: object) -> subprocess.Popen:
        """What it prints goes to the file `said`."""
        with open(self.folder / "said", "w") as said:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "cloud/submit.py"), *map(str, words)],
                cwd=ROOT,
                env=environment(**self.env),
                stdout=said,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def job(self, handle: str) -> JobFolder:
        return JobFolder(self.folder / "rehearsals" / handle.partition("://")[2])

    def status(self, handle: str) -> dict:
        return json.loads(self.run("status", handle, "--json").out)

    def keys(self, prefix: str) -> list[str]:
        found = s3_client(self.store).list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
