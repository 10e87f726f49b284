"""Weights by name, fetched from a server that answers as Hugging Face's does, and from plain ones."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mindlift.cli.main import main
from mindlift.errors import AccessError, CheckpointError, TransferError
from mindlift.model_utils.hub import fetch
from mindlift.models.weights import published
from mindlift.storage import web_file
from tests.doubles.hub import COMMIT, Hub
from tests.support import tls

DATA = bytes(range(256)) * 4096  # 1 MiB
SUM = hashlib.sha256(DATA).hexdigest()
NAME, FILE = "timm:resnet50.a1_in1k", "timm/resnet50.a1_in1k/model.safetensors"
VARIABLES = (
    *("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "MINDLIFT_WEIGHTS_MIRROR"),
    *("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_CA_BUNDLE"),
)


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/.cache"))
    monkeypatch.setattr(web_file, "sleep", lambda seconds: None)


@pytest.fixture
def hub(monkeypatch):
    with Hub({FILE: DATA}) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.endpoint)
        yield found


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def got(name: str, cache: Path) -> tuple[Path, str]:
    """The file, and all that was said."""
    said: list[str] = []
    return fetch.get(name, cache, said.append, show_bar=False), "\n".join(said)


def files(cache: Path) -> list[str]:
    """What is in the cache, without locks."""
    return sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_file_is_fetched_compared_and_kept(hub, cache):
    path, said = got(NAME, cache)
    assert path == cache / "weights/timm/resnet50.a1_in1k/model.safetensors"
    assert path.read_bytes() == DATA
    assert f"SHA-256 {SUM}" in said
    assert "compared with SHA-256 by 127.0.0.1" in said
    assert files(cache) == [f"weights/{FILE}", f"weights/{FILE}.json"]
    record = json.loads((path.parent / "model.safetensors.json").read_text())
    assert (record["sha256"], record["commit"]) == (SUM, COMMIT)
    count = len(hub.asked)
    assert got(NAME, cache) == (path, "")
    assert len(hub.asked) == count, "what is here is not asked for"


def test_the_default_of_a_network_and_other_revisions(hub, cache):
    hub.files.update(
        {
            "me/net/pytorch_model.bin": b"torch",
            "timm/resnet101.a1h_in1k/model.safetensors": b"default",
        }
    )
    assert got("timm:resnet101", cache)[0].read_bytes() == b"default"
    path, _ = got("hf:me/net@v1.0", cache)
    assert path.name == "pytorch_model.bin"
    assert path.read_bytes() == b"torch"
    assert [path for _, method, path, _ in hub.asked if method == "HEAD"] == [
        "/timm/resnet101.a1h_in1k/resolve/main/model.safetensors",
        "/me/net/resolve/v1.0/model.safetensors",
        "/me/net/resolve/v1.0/pytorch_model.bin",
    ]


def test_a_download_that_breaks_off_goes_on(hub, cache):
    hub.breaks = [300_000, 200_000]
    path, said = got(NAME, cache)
    assert path.read_bytes() == DATA
    assert [headers.get("range") for headers in hub.gets("content")] == [
        None,
        "bytes=300000-",
        "bytes=500000-",
    ]
    assert "broke off after 300,000 bytes" in said


def test_one_that_was_given_up_goes_on_in_another_process(hub, cache):
    hub.breaks = [100_000] + [0] * 10
    with pytest.raises(TransferError, match="5 attempts"):
        got(NAME, cache)
    (part,) = (cache / "weights/timm/resnet50.a1_in1k").iterdir()
    assert part.read_bytes() == DATA[:100_000]
    assert fetch.find(published.lookup(NAME), cache, print) is None, "half a file is none"
    hub.breaks = []
    assert got(NAME, cache)[0].read_bytes() == DATA
    assert hub.gets("content")[-1]["range"] == "bytes=100000-"
    assert files(cache) == [f"weights/{FILE}", f"weights/{FILE}.json"]


def test_a_server_that_knows_no_range_begins_anew(hub, cache):
    hub.breaks, hub.ignores_range = [100_000], True
    assert got(NAME, cache)[0].read_bytes() == DATA


def test_what_came_before_is_compared_too(hub, cache):
    hub.breaks = [100_000] + [0] * 10
    with pytest.raises(TransferError):
        got(NAME, cache)
    (part,) = (cache / "weights/timm/resnet50.a1_in1k").iterdir()
    part.write_bytes(bytes(100_000))
    hub.breaks = []
    path, said = got(NAME, cache)
    assert path.read_bytes() == DATA
    assert "may have been damaged" in said


def test_a_server_that_breaks_off_and_is_wrong_is_given_up(hub, cache):
    hub.sums[FILE] = "0" * 64
    hub.breaks = [100_000, len(DATA)] * 10
    with pytest.raises(TransferError, match="is not what it should be"):
        got(NAME, cache)
    assert len(hub.gets("content")) == 4, "once from what was there, once more from the beginning"
    assert files(cache) == []


def test_an_answer_that_is_no_file_is_none(hub, cache):
    hub.statuses = [416] * 10
    with pytest.raises(TransferError, match="answered 416, not with the file.*5 attempts"):
        got(NAME, cache)
    hub.statuses = []
    assert got(NAME, cache)[0].read_bytes() == DATA


def test_a_part_of_another_version_is_not_gone_on_from(hub, cache):
    hub.breaks = [100_000] + [0] * 10
    with pytest.raises(TransferError):
        got(NAME, cache)
    hub.breaks, hub.files[FILE] = [], DATA[::-1]
    assert got(NAME, cache)[0].read_bytes() == DATA[::-1]
    assert "range" not in hub.gets("content")[-1]
    assert files(cache) == [f"weights/{FILE}", f"weights/{FILE}.json"]


def test_a_wrong_checksum_is_refused_and_nothing_left(hub, cache):
    hub.sums[FILE] = "0" * 64
    with pytest.raises(TransferError) as caught:
        got(NAME, cache)
    assert f"SHA-256 {SUM}, but 127.0.0.1:{hub.hub.server_port} says {'0' * 64}" in str(caught.value)
    assert str(caught.value).startswith(f"{NAME}: {hub.endpoint}/timm/")
    assert files(cache) == []
    assert "\n" not in str(caught.value)


def test_several_at_once_fetch_it_once(hub, cache):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: got(NAME, cache)[0], range(4)))
    assert len(set(found)) == len(hub.gets("content")) == 1


def test_failures_that_pass_are_asked_again(hub, cache):
    hub.failures = [503, 429]
    path, said = got(NAME, cache)
    assert path.read_bytes() == DATA
    assert "the server answered 503" in said
    assert "the server answered 429" in said


@pytest.mark.parametrize("name", [NAME, "hf:timm/resnet50.a1_in1k"])
def test_offline_one_line_says_what_to_put_where(name, cache, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MINDLIFT_CACHE", str(cache))
    assert main(["weights", "get", name]) == 1
    folder = cache / "weights" / name.replace(":", "/")
    assert capsys.readouterr().err == (
        f"error: {name} is not on this machine (nothing listens at 127.0.0.1:9): fetch"
        " http://127.0.0.1:9/timm/resnet50.a1_in1k/resolve/main/model.safetensors elsewhere and put it into"
        f" {folder}/ as model.safetensors\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(DATA)
    assert main(["weights", "get", name]) == 0, "as the line says"
    assert capsys.readouterr().out == f"{folder}/model.safetensors\n"


def test_a_hub_is_not_asked_with_hf_hub_offline(hub, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TransferError, match="HF_HUB_OFFLINE is set.*model.safetensors elsewhere"):
        got(NAME, cache)
    assert hub.asked == []


def test_the_token_goes_to_the_hub_alone_and_is_never_said(hub, cache, monkeypatch):
    hub.private.add("timm/resnet50.a1_in1k")
    with pytest.raises(AccessError, match="401.*set HF_TOKEN"):
        got(NAME, cache)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(AccessError) as caught:
        got(NAME, cache)
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    path, said = got(NAME, cache)
    assert path.read_bytes() == DATA
    of_hub = [headers.get("authorization") for server, _, _, headers in hub.asked if server == "hub"]
    of_content = [headers.get("authorization") for server, _, _, headers in hub.asked if server == "content"]
    assert of_hub[-2:] == [f"Bearer {hub.token}"] * 2
    assert of_content
    assert set(of_content) == {None}
    kept = "".join(file.read_text(errors="replace") for file in cache.rglob("*") if file.is_file())
    assert hub.token not in said + kept


def test_neither_token_nor_password_is_sent_to_others(hub, cache, monkeypatch):
    """Of torchvision's files, through a mirror that wants a password of its own."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("MINDLIFT_WEIGHTS_MIRROR", hub.endpoint.replace("://", "://me:pass%20word@"))
    digits = published.lookup("torchvision:densenet121").digits
    hub.plain["/download.pytorch.org/models/densenet121-a639ec97.pth"] = DATA
    with pytest.raises(TransferError) as caught:
        got("torchvision:densenet121", cache)
    assert f"its name says {digits}" in str(caught.value), "they are other bytes"
    assert "pass" not in str(caught.value)
    sent = {headers["authorization"] for _, _, _, headers in hub.asked}
    assert sent == {"Basic " + base64.b64encode(b"me:pass word").decode()}
    assert files(cache) == []


def test_a_name_with_digits_is_compared_with_them(hub, cache, monkeypatch):
    file = f"net-{SUM[:8]}.ckpt"
    own = published.at("mindcv:net", f"https://download.mindspore.cn/toolkits/{file}", (), {})
    monkeypatch.setattr(published, "lookup", lambda name: own)
    monkeypatch.setenv("MINDLIFT_WEIGHTS_MIRROR", hub.endpoint)
    hub.plain[f"/download.mindspore.cn/toolkits/{file}"] = DATA
    path, said = got("mindcv:net", cache)
    assert path.read_bytes() == DATA
    assert "the beginning of SHA-256 by its name" in said
    path.write_bytes(b"other")
    assert "is fetched again" in got("mindcv:net", cache)[1]
    assert path.read_bytes() == DATA
    path.write_bytes(b"other")
    path.with_name(f"{file}.json").unlink()
    with pytest.raises(CheckpointError, match=f"not {SUM[:8]}; remove it"):
        got("mindcv:net", cache)


def test_googles_md5_is_compared(hub, cache, monkeypatch):
    monkeypatch.setenv("MINDLIFT_WEIGHTS_MIRROR", hub.endpoint)
    hub.plain["/storage.googleapis.com/bit_models/BiT-M-R101x3.npz"] = DATA
    md5 = hashlib.md5(DATA)
    hub.plain_headers = {"x-goog-hash": f"crc32c=AAAAAA==,md5={base64.b64encode(md5.digest()).decode()}"}
    assert "compared with MD5" in got("google:BiT-M-R101x3", cache)[1]
    hub.plain["/storage.googleapis.com/bit_models/BiT-M-R50x1.npz"] = DATA[1:]
    with pytest.raises(TransferError, match=f"says {md5.hexdigest()}"):
        got("google:BiT-M-R50x1", cache)


def test_where_nobody_publishes_a_sum_that_is_said(hub, cache, monkeypatch):
    monkeypatch.setenv("MINDLIFT_WEIGHTS_MIRROR", hub.endpoint)
    hub.plain["/download.mindspore.cn/toolkits/mindcv/densenet/densenet121-120_5004_Ascend.ckpt"] = DATA
    hub.breaks = [1000]
    path, said = got("mindcv:densenet121", cache)
    assert path.read_bytes() == DATA
    assert "its source publishes no checksum" in said


def test_by_https_with_the_trusted_certificates(cache, tmp_path, monkeypatch):
    authority, server = tls.certificate(tmp_path / "tls")
    with Hub({FILE: DATA}, certificate=server) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(TransferError, match="is not trusted.*AWS_CA_BUNDLE"):
            got(NAME, cache)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        assert got(NAME, cache)[0].read_bytes() == DATA


def test_through_a_proxy(hub, cache, monkeypatch):
    """The hub's double serves as the proxy: a forwarded request names the whole URL (RFC 9112, section 3.2.2)."""
    monkeypatch.setenv("http_proxy", hub.endpoint)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(TransferError):
        got(NAME, cache)
    assert hub.asked[0][2] == f"http://hub.invalid/{FILE.replace('/model', '/resolve/main/model')}"


def hub_cache(home: Path, digest: str, data: bytes, revision: str = "main") -> Path:
    """The layout of huggingface_hub, its docs' "Manage huggingface_hub cache-system"."""
    repository = home / "hub/models--timm--resnet50.a1_in1k"
    for folder in ("blobs", "refs", f"snapshots/{COMMIT}"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / revision).write_text(COMMIT)
    (repository / "blobs" / digest).write_bytes(data)
    link = repository / "snapshots" / COMMIT / "model.safetensors"
    link.symlink_to(f"../../blobs/{digest}")
    return link


@pytest.mark.parametrize("name", [NAME, "hf:timm/resnet50.a1_in1k", f"hf:timm/resnet50.a1_in1k@{COMMIT}"])
def test_what_huggingface_hub_has_fetched_is_found_without_a_network(name, cache, tmp_path, monkeypatch):
    link = hub_cache(tmp_path / "hf", SUM, DATA)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path, said = got(name, cache)
    assert path == link
    assert SUM[:8] in said


def test_a_damaged_file_of_that_cache_is_passed_over(hub, cache, tmp_path, monkeypatch):
    hub_cache(tmp_path / "home/.cache/huggingface", SUM, DATA[1:])
    path, said = got(NAME, cache)
    assert path.read_bytes() == DATA
    assert cache in path.parents
    assert "is passed over" in said


def test_torchs_and_mindcvs_files_are_found_too(cache, tmp_path, monkeypatch):
    own = published.at("torchvision:net", f"https://download.pytorch.org/models/net-{SUM[:8]}.pth", (), {})
    monkeypatch.setattr(published, "lookup", lambda name: own)
    file = tmp_path / f"home/.cache/torch/hub/checkpoints/net-{SUM[:8]}.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(DATA)
    assert got("torchvision:net", cache)[0] == file


def test_the_list_says_what_is_here(hub, cache, monkeypatch, capsys):
    monkeypatch.setenv("MINDLIFT_CACHE", str(cache))
    hub.files["me/net/model.safetensors"] = DATA
    got(NAME, cache), got("hf:me/net", cache)
    assert main(["weights"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert len(published.table()) + 3 == len(lines)
    here = f" {cache}/weights/{FILE} (compared with SHA-256 by 127.0.0.1:{hub.hub.server_port})  resnet50 "
    assert here in lines[NAME]
    assert "model.safetensors" in lines["hf:me/net"]
    assert lines["timm:resnet50.a2_in1k"].split()[1:4] == ["-", "-", "resnet50"]  # needs, here, --net
    assert "--stem_pool same" in lines["mindcv:resnet50"]
    assert "--std_eps 1e-08" in lines["timm:resnetv2_50x1_bit.goog_in21k"]
    assert main(["weights", "timm:res*50.a1_*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
