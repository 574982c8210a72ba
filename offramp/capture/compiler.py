"""The compiler: a model, its exits and held-out samples become a proven, calibrated bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from offramp.bottlenecks import Bottleneck
from offramp.boundary_codec import FILE as CODECS_FILE
from offramp.bundle import Bundle, Manifest, write_bundle
from offramp.bundle.manifest import Proof
from offramp.calibration import Calibration
from offramp.capture.calibrate import calibrate
from offramp.capture.cutting import CutModel, cut_graph
from offramp.capture.draft import Draft, origin
from offramp.capture.early_exit import EarlyExitModel, check_submodule
from offramp.capture.export import export
from offramp.capture.graph import CapturedGraph, read_program
from offramp.capture.proof import prove
from offramp.capture.quantisation import QUANTISED, quantise, split_samples
from offramp.capture.quantised_cost import measure_cost
from offramp.capture.whole import WholeModel
from offramp.errors import CaptureError
from offramp.exits.ensemble import joint_classes
from offramp.exits.heads import build_head, default_kind
from offramp.files import scratch_folder
from offramp.names import check_name
from offramp.network import Network
from offramp.quantities import say_bytes
from offramp.samples import LabelledSamples, Samples, check_inputs, naming
from offramp.tensors import Array
from offramp.training import recipes
from offramp.training.options import TrainingOptions
from offramp.training.samples import ArraySamples, check_range, check_variety
from offramp.training.setup import TrainingSetup
from offramp.training.trainer import train

__all__ = ["CompileOptions", "compile_model"]

PROOF_SAMPLES = 16
BATCH = 50
_FEW = 100  # samples, of which accuracies are too coarse to plan by
_OWN_ANSWERS = "against the model's own answers, not against labels"
Report = Callable[[str], None]


@dataclass(frozen=True)
class CompileOptions:
    """What the user chooses about a compile.

    ``answer`` is "class", whose names are ``classes``, or "tensor"; by default, a class if the
    model's first output is a row of scores. ``exits`` names sub-modules that get an exit head of
    kind ``head``, by default the `default_kind` of the place, trained on the ``training`` samples
    with the model frozen; a model that brings its own exits needs neither. ``int8`` makes the
    device's head compute in 8-bit integers. With ``later_exits`` the server answers at exits behind
    the cut that are sure enough.
    """

    name: str
    classes: tuple[str, ...] = ()
    card: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    max_segments: int = 8
    exits: tuple[str, ...] = ()
    head: str | None = None
    seed: int = 0
    int8: bool = False
    later_exits: bool = True


def compile_model(
    model: nn.Module,
    held_out: LabelledSamples | None,
    path: Path,
    options: CompileOptions,
    *,
    training: LabelledSamples | None = None,
    examples: Samples | None = None,
    report: Report = lambda line: None,
) -> Manifest:
    """Capture, cut, export, prove, calibrate; write the bundle to ``path``.

    ``held_out`` are samples that neither the model nor its exits were trained on; the first of
    them trace the model unless ``examples`` are given. Without them, the examples are calibrated
    on, labelled by the model's own answers: accuracy is then agreement with it. Raises
    `CaptureError` if any step cannot be done or a proof fails, and `InputError` for samples that
    are not the model's.
    """
    try:
        check_name(options.name)
    except ValueError as error:
        raise CaptureError(f"{error}; give one with --name") from None
    backbone, heads, bottlenecks = _take_apart(model)
    if options.exits and training is None:
        raise CaptureError("to train exit heads, give training samples (--train)")
    for exit_path in options.exits:
        check_submodule(backbone, exit_path)
    labelled, ranges = {"--data": held_out, "--train": training}, None
    if options.int8:
        ranges, held_out = split_samples(held_out)
    traced = examples or held_out
    if traced is None:
        raise CaptureError("to compile a model, give held-out samples or example inputs")
    report("capturing the graph")
    graph = _capture(backbone, traced)
    for reason in graph.left_out:
        report(f"leaving out what cannot be cut: {reason}")
    whole = WholeModel(backbone, graph)
    answer = _kind_of_answer(whole, options)
    if answer == "tensor" and (heads or options.exits):
        raise CaptureError("exits need a model that answers with logits (samples, classes)")
    if answer == "class":
        _check_labels(labelled, whole.classes, bool(heads or options.exits))
    if held_out is None or answer == "tensor":
        held_out = _label(whole, held_out or traced, answer)
        options = replace(options, card={**options.card, "calibration": _OWN_ANSWERS})
    check_inputs(held_out.inputs, [graph.spec(node) for node in graph.inputs])
    proving = held_out[:PROOF_SAMPLES]
    expected = whole.answers(proving)

    one = [torch.tensor(array) for array in traced[:1].inputs]
    after = (*heads, *options.exits, *bottlenecks)
    cut = cut_graph(graph, one, after, options.max_segments)
    report(_describe(cut))
    heads |= {path: _build_head(cut, path, whole.classes, options) for path in options.exits}
    draft = Draft(
        {
            "name": options.name,
            "classes": options.classes,
            "card": {**origin(), **options.card},
            "answer": answer,
        }
    )
    draft.add_segments(cut, held_out, report)
    _add_exits(draft, cut, heads, training, options, report)
    for narrowed, pair in bottlenecks.items():
        report(f"exporting the bottleneck behind {narrowed}")
        draft.add_bottleneck(pair, narrowed, cut.places[narrowed])
    with scratch_folder() as folder:
        bundle = draft.lay_out(folder)
        report("proving that every cut equals the whole model")
        draft.fields["proofs"] = tuple(_prove_all(bundle, proving, expected))
        device = server = Network(bundle, threads=_threads())
        if ranges is not None:
            device = _quantise(draft, bundle, ranges, held_out, report)
        if len(held_out) < _FEW:
            report(
                f"warning: {len(held_out)} samples calibrate this bundle; accuracies and plans "
                "from so few mean little, give some hundreds"
            )
        fields, learnt, calibration = calibrate(
            device, server, held_out, report, later_exits=options.later_exits
        )
    draft.add_arrays(CODECS_FILE, learnt)
    draft.fields |= fields
    draft.drop_beaten_bottlenecks(report)
    draft.add_calibration(calibration)
    draft.fields["card"] = {**draft.fields["card"], "accuracy": _accuracies(draft, calibration)}
    manifest, digest = write_bundle(path, draft.fields, draft.files)
    report(f"wrote {path} ({say_bytes(path.stat().st_size)}, digest {digest[:12]})")
    return manifest


def _add_exits(
    draft: Draft,
    cut: CutModel,
    heads: Mapping[str, nn.Module],
    training: LabelledSamples | None,
    options: CompileOptions,
    report: Report,
) -> None:
    """Train the exit heads that are asked for, and export them and the model's own."""
    for exit_path in options.exits:
        assert training is not None
        report(f"training the exit after {exit_path}")
        _train(heads[exit_path], _read(draft, training, cut.places[exit_path]), options.seed)
    for exit_path, head in sorted(heads.items(), key=lambda item: cut.places[item[0]][0]):
        report(f"exporting the exit after {exit_path}")
        draft.add_exit(head, exit_path, cut.places[exit_path])


def _take_apart(
    model: nn.Module,
) -> tuple[nn.Module, dict[str, nn.Module], dict[str, Bottleneck]]:
    """Return the model itself, its exit heads and its bottlenecks by their sub-modules' paths."""
    if not isinstance(model, nn.Module):
        raise CaptureError(f"the model is a {type(model).__name__}, not a torch.nn.Module")
    model.eval()
    if not isinstance(model, EarlyExitModel):
        return model, {}, {}
    heads = dict(zip(model.paths, model.heads, strict=True))
    return model.model, heads, model.pairs


def _capture(model: nn.Module, samples: Samples) -> CapturedGraph:
    few = samples[:2]
    keyword = {name: torch.tensor(array) for name, array in few.keyword.items()}
    return read_program(export(model, [torch.tensor(array) for array in few.positional], keyword))


def _describe(cut: CutModel) -> str:
    inputs = ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in cut.boundaries[0])
    gap = f"{cut.chain.gap:.1%}" if cut.chain.gap else "nothing"
    return (
        f"a sample is {inputs}; only the batch is free\n"
        f"cutting {len(cut.operations.nodes)} operations into {len(cut.segments)} segments; "
        f"against the best of all cuts at any rate this loses {gap}"
    )


def _kind_of_answer(whole: WholeModel, options: CompileOptions) -> str:
    """Return "class" or "tensor": what was asked for, else a class where there are scores."""
    if options.answer == "class" and not whole.classes:
        raise CaptureError(
            "the model's first output is no row of scores, one a class, for each sample; compile "
            "it with --answer tensor"
        )
    answer = options.answer or ("class" if whole.classes else "tensor")
    named = len(options.classes)
    if named and (answer != "class" or named != whole.classes):
        scores = f"{whole.classes} scores" if answer == "class" else "a tensor"
        raise CaptureError(f"{named} classes are named (--classes), but the answer is {scores}")
    return answer


def _label(whole: WholeModel, samples: Samples, answer: str) -> LabelledSamples:
    """Return samples labelled by the model's own answers; all 0 where these are not classes."""
    labels = np.zeros(len(samples), np.int64)
    if answer == "class":
        chunks = (samples[at : at + BATCH] for at in range(0, len(samples), BATCH))
        labels = np.concatenate([whole.run(chunk)[0].argmax(axis=1) for chunk in chunks])
    return LabelledSamples(samples.inputs, labels, keywords=samples.keywords)


def _check_labels(
    labelled: Mapping[str, LabelledSamples | None], classes: int, exits: bool
) -> None:
    """Raise `InputError` if labels, by the option that gave them, are not such as exits need."""
    for option, samples in labelled.items():
        if samples is None:
            continue
        with naming(option):
            check_range(int(samples.labels.min()), int(samples.labels.max()), classes)
            if exits:
                check_variety(set(samples.labels.tolist()))


def _build_head(cut: CutModel, path: str, classes: int, options: CompileOptions) -> nn.Module:
    """Return an untrained exit head; raise what `build_head` does, of the sub-module's path."""
    boundary, name = cut.places[path]
    spec = next(spec for spec in cut.boundaries[boundary] if spec.name == name)
    torch.manual_seed(options.seed)
    return build_head(options.head or default_kind(spec), replace(spec, name=path), classes)


def _read(draft: Draft, training: LabelledSamples, place: tuple[int, str]) -> LabelledSamples:
    """Return what an exit reads of samples, with their labels."""
    boundary, spec = place[0], draft.tensor(place)
    tensors = draft.fields["boundaries"][boundary].tensors
    with scratch_folder() as folder:
        network = Network(draft.lay_out(folder), threads=_threads())
        chunks = (training[at : at + 256].inputs for at in range(0, len(training), 256))
        features = [network.run(0, boundary, chunk)[tensors.index(spec)] for chunk in chunks]
    return LabelledSamples((np.concatenate(features),), training.labels)


def _train(head: nn.Module, read: LabelledSamples, seed: int) -> None:
    # The frozen model has been run: what the exit reads stands for its answer, never trained.
    alone = EarlyExitModel(nn.Sequential(nn.Identity(), nn.Flatten()), {"0": head})
    chosen = TrainingOptions(seed=seed)
    train(TrainingSetup(alone, recipes.get("frozen"), ArraySamples(read), options=chosen))


def _prove_all(bundle: Bundle, samples: Samples, expected: Sequence[Array]) -> list[Proof]:
    return [
        proof
        for backend in bundle.backends
        if backend.ready_at_once
        for proof in prove(Network(bundle, backend.name), samples.inputs, expected)
    ]


def _quantise(
    draft: Draft, bundle: Bundle, ranges: Samples, held_out: LabelledSamples, report: Report
) -> Network:
    """Add int8 programs, and what they cost, to a draft laid out as ``bundle``; load them."""
    report(f"quantising, with ranges of {len(ranges)} samples")
    draft.files.update(quantise(bundle, ranges, _threads()))
    bundle = draft.lay_out(bundle.folder)
    report(f"measuring what that costs on {len(held_out)} other samples")
    draft.fields["quantised"] = measure_cost(bundle, held_out, len(ranges))
    return Network(bundle, QUANTISED, _threads())


def _accuracies(draft: Draft, calibration: Calibration) -> str:
    specs = draft.fields.get("exits", ())
    right = calibration.exit_logits.argmax(axis=-1) == calibration.labels
    parts = [
        f"exit {spec.name} {share:.4f}"
        for spec, share in zip(specs, right.mean(axis=1), strict=True)
    ]
    parts.append(f"whole model {calibration.accuracy:.4f}")
    if specs and (ensemble := specs[-1].ensemble):
        both = joint_classes(ensemble, calibration.exit_logits[-1], calibration.final_logits)
        share = (both == calibration.labels).mean()
        parts.append(f"together with exit {specs[-1].name} {share:.4f}")
    return f"on {len(calibration.labels)} held-out samples: {', '.join(parts)}"


def _threads() -> int:
    return torch.get_num_threads()
