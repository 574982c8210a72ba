"""The whole model as the user gave it: what it answers is what every cut has to answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from offramp.agreement import largest_difference
from offramp.capture.graph import CapturedGraph
from offramp.errors import CaptureError, InputError
from offramp.samples import Samples
from offramp.tensors import Array

__all__ = ["TOLERANCE", "WholeModel"]

TOLERANCE = 1e-3
"""The largest difference that passes, as a share of the output's largest magnitude."""


class WholeModel:
    """Runs the model in torch and returns the outputs of its captured graph."""

    def __init__(self, model: nn.Module, graph: CapturedGraph) -> None:
        self._model = model
        self._graph = graph
        self._names = [node.name for node in graph.outputs]

    @property
    def classes(self) -> int:
        """The number of scores that the answer has for a sample; 0 if it is no row of scores."""
        answer: Tensor = self._graph.outputs[0].meta["val"]
        scores = answer.dim() == 2 and answer.dtype.is_floating_point and answer.shape[1] > 1
        return int(answer.shape[1]) if scores else 0

    def run(self, samples: Samples) -> list[Array]:
        """Return the outputs on samples as one batch; raise `CaptureError` if the model fails."""
        keyword = {name: torch.tensor(array) for name, array in samples.keyword.items()}
        try:
            with torch.no_grad():
                returned = self._model(*map(torch.tensor, samples.positional), **keyword)
        except Exception as error:  # the user's code raises what it likes
            reason = " ".join(str(error).split())[:300]
            raise CaptureError(f"the model fails on a batch of {len(samples)}: {reason}") from error
        return [output.numpy() for output in self._graph.flatten(returned)]

    def answers(self, samples: Samples) -> list[Array]:
        """Return the outputs on samples that are run one by one, as a device runs them.

        Raises `CaptureError` if they are not numbers, or are others for the samples as one batch,
        and `InputError` if the samples are not numbers.
        """
        count = len(samples)
        if count == 1:
            samples = _two(samples)
        alone = [self.run(samples[at : at + 1]) for at in range(len(samples))]
        for at, outputs in enumerate(alone):
            self._check(at, samples, outputs)
        expected = [np.concatenate(output) for output in zip(*alone, strict=True)]
        apart = largest_difference(self.run(samples), expected)
        if apart > TOLERANCE:
            raise CaptureError(
                f"the model's answers depend on what else is in the batch (alone they differ by "
                f"{apart:.2g} of the largest); the batch must be the first dimension of every "
                "input, and nothing may be computed across it"
            )
        return [output[:count] for output in expected]

    def _check(self, at: int, samples: Samples, outputs: Sequence[Array]) -> None:
        floats = (array[at] for array in samples.inputs if array.dtype.kind == "f")
        if not all(np.isfinite(array).all() for array in floats):
            raise InputError(f"sample {at} holds NaN or infinity; leave it out")
        for name, output in zip(self._names, outputs, strict=True):
            if output.shape[:1] != (1,):
                raise CaptureError(
                    f"output {name!r} has shape {output.shape} for a batch of one sample; it must "
                    "keep the batch as its first dimension (squeeze other dimensions by number)"
                )
            if output.dtype.kind == "f" and np.isnan(output).any():
                raise CaptureError(
                    f"output {name!r} is not a number (NaN) for sample {at}; look at what the "
                    "model divides or takes the logarithm of"
                )


def _two(samples: Samples) -> Samples:
    """Return the one sample, and one made of its values in another order."""
    inputs = tuple(np.concatenate([a, np.roll(a, 1, axis=-1)]) for a in samples.inputs)
    return Samples(inputs, keywords=samples.keywords)
