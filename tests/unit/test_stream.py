"""The order in which files are fetched while they are read, and what a reader of one that is not there is told."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mindlift.data import ahead, image_folder
from mindlift.data.order import Balanced, BatchRange, reading_order, shuffled
from mindlift.errors import DataError, StageError, TransferError
from mindlift.model_utils import image_files
from mindlift.model_utils.streaming import arrivals
from mindlift.model_utils.streaming.arrivals import ALIVE, NAMES, STATE, WANTED, ArrivalError, Arriving, held
from mindlift.model_utils.streaming.fetch_queue import Queue
from mindlift.model_utils.streaming.position import Evaluation, Position
from mindlift.model_utils.streaming.stream import make_folder
from mindlift.storage.copying.engine import run_unit
from mindlift.storage.copying.job import Failure, LocalError
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.store import Entry


def queue(*names: str, timeout_s: float = 60, clock=time.monotonic) -> Queue:
    found = Queue(timeout_s, clock)
    found.fill(iter([Entry(name) for name in names]))
    return found


def test_files_come_in_the_order_that_was_asked_for_last():
    found = queue("a", "b", "c", "d", "e")
    assert found.take().key == "a"
    found.order(["d", "b", "d", "nowhere", "a"])
    assert [found.take().key for _ in range(2)] == ["d", "b"]
    found.order(["e"])
    assert [found.take().key for _ in range(2)] == ["e", "c"]
    assert found.take() is None


def test_lists_come_first():
    found = queue("a.jpg", "lists/b.txt", "c.png", "d.lst")
    assert [found.take().key for _ in range(4)] == ["lists/b.txt", "d.lst", "a.jpg", "c.png"]


def test_what_a_reader_waits_for_comes_next():
    found = queue("a", "b", "c", "d")
    found.order(["b", "a"])
    found.bring_forward(["d", "nowhere", "c"])
    assert [found.take().key for _ in range(4)] == ["d", "c", "b", "a"]
    assert found.take() is None, "each comes once"


def test_what_failed_comes_again_until_its_time_is_over():
    now = [0.0]
    found = queue("a", "b", timeout_s=10, clock=lambda: now[0])
    first = found.take()
    assert not found.ended(first, TransferError("away"))
    assert found.take().key == "b"
    assert found.take().key == "a"
    now[0] = 9
    assert not found.ended(first, TransferError("away"))
    assert not found.ended(first, TransferError("its second range")), "it is not under way"
    assert found.take().key == "a"
    now[0] = 11
    assert found.ended(first, TransferError("still away"))
    assert found.failed == {"a": "still away"}
    assert found.ended(Entry("b"), None)
    assert list(found) == []


def test_a_success_sets_the_time_back():
    now = [0.0]
    found = queue("a", timeout_s=10, clock=lambda: now[0])
    entry = found.take()
    found.ended(entry, TransferError("away"))
    found.take()
    assert found.ended(entry, None)
    assert found.failing == {}


def test_what_is_gone_is_not_asked_for_again():
    found = queue("a")
    assert found.ended(found.take(), MoxFileNotExistsException("404"))
    assert found.failed == {"a": "404"}


@pytest.mark.parametrize("error", [StageError("a member is damaged"), LocalError("File name too long")])
def test_what_no_store_can_mend_is_not_asked_for_again(error):
    found = queue("a")
    assert found.ended(found.take(), error)
    assert found.failed == {"a": str(error)}


def test_names_that_are_too_long_for_the_disk(tmp_path):
    """Of 300 bytes; a store may have them (MinIO has not, so that no training here meets one)."""
    name = "猫" * 100
    outcome = run_unit(Entry(name), lambda: (tmp_path / name).write_bytes(b""))
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, LocalError)
    assert "File name too long" in str(outcome.error)
    with pytest.raises(StageError, match="can't make the folder .*File name too long"):
        make_folder(str(tmp_path / name))


def test_the_end_waits_for_what_may_come_again():
    found = queue("a")
    entry, later = next(iter(found)), []
    waiting = threading.Thread(target=lambda: later.extend(each.key for each in found))
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()
    found.ended(entry, TransferError("once"))
    while not later:
        time.sleep(0.01)
        if not found.pending and found.under_way:
            found.ended(entry, None)
            break
    waiting.join(5)
    assert later == ["a"]


@pytest.mark.parametrize(("count", "batch", "ranks"), [(48, 4, 1), (50, 4, 2), (17, 5, 3), (7, 7, 1)])
def test_files_are_wanted_in_the_order_of_the_training(count, batch, ranks):
    """Each image at the place where any rank first reads it, by the order that the training itself uses."""
    for done in (0, 1, count // (batch * ranks), 5):
        orders = [BatchRange(0, 99, rank, ranks).order(count, batch, seed=3) for rank in range(ranks)]
        read: list[int] = []
        for step in range(done, done + 400):
            for order in orders:
                read += [order(step * batch + at)[1] for at in range(batch)]
        found = reading_order(count, batch * ranks, shuffled(count, 3), done * batch * ranks)
        assert sorted(found) == list(range(count))
        steps = {index: at // (batch * ranks) for at, index in reversed(list(enumerate(read)))}
        per_epoch = count // (batch * ranks)
        left = per_epoch - done % per_epoch  # steps of this epoch
        for at, index in enumerate(found[: left * batch * ranks]):
            assert steps[index] == at // (batch * ranks)


@pytest.mark.parametrize("node", [0, 1, 2])
def test_a_node_wants_what_its_own_ranks_read_first(node):
    """3 nodes of 2 ranks; the images of an epoch before those that the others read in it."""
    count, batch, ranks = 100, 3, range(2 * node, 2 * node + 2)
    for done in (0, 2, 5):
        read = []
        orders = [BatchRange(0, 99, rank, 6).order(count, batch, seed=3) for rank in ranks]
        per_epoch = count // (batch * 6)
        for step in range(done, 2 * per_epoch):
            read += [sorted(order(step * batch + at)[1] for order in orders for at in range(batch))]
        found = reading_order(count, batch * 6, shuffled(count, 3), done * batch * 6, ranks, 6).tolist()
        assert sorted(found) == list(range(count))
        first = read[: per_epoch - done]
        for step, images in enumerate(first):
            assert sorted(found[step * 6 : step * 6 + 6]) == images
        new = {image for images in read[per_epoch - done :] for image in images} - {
            image for images in first for image in images
        }
        assert {*found[len(first) * 6 :][: len(new)]} == new


def test_a_balanced_epoch_wants_rare_images_first_where_it_draws_them():
    """All images are wanted in the end: a later epoch draws others."""
    labels = np.array([0] * 40 + [1] * 2)
    epochs = Balanced(labels, 3)
    found = reading_order(42, 4, epochs, 0)
    assert sorted(found) == list(range(42))
    drawn = list(dict.fromkeys((epochs(0)[:40] % 42).tolist()))
    assert found[: len(drawn)].tolist() == drawn


@pytest.fixture
def folder(tmp_path) -> Arriving:
    control = tmp_path / "control"
    control.mkdir()
    (control / NAMES).write_text(
        "\0".join(["a-b/z.png", "a/1.png", "a/2.PNG", "a/deep/3.jpg", "a/notes.txt", "b/数.png"])
    )
    (tmp_path / "root/a").mkdir(parents=True)
    return Arriving(tmp_path / "root", control, 0.3, lambda line: None)


def test_the_images_of_a_folder_are_those_that_will_be_there(folder):
    for name in folder.names:
        path = folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for part in ("", "a", "b", "a/deep"):
        found, there = folder.images(folder.root / part), image_files.find(folder.root / part)
        assert (found.files, found.left_out) == (there.files, there.left_out)


def test_a_file_that_does_not_come(folder):
    with pytest.raises(
        ArrivalError, match="a/1.png did not arrive: the process that fetches files has ended"
    ):
        folder.wait(str(folder.root / "a/1.png"))
    with held(folder.control / ALIVE):
        with pytest.raises(ArrivalError, match="a/1.png did not arrive within --stage_timeout"):
            folder.wait(str(folder.root / "a/1.png"))
        (folder.control / STATE).write_text('{"failed": {"a/1.png": "404 NoSuchKey"}}')
        with pytest.raises(ArrivalError, match="a/1.png did not arrive: 404 NoSuchKey"):
            folder.wait(str(folder.root / "a/1.png"))
    assert ArrivalError.exit_code == 1


def test_a_reader_waits(folder, monkeypatch):
    monkeypatch.setattr(arrivals, "SAY_EVERY_S", 0.05)
    said: list[str] = []
    folder.say, folder.timeout_s = said.append, 20
    monkeypatch.setattr(arrivals.ARRIVALS, "folders", [folder])
    path = folder.root / "a/1.png"
    with held(folder.control / ALIVE):
        threading.Timer(0.3, path.write_bytes, [b"\x89PNG whatever"]).start()
        assert image_folder.read_bytes(str(path)) == b"\x89PNG whatever"
    assert said[0].startswith("waiting for a/1.png: 0 s so far; 0 of 6 files are here")


def test_a_reader_that_waits_asks_for_its_file(folder, monkeypatch):
    monkeypatch.setattr(arrivals, "ASK_AFTER_S", 0.05)
    with held(folder.control / ALIVE):
        for name in ("a/1.png", "b/数.png"):
            with pytest.raises(ArrivalError, match="within --stage_timeout"):
                folder.wait(str(folder.root / name))
    assert (folder.control / WANTED).read_bytes().decode() == "a/1.png\0b/数.png\0"


def test_a_file_that_is_coming_is_one(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(arrivals.ARRIVALS, "folders", [folder])
    coming = ["a/1.png", "a/notes.txt", "a/deep/3.jpg"]
    others = ["a", "a/deep", "a/3.png", "a/1.pn", "a/1.png/x", "../elsewhere.png"]
    assert [name for name in coming + others if arrivals.is_file(folder.root / name)] == coming
    (tmp_path / "elsewhere.png").touch()
    assert arrivals.is_file(tmp_path / "elsewhere.png")


def test_a_file_of_another_folder_is_missing_at_once(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(arrivals.ARRIVALS, "folders", [folder])
    with pytest.raises(DataError, match="No such file"):
        image_folder.read_bytes(str(tmp_path / "elsewhere.png"))


def test_a_missing_file_is_no_corrupt_one(folder, monkeypatch):
    """--skip_corrupt takes another image for one that can't be decoded, and never for one that did not come."""
    from mindlift.data.classification.split import Samples

    monkeypatch.setattr(arrivals.ARRIVALS, "folders", [folder])
    samples = Samples(np.zeros(1, np.int32), files=[str(folder.root / "a/1.png")])
    with pytest.raises(ArrivalError):
        samples.decode(0)


def test_of_large_files_few_are_under_way():
    found = Queue(60, most_bytes=100)
    found.fill(iter([Entry("a", 60), Entry("b", 60), Entry("c", 60)]))
    first = found.take()
    assert found.take().key == "b"
    assert found.take() is None, "120 bytes are under way"
    assert found.ended(first, None)
    found.bring_forward(["c"])
    assert found.take().key == "c"


def test_an_evaluation_asks_some_batches_ahead(tmp_path, monkeypatch):
    """Eight before the first one, then one more with each; nothing while a training knows when it comes."""
    root, control = tmp_path / "data", tmp_path / "control"
    control.mkdir()
    names = [f"{number:03}.png" for number in range(60)]
    (control / NAMES).write_text("\0".join(names))
    (control / WANTED).write_bytes(b"")
    seen = arrivals.Arrivals()
    monkeypatch.setattr(ahead, "ARRIVALS", seen)
    asking = ahead.Ahead(lambda index: (f"{root}/{names[index]}",), range(60), 2)
    seen.begin(Arriving(root, control, 60, print))
    asking.ask(0)
    assert not (control / WANTED).read_bytes(), "what has come stays"
    seen.begin(Arriving(root, control, 60, print, "read-0"))
    asking.ask(0)
    assert (control / WANTED).read_text().split("\0")[:-1] == names[:16]
    asking.ask(1)
    assert (control / WANTED).read_text().split("\0")[:-1] == names[:18]
    seen.follow(Position(0, [Evaluation(0, 1)], 30))
    asking.ask(2)
    assert (control / WANTED).read_text().split("\0")[:-1] == names[:18]
