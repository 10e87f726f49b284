"""A bucket in which nothing is, as the empty folder of a disk; a bucket that is not there; the two as data of a job."""

from __future__ import annotations

import pytest

from mindlift.errors import StageError
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging.stager import Stager
from mindlift.storage import places
from mindlift.storage.moxing import file

MISSING = "obs://no-such-bucket-of-a-test"
LOOKS = {
    "exists": file.exists,
    "is_directory": file.is_directory,
    "get_size": lambda url: file.get_size(url, recursive=True),
    "stat": lambda url: file.stat(url).is_directory,
    "list_directory": file.list_directory,
    "recursive list": lambda url: file.list_directory(url, recursive=True),
    "scan_dir": lambda url: list(file.scan_dir(url)),
    "walk": lambda url: [found[1:] for found in file.walk(url)],
    "glob": lambda url: file.glob(f"{url.rstrip('/')}/*"),
    "glob of all": lambda url: file.glob(f"{url.rstrip('/')}/**/*"),
    "names": places.names,
}
CHANGES = {
    "make_dirs": file.make_dirs,
    "mk_dir": file.mk_dir,
    "remove": file.remove,
    "remove all": lambda url: file.remove(f"{url.rstrip('/')}/", recursive=False),
}
FAILURES = {
    "read": file.read,
    "places.read": places.read,
    "write": lambda url: file.write(url, "x"),
    "append": lambda url: file.append(url, "x"),
    "File": file.File,
    "copy": lambda url: file.copy(url, "/nowhere/x"),
    "append_remote": lambda url: file.append_remote(url, "/nowhere/x"),
}


@pytest.mark.parametrize("end", ["", "/"])
def test_an_empty_bucket_is_an_empty_folder(store, tmp_path, end):
    for name, call in {**LOOKS, **CHANGES}.items():
        assert call(store + end) == call(f"{tmp_path}{end}"), name
    for name, call in FAILURES.items():
        for url in (store, str(tmp_path)):
            with pytest.raises(OSError) as caught:  # noqa: PT011
                call(url + end)
            assert "\n" not in str(caught.value), name
            assert url.rpartition("/")[2] in str(caught.value), name
    assert file.list_directory(store) == []


@pytest.mark.parametrize("end", ["", "/"])
def test_an_empty_bucket_is_copied_and_moved(store, tmp_path, end):
    file.copy_parallel(store + end, str(tmp_path / "copied"))
    file.rename(store + end, str(tmp_path / "moved"))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"copied", "moved"}
    assert file.exists(store), "a bucket is never removed"


@pytest.mark.parametrize("end", ["", "/", "/folder/"])
def test_a_bucket_that_is_not_there_is_named(store, end):
    for name, call in {**LOOKS, **CHANGES, **FAILURES}.items():
        with pytest.raises(OSError) as caught:  # noqa: PT011
            call(MISSING + end)
        said = str(caught.value)
        assert MISSING[len("obs://") :] in said, name
        assert "NoSuchBucket" in said or "names no file" in said, name
        assert "\n" not in said, name


@pytest.mark.parametrize("end", ["", "/"])
def test_a_job_whose_data_is_an_empty_bucket(store, tmp_path, end):
    with pytest.raises(StageError, match="no data at obs://.*: the folder is empty; check --data_url"):
        stage_in(Stager(tmp_path, lambda line: None), Source(store + end))
