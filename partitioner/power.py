"""Power: what a board draws, and what a sample costs of it in joules.

A sample's energy is what it adds to that of a board that is on anyway: Neurosurgeon's (ASPLOS
2017) time on the device times the power of computing, and upload times the power of the radio,
with the time that the radio stays up behind them (Balasubramanian et al., IMC 2009). The board at
rest is left out: it draws ``idle_w`` between samples, and while one waits, under every plan alike;
counted per sample, it would count twice when samples overlap. A stretch of time takes ``idle_w``
times its length, and the energy of its samples.
"""

from __future__ import annotations

import math
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offramp.quantities import figure, say_time
from offramp.settings import Settings

__all__ = ["Power"]

Watts = Annotated[float, Field(ge=0, le=10_000)]
Amount = TypeVar("Amount", float, NDArray[np.float64])


class Power(Settings):
    """What a board draws at rest, and what it draws more while it works; all in watts.

    ``compute_w``: more, while it computes; ``radio_w``: more, while it sends. ``radio_up_w``: more,
    while the radio is up but does not send: until the answer comes, and ``radio_tail_s`` longer;
    both are 0 for a cable. ``source``: where the figures are from.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    source: Annotated[str, Field(min_length=1, max_length=1000)]
    idle_w: Watts
    compute_w: Watts
    radio_w: Watts = 0.0
    radio_up_w: Watts = 0.0
    radio_tail_s: Annotated[float, Field(ge=0, le=3600)] = 0.0

    def sample_j(
        self,
        device_s: Amount,
        sending_s: Amount,
        waiting_s: Amount,
        sends: Amount,
        *,
        every_s: float = math.inf,
    ) -> Amount:
        """Return the energy that a sample adds, in joules, one of which comes ``every_s``.

        Numbers, or arrays of one shape: seconds that the board computes, that it sends, that it
        waits from the last byte sent to the answer, and how often it sends (the share of samples
        that are sent, if the times are means over samples). Behind a message the radio stays up no
        longer than until the next one, as if messages came evenly: where they come in bunches it is
        up for less. Where none is so near, the energy is linear in all of these.
        """
        left_s = np.maximum(every_s - sending_s - waiting_s, 0.0)
        up_s = waiting_s + np.minimum(sends * self.radio_tail_s, left_s)
        drawn_j: Amount = (
            device_s * self.compute_w + sending_s * self.radio_w + up_s * self.radio_up_w
        )
        return drawn_j

    def describe(self) -> str:
        """Say the figures in one line."""
        text = f"{self.name}: {figure(self.idle_w)} W at rest"
        text += f", {figure(self.compute_w)} W more computing"
        if self.radio_w or self.radio_up_w:
            text += f", {figure(self.radio_w)} W more sending"
        if self.radio_tail_s:
            text += f", {figure(self.radio_up_w)} W for {say_time(self.radio_tail_s)} behind that"
        return f"{text} ({self.source})"
