"""The compiler: a model, its exits and held-out samples become a proven, calibrated bundle."""

from __future__ import annotations

import datetime
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save as save_arrays
from torch import nn

from offramp import __version__
from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest, SegmentSpec, write_bundle
from offramp.bundle.archive import list_files
from offramp.bundle.manifest import Proof
from offramp.calibration import FILE as CALIBRATION_FILE
from offramp.calibration import Calibration
from offramp.capture.calibrate import calibrate
from offramp.capture.cutting import Segment, cut_graph
from offramp.capture.early_exit import EarlyExitModel
from offramp.capture.export import capture
from offramp.capture.exporters import export_segment
from offramp.capture.proof import prove
from offramp.errors import CaptureError
from offramp.exits.heads import build_head
from offramp.exits.training import train_head
from offramp.network import Network
from offramp.samples import LabelledSamples, as_labelled, check_inputs
from offramp.tensors import Array, TensorSpec

__all__ = ["CompileOptions", "compile_model"]

EXAMPLES = 4
_OWN_ANSWERS = "on the example inputs, against the model's own answers; no labels were given"
Report = Callable[[str], None]


@dataclass(frozen=True)
class CompileOptions:
    """What the user chooses about a compile.

    ``exits`` names sub-modules that get an exit head of kind ``head``, trained on the ``training``
    samples with the model frozen; a model that brings its own exits needs neither.
    """

    name: str
    classes: tuple[str, ...] = ()
    card: Mapping[str, str] = field(default_factory=dict)
    max_segments: int = 8
    exits: tuple[str, ...] = ()
    head: str = "linear"
    seed: int = 0


@dataclass(frozen=True)
class _Draft:
    """A bundle in the making: its files and the manifest's fields so far."""

    fields: dict[str, Any]
    files: dict[str, bytes]


def compile_model(
    model: nn.Module,
    held_out: LabelledSamples | None,
    path: Path,
    options: CompileOptions,
    *,
    training: LabelledSamples | None = None,
    examples: Array | Sequence[Array] | None = None,
    report: Report = lambda line: None,
) -> Manifest:
    """Capture, cut, export, prove, calibrate; write the bundle to ``path``.

    ``held_out`` are samples that neither the model nor its exits were trained on; the first of
    them trace the model unless ``examples`` are given. Without them, the examples are calibrated
    on, labelled by the model's own answers: accuracy is then agreement with it. Raises
    `CaptureError` if any step cannot be done or a proof fails.
    """
    backbone, heads = _take_apart(model)
    if options.exits and training is None:
        raise CaptureError("to train exit heads, give training samples (--train)")
    if held_out is None:
        if examples is None:
            raise CaptureError("to compile a model, give held-out samples or example inputs")
        held_out = _label(backbone, examples)
        options = replace(options, card={**options.card, "calibration": _OWN_ANSWERS})
    traced = _as_tensors(held_out.inputs if examples is None else examples)
    report("capturing the graph")
    paths = (*heads, *options.exits)
    segments, places = cut_graph(capture(backbone, traced), paths, options.max_segments)
    check_inputs(held_out.inputs, segments[0].inputs)
    report(f"exporting {len(segments)} segments")
    draft = _export_segments(segments, held_out, options)
    for spec in draft.fields["segments"]:
        for backend, reason in spec.skipped.items():
            report(f"skipping {backend} in {spec.folder}: {reason}")

    for exit_path in options.exits:
        assert training is not None
        report(f"training the exit after {exit_path}")
        heads[exit_path] = _train(draft, training, places[exit_path], options)
    for exit_path, head in sorted(heads.items(), key=lambda item: places[item[0]]):
        report(f"exporting the exit after {exit_path}")
        _export_exit(draft, head, exit_path, places[exit_path])

    with tempfile.TemporaryDirectory() as folder:
        bundle = _lay_out(draft, Path(folder))
        report("proving that every cut equals the whole model")
        draft.fields["proofs"] = tuple(_prove_all(bundle, backbone, held_out))
        fields, calibration = calibrate(Network(bundle, threads=_threads()), held_out, report)
    draft.files[CALIBRATION_FILE] = _safetensors(calibration.to_arrays())
    draft.fields["card"] = {**draft.fields["card"], "accuracy": _accuracies(draft, calibration)}
    manifest, digest = write_bundle(path, {**draft.fields, **fields}, draft.files)
    report(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB, digest {digest[:12]})")
    return manifest


def _label(model: nn.Module, examples: Array | Sequence[Array]) -> LabelledSamples:
    """Return examples labelled by the model's own answers."""
    given = examples if isinstance(examples, tuple | list) else [examples]
    tensors = [torch.tensor(array) for array in given]
    with torch.no_grad():
        logits = model(*tensors)
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        raise CaptureError("the model must return logits of shape (samples, classes)")
    return as_labelled((tuple(t.numpy() for t in tensors), logits.argmax(dim=1).numpy()))


def _accuracies(draft: _Draft, calibration: Calibration) -> str:
    specs = draft.fields.get("exits", ())
    right = calibration.exit_logits.argmax(axis=-1) == calibration.labels
    parts = [
        f"exit {spec.name} {share:.4f}"
        for spec, share in zip(specs, right.mean(axis=1), strict=True)
    ]
    parts.append(f"whole model {calibration.accuracy:.4f}")
    return f"on {len(calibration.labels)} held-out samples: {', '.join(parts)}"


def _take_apart(model: nn.Module) -> tuple[nn.Module, dict[str, nn.Module]]:
    if not isinstance(model, nn.Module):
        raise CaptureError(f"the model is a {type(model).__name__}, not a torch.nn.Module")
    if isinstance(model, EarlyExitModel):
        model.eval()
        return model.model, dict(zip(model.paths, model.heads, strict=True))
    return model.eval(), {}


def _as_tensors(examples: Array | Sequence[Array]) -> list[torch.Tensor]:
    arrays = examples if isinstance(examples, tuple | list) else [examples]
    return [torch.tensor(array[:2]) for array in arrays]


def _export_segments(
    segments: Sequence[Segment], held_out: LabelledSamples, options: CompileOptions
) -> _Draft:
    few = [array[:EXAMPLES] for array in held_out.inputs]
    files: dict[str, bytes] = {}
    values = [torch.from_numpy(array) for array in few]
    specs = []
    for at, segment in enumerate(segments):
        folder = f"segments/{at:02d}"
        exported = export_segment(segment.module, values, folder)
        files.update(exported.files)
        specs.append(SegmentSpec(folder=folder, macs=segment.macs, skipped=exported.skipped))
        with torch.no_grad():
            values = list(segment.module(*values))
    boundaries = [segments[0].inputs, *(segment.outputs for segment in segments)]
    fields: dict[str, Any] = {
        "name": options.name,
        "classes": options.classes,
        "card": {**_origin(), **options.card},
        "boundaries": tuple(Boundary(tensors=tensors) for tensors in boundaries),
        "segments": tuple(specs),
    }
    files["examples.safetensors"] = _safetensors(
        {spec.name: array for spec, array in zip(segments[0].inputs, few, strict=True)}
    )
    return _Draft(fields, files)


def _export_exit(draft: _Draft, head: nn.Module, path: str, boundary: int) -> None:
    tensors = draft.fields["boundaries"][boundary].tensors
    example = [_random(spec) for spec in tensors]
    (segment,), _ = cut_graph(capture(head, example), (), 1)
    exits = draft.fields.get("exits", ())
    folder = f"exits/{len(exits):02d}"
    exported = export_segment(segment.module, example, folder)
    draft.files.update(exported.files)
    spec = ExitSpec(
        name=path, boundary=boundary, folder=folder, macs=segment.macs, skipped=exported.skipped
    )
    draft.fields["exits"] = (*exits, spec)


def _train(
    draft: _Draft, training: LabelledSamples, boundary: int, options: CompileOptions
) -> nn.Module:
    torch.manual_seed(options.seed)
    classes = int(training.labels.max()) + 1
    with tempfile.TemporaryDirectory() as folder:
        network = Network(_lay_out(draft, Path(folder)), threads=_threads())
        chunks = range(0, len(training), 256)
        features = [network.run(0, boundary, training[at : at + 256].inputs)[0] for at in chunks]
    head = build_head(options.head, draft.fields["boundaries"][boundary].tensors[0], classes)
    return train_head(head, np.concatenate(features), training.labels, seed=options.seed)


def _prove_all(bundle: Bundle, model: nn.Module, held_out: LabelledSamples) -> list[Proof]:
    inputs = [array[:16] for array in held_out.inputs]
    with torch.no_grad():
        whole = model(*(torch.from_numpy(array) for array in inputs))
    outputs = [whole] if isinstance(whole, torch.Tensor) else list(whole)
    expected = [output.numpy() for output in outputs]
    return [
        proof
        for backend in bundle.backends
        if backend.ready_at_once
        for proof in prove(Network(bundle, backend.name), inputs, expected)
    ]


def _lay_out(draft: _Draft, folder: Path) -> Bundle:
    """Write the draft's files to a folder, so that backends can load them."""
    for name, data in draft.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return Bundle(Manifest(**draft.fields, files=list_files(draft.files)), "0" * 64, folder)


def _random(spec: TensorSpec) -> torch.Tensor:
    return torch.rand(2, *spec.shape, generator=torch.Generator().manual_seed(0))


def _safetensors(arrays: Mapping[str, Array]) -> bytes:
    return save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _origin() -> dict[str, str]:
    return {
        "compiled": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": f"offramp {__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}",
    }


def _threads() -> int:
    return torch.get_num_threads()
