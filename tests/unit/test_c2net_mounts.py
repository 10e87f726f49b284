"""c2net 0.2.0, OpenI's own library, as it is: what its prepare() and upload_output() find in a rehearsed container."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.rehearsed import rehearse

VERSION = "0.2.0"
PROGRAM = """
    import json, os, sys
    from c2net.context import prepare, upload_output

    found = prepare()
    data = os.path.join(found.dataset_path, "digits")
    print(json.dumps([vars(found), sorted(os.listdir(data)), os.access(data, os.W_OK), sorted(os.listdir(found.dataset_path))]))
    with open(os.path.join(found.output_path, "model.ckpt"), "w") as file:
        file.write("weights")
    print("uploaded", upload_output())
"""


@pytest.mark.heavy  # needs PyPI
@pytest.mark.parametrize("isolation", ["auto", "mapping"])
def test_prepare_and_upload(tmp_path, isolation):
    code = tmp_path / "code/job"
    code.mkdir(parents=True)
    (code / "pip-requirements.txt").write_text(f"c2net=={VERSION}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/image").write_text("1")
    found = rehearse(
        tmp_path,
        PROGRAM,
        platform="openi-c2net",
        isolation=isolation,
        inputs=(("digits", f"{tmp_path}/data/"),),
        outputs=(("output", f"{tmp_path}/results/"),),
    )
    assert found.state.phase == "succeeded", "\n".join(found.lines)
    said = next(line for line in found.lines if line.startswith("[{"))
    places, files, is_writable, beside = json.loads(said)
    before = "" if isolation == "auto" else str(found.root)
    assert places["dataset_path"] == f"{before}/cache/dataset"
    assert places["output_path"] == f"{before}/cache/output"
    assert files == ["image"]
    assert is_writable is (
        isolation == "mapping" and os.geteuid() == 0
    ), "permissions don't stop root, mounts do"
    assert beside == [".dataset_cache_file", "digits"], "what prepare() writes beside a mounted data set"
    assert f"uploaded {before}/cache/output" in found.lines
    assert (tmp_path / "results/model.ckpt").read_text() == "weights"
