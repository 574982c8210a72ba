"""The contract of an exporter: it writes a segment in the form that one kind of backend reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, fx

__all__ = ["Exporter"]


class Exporter(ABC):
    """Writes one file of a segment's folder. It is stateless."""

    file: ClassVar[str]
    """The file's name; the backends that read it name the same one."""

    @abstractmethod
    def export(self, module: fx.GraphModule, examples: Sequence[Tensor], weights: bytes) -> bytes:
        """Return the file's content.

        ``module`` is a functional ATen graph: placeholders are tensors with a free batch as their
        first dimension, as are those of the tuple it returns; ``examples`` are inputs of it.
        ``weights`` is the content of the folder's ``weights.safetensors``, to which the file may
        point. Raises `CaptureError` with the engine's reason, its operation named, if the engine
        cannot take the segment.
        """
