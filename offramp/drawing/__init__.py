"""Drawings of a bundle: its operations with every cut marked, and the plans that no other beats."""

from offramp.drawing.draw import draw_bundle
from offramp.drawing.frontier import draw_frontier

__all__ = ["draw_bundle", "draw_frontier"]
