"""A bucket and a local folder for `moxing.file`, with a small tree in either."""

from __future__ import annotations

import pytest

from mindlift.storage import places
from mindlift.storage.moxing import file
from tests.support.moxing_code import ODD, credentials


@pytest.fixture
def store(minio, bucket, monkeypatch):
    """A bucket that URLs reach."""
    for name, value in credentials(minio).items():
        monkeypatch.setenv(name, value)
    yield f"obs://{bucket}"
    places.SERVICES.forget()


@pytest.fixture(params=["local", "bucket"])
def place(request, tmp_path) -> str:
    """A folder that is there, on the disk or in a bucket."""
    url = str(tmp_path / "place") if request.param == "local" else f"{request.getfixturevalue('store')}/place"
    file.make_dirs(url)
    return url


@pytest.fixture
def tree(place) -> str:
    """dir0/file00, dir0/deep/file000, file1, empty/ and a file with an odd name."""
    for name, text in (("dir0/file00", "00"), ("dir0/deep/file000", "000"), ("file1", "1"), (ODD, "odd")):
        file.make_dirs(f"{place}/{name}".rpartition("/")[0])
        file.write(f"{place}/{name}", text)
    file.make_dirs(f"{place}/empty")
    return place
