"""What a run keeps of an evaluation, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from mindlift.runs import evaluation_files


def test_calibration_is_that_of_each_bin():
    confidences = np.array([0.05, 0.31, 0.32, 0.95, 0.99, 1.0])
    right = np.array([False, True, False, True, True, False])
    found = evaluation_files.calibration(confidences, right)
    filled = {round(each["low"] * 15): each for each in found["bins"] if each["count"]}
    assert {number: each["count"] for number, each in filled.items()} == {0: 1, 4: 2, 14: 3}
    assert (filled[4]["confidence"], filled[4]["accuracy"]) == (0.315, 0.5)
    assert filled[14]["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    expected = (0.05 + 2 * abs(0.315 - 0.5) + 3 * abs(0.98 - 2 / 3)) / 6
    assert found["ece"] == pytest.approx(expected, abs=1e-4)


def test_confusion_and_the_most_confident_mistakes():
    labels, predicted = np.array([0, 1, 2, 2, 1]), np.array([0, 2, 2, 0, 0])
    assert evaluation_files.confusion(labels, predicted, 3) == [[1, 0, 0], [1, 0, 1], [1, 0, 1]]
    assert evaluation_files.worst(labels, predicted, np.array([0.99, 0.4, 0.9, 0.8, 0.6])) == [3, 4, 1]
