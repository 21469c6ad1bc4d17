"""What users get to see of how long callbacks took."""

import json
import math

import numpy as np
import pytest

from stream_audio import (
    Histogram,
)

THREE = Histogram(np.array([0.0, 1.0, 2.0, math.inf]), np.array([1, 2, 1]))
EMPTY = Histogram(np.array([0.0, math.inf]), np.array([0]))


@pytest.mark.parametrize(
    ("percent", "seconds"), [(0, 1.0), (25, 1.0), (26, 2.0), (75, 2.0), (76, 2.0), (100, 2.0)]
)
def test_a_percentile_is_the_upper_edge_of_its_bucket(percent, seconds):
    # The last bucket has no upper edge: what is known is that it begins at 2.
    assert THREE.percentile(percent) == seconds


def test_without_a_duration_there_is_no_percentile():
    assert math.isnan(EMPTY.percentile(50))
    assert repr(EMPTY) == "<Histogram: empty>"


def test_a_dict_has_the_buckets_that_are_not_empty():
    histogram = Histogram(np.array([0.0, 1.0, 2.0, math.inf]), np.array([1, 0, 4]))
    assert json.loads(json.dumps(histogram.to_dict())) == {"seconds": [0.0, 2.0], "counts": [1, 4]}
