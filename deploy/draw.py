"""Draw test images of the embedded data set into a file that ``offramp run --source`` reads."""

from __future__ import annotations

import sys

import numpy as np

from offramp.embedded.cluttered_digits import load


def main(count: str, path: str) -> None:
    """Write the first ``count`` images and their labels."""
    inputs, labels = load("test", int(count))
    np.savez(path, inputs=inputs, labels=labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
