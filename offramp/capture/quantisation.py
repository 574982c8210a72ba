"""Quantisation: every segment and exit once more, in 8-bit integers, for the device.

Static, by ONNX Runtime's own tool: weights int8 for each channel, activations uint8 for each
tensor, in pairs of QuantizeLinear and DequantizeLinear, and what has no integer kernel stays float.
Weights keep to 7 bits: the sum of two products then fits into 16 bits, as processors without VNNI
add them up, so that all give the answers that calibration recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from offramp import backends
from offramp.backends import Chain, Link
from offramp.bundle import Bundle, ProgramSpec
from offramp.capture.levels import batches
from offramp.capture.quiet import quiet
from offramp.errors import CaptureError
from offramp.files import scratch_folder
from offramp.samples import LabelledSamples, Samples
from offramp.tensors import Array

__all__ = ["EXACT", "QUANTISED", "quantise", "quantise_program", "split_samples"]

EXACT, QUANTISED = "onnxruntime", "onnxruntime_int8"
"""The backend whose programs are quantised, and the one that runs what comes of it."""

_LATENT = "latent: no boundary has it"
_ONE_IN = 4
_MOST = 200
_LEAST = 8


def split_samples(samples: LabelledSamples | None) -> tuple[LabelledSamples, LabelledSamples]:
    """Return the samples that set the ranges, and all others, on which the bundle is calibrated.

    The former are every fourth sample, or fewer of more than 800, evenly spread, since samples may
    come sorted. Raises `CaptureError` if there are too few.
    """
    if samples is None or len(samples) < _LEAST:
        raise CaptureError(
            f"an int8 head needs {_LEAST} held-out samples or more; give them with --data"
        )
    step = max(_ONE_IN, -(-len(samples) // _MOST))
    places = [at for at in range(len(samples)) if at % step]
    return samples[::step], samples[places]


def quantise(bundle: Bundle, samples: Samples, threads: int) -> dict[str, bytes]:
    """Write an int8 program beside every float one, and return all of them by name.

    Each one's ranges are of what the int8 programs before it make of the samples. Raises
    `CaptureError` if a program has no float one to start from, or cannot be quantised.
    """
    manifest, scales, files = bundle.manifest, _Scales(), {}
    values = dict(zip(_names(bundle, 0), samples.inputs, strict=True))
    codes: list[str] = []

    def take(spec: ProgramSpec, reads: Sequence[str], makes: Sequence[str]) -> None:
        (name,) = backends.get(QUANTISED).files(spec.folder)
        model = _load(bundle, spec)
        try:
            with quiet():
                given = [values[n] for n in reads]
                files[name] = quantise_program(model, given, scales.of(model, reads))
        except Exception as error:  # the tool raises many kinds; its text is what helps
            reason = " ".join(str(error).split())[:600]
            raise CaptureError(
                f"{spec.folder} cannot be quantised ({reason}); compile without --int8"
            ) from error
        scales.note(files[name], makes)
        (bundle.folder / name).write_bytes(files[name])

    for at, segment in enumerate(manifest.segments):
        take(segment, segment.reads, segment.makes)
        link = Link(bundle.folder / segment.folder, segment.reads, segment.makes)
        values.update(_run(link, values, threads))
        values = {name: values[name] for name in (*_names(bundle, at + 1), *codes)}
        if at + 1 in manifest.bottlenecks:
            pair = manifest.bottlenecks[at + 1]
            take(pair.encoder, (pair.tensor,), (_LATENT,))
        for number, spec in enumerate(manifest.exits):
            if spec.boundary == at + 1:
                reads, makes = manifest.exit_reads(number), manifest.exit_makes(number)
                take(spec, reads, makes)
                if makes[1:]:
                    link = Link(bundle.folder / spec.folder, reads, makes)
                    values[makes[1]] = _run(link, values, threads)[makes[1]]
                    codes.append(makes[1])
    return files


class _Scales:
    """The scale and zero point of every boundary tensor that a program returns quantised.

    The programs that read it take them over: quantised again, such a tensor stays as it is, and
    programs that are joined, where the engine leaves that out, give the same answers.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Array]] = {}

    def of(self, model: onnx.ModelProto, reads: Sequence[str]) -> dict[str, list[dict[str, Array]]]:
        """Return what is known of a model's inputs, as ONNX Runtime's tool takes it."""
        pairs = zip(model.graph.input, reads, strict=True)
        return {v.name: [self._known[name]] for v, name in pairs if name in self._known}

    def note(self, program: bytes, makes: Sequence[str]) -> None:
        """Look how a program returns its outputs."""
        graph = onnx.load_from_string(program).graph
        constants = {one.name: one for one in graph.initializer}
        makers = {name: node for node in graph.node for name in node.output}
        for value, name in zip(graph.output, makes, strict=True):
            node = makers.get(value.name)
            if node is not None and node.op_type == "DequantizeLinear":
                scale, zero = (onnx.numpy_helper.to_array(constants[n]) for n in node.input[1:])
                self._known[name] = {"scale": scale, "zero_point": zero}


def _load(bundle: Bundle, spec: ProgramSpec) -> onnx.ModelProto:
    if EXACT in spec.skipped:
        raise CaptureError(
            f"{spec.folder} has no {EXACT} program to quantise ({spec.skipped[EXACT]}); "
            "compile without --int8"
        )
    source, *_ = backends.get(EXACT).files(spec.folder)
    return onnx.load(str(bundle.path(source)))


def quantise_program(
    model: onnx.ModelProto, given: Sequence[Array], scales: Mapping[str, Any]
) -> bytes:
    """Return a model in int8, with ranges of what it computes from the inputs given.

    ``scales`` are those of inputs that come quantised, as ``TensorQuantOverrides`` of the tool.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows: Iterator[list[Array]] = batches(list(given))

        def get_next(self) -> Any:
            rows = next(self._rows, None)
            return rows and {v.name: a for v, a in zip(model.graph.input, rows, strict=True)}

    with scratch_folder() as folder:
        target = folder / "int8.onnx"
        quantize_static(
            model,
            target,
            Reader(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"TensorQuantOverrides": dict(scales)},
        )
        return target.read_bytes()


def _run(link: Link, values: Mapping[str, Array], threads: int) -> dict[str, Array]:
    run = backends.get(QUANTISED).load(Chain((link,), link.makes), threads)
    parts = [run(rows) for rows in batches([values[name] for name in link.reads])]
    made = (np.concatenate(part) for part in zip(*parts, strict=True))
    return dict(zip(link.makes, made, strict=True))


def _names(bundle: Bundle, boundary: int) -> list[str]:
    return [tensor.name for tensor in bundle.manifest.boundaries[boundary].tensors]
