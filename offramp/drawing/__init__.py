"""Drawings of a bundle: its operations from the input down to the output, with every cut marked."""

from offramp.drawing.draw import draw_bundle

__all__ = ["draw_bundle"]
