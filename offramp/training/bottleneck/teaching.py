"""What a bottleneck learns: to change nothing behind the cut, for few bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offramp.bottlenecks import Bottleneck
from offramp.calibration import FAITHFUL
from offramp.training.bottleneck.cut_model import CutAfter
from offramp.training.bottleneck.density import Density
from offramp.training.recipes.losses import distillation
from offramp.training.samples import Batch

__all__ = ["FINEST_STEP", "COARSEST_STEP", "Lesson", "Outcome"]

FINEST_STEP, COARSEST_STEP = 1.0, 4.0
"""The steps between which a bottleneck learns to be quantised."""

_BIT_COST = 1e-5  # of the finest step, in nats of the answers
_ROWS_OF_SCORES = 2  # dimensions
_MAP_COST = 0.2  # of the tensors at the cut and behind, where these are changed altogether


@dataclass(frozen=True)
class Outcome:
    """What a bottleneck did to a batch of ``count`` samples: mean loss and bits of a sample.

    ``same`` of them are answered as the model does.
    """

    loss: Tensor
    bits: Tensor
    count: int
    same: int


@dataclass(frozen=True)
class Lesson:
    """A pair and its density at a cut of a model that stays as it is."""

    model: CutAfter
    pair: Bottleneck
    density: Density

    def to(self, device: str) -> None:
        """Move all of it to a device."""
        self.model.to(device)
        self.pair.to(device)
        self.density.to(device)

    def learn(self, batch: Batch, random: torch.Generator) -> Outcome:
        """Return the outcome of a batch if each sample has a step and a rounding by chance.

        Uniform noise stands for rounding, through which nothing could be learnt (Ballé et al.,
        arXiv 1611.01704). A bit costs as the square of the step, as the error does that it saves.
        """
        values = self.model.reach(batch)
        feature = values[self.model.tensor.name]
        shares = torch.rand(len(feature), generator=random).to(feature.device)
        steps = FINEST_STEP * (COARSEST_STEP / FINEST_STEP) ** shares
        latents = self.pair.encoder(feature)
        noise = torch.rand(latents.shape, generator=random).to(feature.device) - 0.5
        return self._outcome(values, latents + noise * _as_wide(steps, latents), steps)

    def test(self, batch: Batch, step: float) -> Outcome:
        """Return the outcome of a batch at one step, rounded."""
        with torch.no_grad():
            values = self.model.reach(batch)
            latents = self.pair.encoder(values[self.model.tensor.name])
            steps = torch.full((len(latents),), step, device=latents.device)
            return self._outcome(values, torch.round(latents / step) * step, steps)

    def _outcome(self, values: dict[str, Tensor], latents: Tensor, steps: Tensor) -> Outcome:
        name = self.model.tensor.name
        with torch.no_grad():
            maps, answer = self.model.follow(values)
        restored = self.pair.decoder(latents)
        found, changed = self.model.follow({**values, name: restored})
        scores = answer.ndim == _ROWS_OF_SCORES
        change = distillation(changed, answer) if scores else _distance(answer, changed)
        distances = _distance(values[name], restored) + _mean_distance(maps, found)
        bits = self.density.bits(latents, steps)
        cost = (_BIT_COST * steps.square() * bits).mean()
        same = changed.argmax(1) == answer.argmax(1) if scores else _faithful(answer, changed)
        loss = change + _MAP_COST * distances + cost
        return Outcome(loss, bits.detach().mean(), len(answer), int(same.sum()))


def _faithful(was: Tensor, now: Tensor) -> Tensor:
    """Tell of each answer whether it is as good as the model's (`offramp.calibration`)."""
    rows = was.flatten(1)
    off: Tensor = (now.flatten(1) - rows).norm(dim=1)
    near: Tensor = off <= FAITHFUL * rows.norm(dim=1)
    return near


def _distance(was: Tensor, now: Tensor) -> Tensor:
    """Return the squared error over the power of what was, of a batch."""
    return (now - was).square().sum() / was.square().sum().clamp(min=1e-12)


def _mean_distance(was: Sequence[Tensor], now: Sequence[Tensor]) -> Tensor:
    if not was:
        return torch.zeros(())
    return torch.stack([_distance(a, b) for a, b in zip(was, now, strict=True)]).mean()


def _as_wide(steps: Tensor, latents: Tensor) -> Tensor:
    return steps.reshape(-1, *(1,) * (latents.ndim - 1))
