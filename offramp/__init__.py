"""Offramp: one neural network across a device and an edge server, with early exits."""

__all__ = ["__version__"]

__version__ = "0.1.0"
