"""Two nodes, as processes with folders of their own, that stream the same bucket: the weights of a copied training."""

from __future__ import annotations

import pytest

from tests.support.lone_ranks import Rank, lone_ranks
from tests.support.photo_bucket import IMAGES, Bucket, same

NODES = 2


@pytest.fixture
def photos(minio, bucket, fault_proxy, tmp_path) -> Bucket:
    return Bucket(minio, bucket, fault_proxy, tmp_path)


def train(photos: Bucket, until: str = "", *more: object) -> list[Rank]:
    """Both nodes to their end; or, once node 0 has said `until`, both are killed."""

    def own(rank: int) -> dict[str, str]:
        folder = photos.folder / f"node_{rank}"
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        return {
            **photos.env,
            "MA_NUM_HOSTS": str(NODES),
            "MINDLIFT_CACHE": str(folder / "cache"),
            "TMPDIR": str(folder / "tmp"),
        }

    words = photos.words("stream", "streamed", *more)
    with lone_ranks(photos.folder, NODES, words, variables=own) as nodes:
        if until:
            nodes[0].await_text(until)
        else:
            for node in nodes:
                node.process.wait(timeout=300)
    return nodes


@pytest.mark.heavy
def test_two_nodes_have_the_weights_of_a_copy(photos):
    done = photos.train("copy", "copied", ranks=NODES)
    assert done.code == 0, done.err + done.out
    before = len(photos.asked())
    train(photos, "step 4 of 12")  # and killed, with checkpoints of each step before it
    nodes = train(photos)
    for node in nodes:
        assert node.process.returncode == 0, node.text
        assert "are fetched while they are read" in node.text
    assert "continuing from" in nodes[0].text
    same(photos.weights("copied"), photos.weights("streamed"))
    for rank in range(NODES):
        here = [path.name for path in (photos.folder / f"node_{rank}/cache/data").glob("*/class_*/*.png")]
        assert len(here) == IMAGES
    asked = photos.asked()[before:]
    assert (
        max(asked.count(name) for name in {*asked}) <= NODES + NODES
    ), "once a node, or what a kill has cut short again"
