"""Sinks of results: JSON lines and the terminal."""

from device.sinks.jsonl import JsonLinesSink
from device.sinks.sink import Sink
from device.sinks.terminal import TerminalSink

__all__ = ["JsonLinesSink", "Sink", "TerminalSink"]
