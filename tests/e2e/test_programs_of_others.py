"""Programs that know nothing of MindLift, rehearsed as they are: their ranks meet, whoever starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cloud.platforms.request import Request
from mindlift.cloud.prepare.package import digest_of
from mindlift.cloud.providers.local import interpreter, isolation, machine
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.keeper import StoreAccess
from tests.support.gallery import PROGRAMS, images
from tests.support.home import wait_for
from tests.support.servers import s3_client

MEETS = """
import os, sys
import mindspore
from mindspore import Tensor, context, ops
from mindspore.communication import get_group_size, get_rank, init
context.set_context(mode=context.PYNATIVE_MODE, device_target="CPU")
init()
met = ops.AllReduce()(Tensor([get_rank() + 1.0], mindspore.float32)).asnumpy()[0]
print("rank", get_rank(), "of", get_group_size(), "met", int(met), flush=True)
"""

TORCH_MEETS = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
number = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(number)
open("/cache/met" if os.environ["HOME"] == "/home/ma-user" else os.environ["HOME"] + "/met", "a").close()
print("rank", dist.get_rank(), "of", dist.get_world_size(), "met", int(number), flush=True)
"""
TORCH_PYTHON = os.environ.get("MINDLIFT_TORCH_PYTHON") or sys.executable  # one with the extra `bench`


class Jobs:
    """Starts jobs with a bucket of a real store."""

    def __init__(self, home: Path, store, bucket: str):
        self.home, self.bucket, self.client = home, bucket, s3_client(store)
        self.access = StoreAccess(store.endpoint, store.access_key, store.secret_key, "given")

    def put(self, key: str, text: str | bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=text)

    def send(self, folder: Path) -> None:
        for path in folder.rglob("*.*"):
            if path.suffix in {".py", ".yaml"}:
                self.put(f"code/{folder.name}/{path.relative_to(folder)}", path.read_bytes())

    def names(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"].replace(prefix, "", 1) for each in found]

    def run(self, job: str, code: str, **changes: object) -> tuple[JobFolder, str]:
        """The folder of a job that has ended, and its log."""
        given = {"python": sys.executable, "boot_file": "train.py", "is_own": False, **changes}
        request = Request(name=job, code_url=f"obs://{self.bucket}/code/{code}/", **given)  # type: ignore[arg-type]
        folder = machine.start(self.home, job, request, self.access, {})
        try:
            wait_for(lambda: folder.state().is_final, 400)
        finally:
            machine.stop(folder)
        return folder, "\n".join(folder.log_lines(0))


@pytest.fixture
def jobs(minio, bucket, tmp_path) -> Jobs:
    return Jobs(tmp_path / "rehearsals", minio, bucket)


@pytest.fixture
def needs_namespaces() -> None:
    if isolation.obstacle():
        pytest.skip(isolation.obstacle())


@pytest.mark.usefixtures("needs_namespaces")
@pytest.mark.parametrize(
    ("platform", "cards"),
    [
        ("modelarts-v1", 1),
        ("modelarts-v2", 1),
        pytest.param("modelarts-v1", 2, marks=pytest.mark.heavy),
        pytest.param("modelarts-v2", 2, marks=pytest.mark.heavy),
        pytest.param("modelarts-v2", 8, marks=pytest.mark.heavy),
    ],
)
def test_a_program_of_the_model_zoo(jobs, tmp_path, platform, cards):
    jobs.send(PROGRAMS / "zoo")
    for path in images(tmp_path / "images").rglob("*.png"):
        jobs.put(f"data/{path.relative_to(tmp_path / 'images')}", path.read_bytes())
    before = {path: path.exists() for path in (Path("/cache"), Path("/tmp/copy_sync.lock0"))}
    folder, log = jobs.run(
        f"zoo-{platform}-{cards}",
        "zoo",
        platform=platform,
        cards=cards,
        inputs=(("data_url", f"obs://{jobs.bucket}/data/"),),
        outputs=(("train_url", f"obs://{jobs.bucket}/out/"),),
        arguments=("--enable_modelarts=True",),
    )
    assert folder.state().phase == "succeeded", log
    assert log.count("to /cache/data") == 1, "one of the node's ranks copies"
    for rank in range(cards):
        assert log.count(f"rank {rank} of {cards}, epoch 3, loss ") == 1
    # the first rank uploads when it is done, what the others have written by then: as on the platform
    assert {f"ckpt_0/small-{epoch}.ckpt" for epoch in (1, 2, 3)} <= {*jobs.names("out/")}
    assert {path: path.exists() for path in before} == before, "nothing of it is on this computer"
    assert len([*(folder.root / "logs/worker-0").glob("*proc-rank*")]) == cards


@pytest.mark.parametrize(
    ("launcher", "nodes", "cards", "how"),
    [
        ("rank_table", 1, 1, "auto"),
        pytest.param("rank_table", 2, 1, "mapping", marks=pytest.mark.heavy),
        pytest.param("msrun", 1, 2, "auto", marks=pytest.mark.heavy),
        pytest.param("msrun", 2, 1, "auto", marks=pytest.mark.heavy),
        pytest.param("msrun", 1, 2, "mapping", marks=pytest.mark.heavy),
    ],
)
def test_ranks_of_mindspore_meet(jobs, launcher, nodes, cards, how):
    jobs.put("code/meets/train.py", MEETS)
    folder, log = jobs.run(
        "meets", "meets", platform="modelarts-v2", launcher=launcher, nodes=nodes, cards=cards, isolation=how
    )
    assert folder.state().phase == "succeeded", log
    size = nodes * cards
    logs = log + "\n".join("\n".join(folder.log_lines(node)) for node in range(1, nodes))
    # msrun kills the `tail` that shows its workers' logs, last lines unread: the files have them
    logs += "".join(path.read_text() for path in (folder.root / "logs").rglob("msrun/worker_*.log"))
    for rank in range(size):
        assert f"rank {rank} of {size} met {size * (size + 1) // 2}" in logs


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["auto", "mapping"])
@pytest.mark.parametrize(("nodes", "cards"), [(1, 1), (1, 2), (2, 2)])
def test_ranks_of_pytorch_meet(jobs, nodes, cards, how):
    if "torch" not in interpreter.ask(TORCH_PYTHON).has:
        pytest.skip(f"no PyTorch in {TORCH_PYTHON}")
    jobs.put("code/torch-meets/train.py", TORCH_MEETS)
    folder, log = jobs.run(
        "meets",
        "torch-meets",
        platform="modelarts-v2",
        launcher="torchrun",
        nodes=nodes,
        cards=cards,
        isolation=how,
        python=TORCH_PYTHON,
    )
    assert folder.state().phase == "succeeded", log
    size = nodes * cards
    logs = "\n".join("\n".join(folder.log_lines(node)) for node in range(nodes))
    for rank in range(size):
        assert f"rank {rank} of {size} met {size * (size + 1) // 2}" in logs
    kept = [
        path for path in (folder.root / "logs").rglob("torchrun/**/stdout.log") if "met" in path.read_text()
    ]
    assert len(kept) == size, "a log of each rank"


def test_a_command_of_the_users_runs_once_on_each_node(jobs):
    jobs.put("code/plain/train.py", "import os, sys; print(sys.argv[1:], os.environ['VC_TASK_INDEX'])")
    folder, _ = jobs.run(
        "plain",
        "plain",
        platform="modelarts-v2",
        launcher="none",
        nodes=2,
        cards=4,
        command='cd "$MA_JOB_DIR/plain" && python train.py "a b"',
    )
    assert folder.state().phase == "succeeded", folder.log_lines(0)
    for node in range(2):
        said = [line for line in folder.log_lines(node) if "Service Log]" not in line]
        assert said == [f"['a b'] {node}"]


@pytest.mark.parametrize("launcher", ["msrun", "torchrun"])
def test_a_launcher_that_is_not_there_is_one_line(jobs, tmp_path, launcher):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    jobs.put("code/plain/train.py", "print('never')")
    folder, _ = jobs.run(
        "plain", "plain", platform="modelarts-v2", launcher=launcher, python=str(tmp_path / "bare/bin/python")
    )
    assert folder.state().phase == "failed"
    assert folder.state().reason.startswith(f"launcher: {launcher} ")


def test_code_that_somebody_has_replaced_is_not_started(jobs, tmp_path):
    jobs.put("code/plain/train.py", "print('evil')")
    sent = digest_of([("train.py", b"print('mine')")])
    folder, log = jobs.run("plain", "plain", platform="modelarts-v2", launcher="none", code_sha256=sent)
    assert folder.state().phase == "failed"
    assert "is not what was sent (SHA-256), so none of it was started" in folder.state().reason
    assert "evil" not in log
    assert folder.root.stat().st_mode & 0o077 == 0, "others of this machine read nothing"
    same = digest_of([("train.py", b"print('evil')")])
    again, log = jobs.run("again", "plain", platform="modelarts-v2", launcher="none", code_sha256=same)
    assert again.state().phase == "succeeded", log


def test_no_link_of_a_program_gets_a_file_of_this_computer_into_the_bucket(jobs, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/credentials").write_text("secret")
    program = f"""
import os, sys
out = sys.argv[-1].partition("=")[2]
open(out + "/real.txt", "w").write("1")
os.symlink("real.txt", out + "/same.txt")
for target in ("{tmp_path}/home/credentials", "{tmp_path}/home", "/", "/etc/passwd", ".."):
    os.symlink(target, out + "/link" + str(abs(hash(target))))
os.symlink(".", out + "/itself")
"""
    jobs.put("code/links/train.py", program)
    outputs = (("out", f"obs://{jobs.bucket}/out/"),)
    folder, log = jobs.run("links", "links", platform="modelarts-v2", launcher="none", outputs=outputs)
    assert folder.state().phase == "succeeded", log
    assert {name for name in jobs.names("out/") if not name.endswith("/")} == {"real.txt", "same.txt"}
    assert "links out of the container: link" in log
