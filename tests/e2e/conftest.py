"""Shared by the tests of whole programs: a finished training, a user's computer from which jobs are submitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.storage import places
from mindlift.storage.copying import copy as transfer
from tests.doubles.runner import LocalRunner
from tests.support.desks import Desk
from tests.support.home import Home, wait_for
from tests.support.programs import TRAINED, Finished, run_program


@pytest.fixture(scope="session")
def trained(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three epochs of six steps in one go, a checkpoint at every second step."""
    output = tmp_path_factory.mktemp("trained")
    done = run_program("train.py", *TRAINED, "--data_dir", few_digits, "--ckpt_path", output)
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def home(minio, bucket, tmp_path) -> Iterator[Home]:
    found = Home(minio, bucket, tmp_path)
    yield found
    for state in tmp_path.glob("rehearsals/*/state.json"):
        found.run("cancel", f"local://{state.parent.name}")
        wait_for(lambda state=state: JobFolder(state.parent).state().is_final, 30)


@pytest.fixture
def desk(minio, bucket, few_digits, tmp_path, monkeypatch) -> Iterator[Desk]:
    access = StoreAccess(minio.endpoint, minio.access_key, minio.secret_key, "given")
    for name, value in access.variables().items():
        monkeypatch.setenv(name, value)
    transfer.copy_tree(str(few_digits), f"obs://{bucket}/data/digits/")
    yield Desk(
        f"obs://{bucket}",
        tmp_path,
        {"HOME": str(tmp_path), **access.variables()},
        LocalRunner(tmp_path / "machines", access),
    )
    places.SERVICES.forget()
