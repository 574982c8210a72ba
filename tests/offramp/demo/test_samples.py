import numpy as np

from offramp.demo.samples import write_part, write_samples
from offramp.embedded import cluttered_digits


def test_samples_are_the_test_splits_and_the_part_its_first(tmp_path):
    drawn = []
    write_samples(tmp_path / "all.npz", 12, seed=3, progress=drawn.append)
    assert drawn == [10, 2]
    inputs, labels = cluttered_digits.load("test", 12, seed=3)
    with np.load(tmp_path / "all.npz", allow_pickle=False) as written:
        np.testing.assert_array_equal(written["inputs"], inputs)
        np.testing.assert_array_equal(written["labels"], labels)
    write_part(tmp_path / "all.npz", tmp_path / "part.npz", 5)
    with np.load(tmp_path / "part.npz", allow_pickle=False) as written:
        np.testing.assert_array_equal(written["inputs"], inputs[:5])
        np.testing.assert_array_equal(written["labels"], labels[:5])
