"""The compiler as a user meets it: one command, one bundle, or one sentence that says why not."""

from __future__ import annotations

import errno
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from offramp.bundle import Bundle, open_bundle
from offramp.bundle.frontier import frontier_of
from offramp.calibration import load_calibration
from offramp.capture.command import compile_
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.early_exit import EarlyExitModel
from offramp.capture.export import export
from offramp.capture.graph import read_program
from offramp.capture.huggingface import answer_at_once, load_model
from offramp.errors import CaptureError, ConfigError, InputError, OfframpError
from offramp.network import Network
from offramp.samples import LabelledSamples, Samples

USER_MODULE = """
import numpy as np, torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 64, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(1024, 3))

def held_out(seed=1, count=40):
    dice = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = dice.random((count, 3, 8, 8), dtype=np.float32)
    images[np.arange(count), labels] += 1
    return images, labels

def training():
    return held_out(2, 300)

def example():
    return held_out(3, 1)[0]

def examples():
    return held_out(3, 20)[0]
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "compiled_by_test.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "compiled_by_test", raising=False)
    return "compiled_by_test"


def test_a_users_model_becomes_a_bundle(
    users_module: str, tmp_path: Path, exported_once: None
) -> None:
    words = f"{users_module}:build --data {users_module}:held_out --train {users_module}:training"
    words += f" --example {users_module}:example --exit 1 --head linear --max-segments 2"
    words += " --classes a,b,c -o m.off"
    result = CliRunner().invoke(compile_, words.split())
    assert result.exit_code == 0, result.output
    assert "proving that every cut equals the whole model" in result.output
    bundle = open_bundle(tmp_path / "m.off")
    manifest = bundle.manifest
    assert (manifest.name, manifest.classes) == (f"{users_module}:build", ("a", "b", "c"))
    assert [(e.name, e.boundary) for e in manifest.exits] == [("1", 1)]
    assert {p.backend for p in manifest.proofs} == {"torch", "onnxruntime"}
    calibration = load_calibration(bundle)
    assert (calibration.exit_logits[0].argmax(1) == calibration.labels).mean() > 0.5
    weights = sum(e.bytes for name, e in manifest.files.items() if "weights" in name)
    programs = sum(e.bytes for name, e in manifest.files.items() if "model.onnx" in name)
    assert programs < weights  # their weights are those beside them
    assert not any(str(tmp_path).encode() in bundle.path(n).read_bytes() for n in manifest.files)
    assert {"compiled", "versions"} <= set(manifest.card)


def test_what_an_int8_head_costs_is_printed(
    users_module: str, tmp_path: Path, exported_once: None
) -> None:
    words = f"{users_module}:build --data {users_module}:held_out --max-segments 2 --int8 -o m.off"
    result = CliRunner().invoke(compile_, words.split())
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "quantising, with ranges of 10 samples measuring what that costs on 30 other" in said
    cost = open_bundle(tmp_path / "m.off").manifest.quantised
    assert cost is not None
    assert f"accuracy, whole model {cost.accuracies[0].exact:.1%}" in said
    assert "its ranges are from 10 samples, the figures from 30 others" in said


def test_a_model_and_example_inputs_are_enough(
    users_module: str, tmp_path: Path, exported_once: None
) -> None:
    words = f"{users_module}:build --example {users_module}:examples --max-segments 2 -o m.off"
    result = CliRunner().invoke(compile_, words.split())
    assert result.exit_code == 0, result.output
    bundle = open_bundle(tmp_path / "m.off")
    assert load_calibration(bundle).accuracy == 1.0
    assert "own answers" in bundle.manifest.card["calibration"]


class Forked(nn.Module):
    """Two inputs, one by name; the second half of it answers with an image."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.answer = nn.Linear(4, 3)
        self.dense = dense

    def forward(self, image: torch.Tensor, *, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        x = torch.relu(self.first(image))
        y = torch.relu(self.second(x)) * weight[:, :, None, None] + x
        return {"seen": y} if self.dense else {"seen": y, "logits": self.answer(y.mean((2, 3)))}


def _forked_samples(count: int = 6) -> Samples:
    dice = np.random.default_rng(3)
    shapes = (count, 3, 8, 8), (count, 4)
    arrays = tuple(dice.random(shape, dtype=np.float32) for shape in shapes)
    return Samples(arrays, keywords=("weight",))


@pytest.mark.parametrize("dense", [False, True], ids=["classes", "tensor"])
def test_inputs_by_name_and_several_outputs_are_kept_to_the_end(
    dense: bool, tmp_path: Path, exported_once: None
) -> None:
    path, model, samples = tmp_path / "m.offramp", Forked(dense).eval(), _forked_samples()
    options = CompileOptions("m", max_segments=2)
    manifest = compile_model(model, None, path, options, examples=samples)
    assert manifest.answer == ("tensor" if dense else "class")
    assert [t.name for t in manifest.boundaries[0].tensors] == ["image", "weight"]
    names = ["seen"] if dense else ["logits", "seen"]
    assert [t.name for t in manifest.boundaries[-1].tensors] == names
    assert manifest.gap == 0
    assert all(proof.max_relative_difference < 1e-5 for proof in manifest.proofs)
    bundle = open_bundle(path)
    with torch.no_grad():
        expected = model(
            torch.from_numpy(samples.inputs[0]), weight=torch.from_numpy(samples.inputs[1])
        )
    for cut in bundle.cuts:
        network = Network(bundle)
        values = network.run(0, cut, samples.inputs)
        found = network.run(cut, network.depth, values)
        for name, array in zip(names, found, strict=True):
            np.testing.assert_allclose(array, expected[name].numpy(), atol=1e-5)
    calibration = load_calibration(bundle)
    assert calibration.accuracy == 1.0
    assert (calibration.answers[0, "lossless"] == calibration.labels).all()
    lossy = [level for cut, level in calibration.levels if cut == 1 and level != "lossless"]
    assert max(np.mean(calibration.answers[1, level] == calibration.labels) for level in lossy) == 1


def test_a_level_that_one_tensor_cannot_take_goes_with_the_others(
    tmp_path: Path, exported_once: None
) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.wide = nn.Linear(256, 16), nn.Linear(16, 512)
            self.answer = nn.Linear(512, 3)

        def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            x = self.wide(torch.relu(self.narrow(frames)))
            return self.answer(torch.softmax(x, 1).mul(mask[:, :, None]).sum(1))

    dice = np.random.default_rng(0)
    inputs = dice.normal(size=(6, 5, 256)).astype("float32"), np.ones((6, 5), np.int64)
    manifest = compile_model(
        Masked(), None, tmp_path / "m", CompileOptions("m"), examples=Samples(inputs)
    )
    inner = [b for b in manifest.boundaries[1:-1] if "mask" in b.names]
    assert inner
    for boundary in inner:
        assert any(level != "lossless" for level in boundary.levels)
        for level, given in boundary.levels.items():
            kinds = {tensor.name: set(p) for tensor, p in zip(boundary.tensors, given, strict=True)}
            assert kinds.pop("mask") == set()
            assert level == "lossless" or all(kinds.values())


def test_experts_are_captured_as_operations_of_torch() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, pad_token_id=0,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=3, num_labels=4,
    )  # fmt: skip
    model = answer_at_once(transformers.MixtralForSequenceClassification(config).eval())
    graph = read_program(export(model, [torch.arange(1, 13).reshape(2, 6)]))
    assert [n for n in graph.module.graph.nodes if "transformers." in str(n.target)] == []


def test_a_transformers_model_is_compiled_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported_once: None
) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    words = ["hf:" + str(tmp_path / "bert"), "--max-segments", "2", "-o", str(tmp_path / "b.off")]
    result = CliRunner().invoke(compile_, words)
    assert result.exit_code == 0, result.output
    manifest = open_bundle(tmp_path / "b.off").manifest
    assert manifest.name == "bert"
    assert [t.name for t in manifest.boundaries[0].tensors] == ["input_ids", "attention_mask"]
    assert {p.backend for p in manifest.proofs} >= {"torch", "onnxruntime"}


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    result = CliRunner().invoke(compile_, [f"hf:{tmp_path}", "-o", "m.off"])
    assert isinstance(result.exception, ConfigError)
    assert "config.json" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_transformers_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"1 parameters .* \(classifier.weight\); train"):
        load_model(str(tmp_path))


def test_a_model_may_have_more_classes_than_a_small_integer_counts(
    tmp_path: Path, exported_once: None
) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 40_000)
    with torch.no_grad():
        model.bias[39_000:] += 100.0
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    path = tmp_path / "m.offramp"
    compile_model(model, None, path, CompileOptions("m"), examples=Samples((x,)))
    calibration = load_calibration(open_bundle(path))
    assert calibration.labels.min() >= 39_000
    assert (calibration.answers[0, "lossless"] == calibration.labels).all()


def test_a_masked_class_is_never_answered_and_compiles(tmp_path: Path, exported_once: None) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.answer = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.answer(torch.relu(self.inner(x)))
            return scores.masked_fill(torch.tensor([False, True, False]), float("-inf"))

    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    path = tmp_path / "m.offramp"
    compile_model(Masked(), None, path, CompileOptions("m"), examples=Samples((x,)))
    calibration = load_calibration(open_bundle(path))
    assert calibration.accuracy == 1.0
    assert 1 not in calibration.labels


def test_a_full_disk_for_what_is_laid_out_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported_once: None
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "weights"))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match=r"weights: cannot be written .No space left.*TMPDIR"):
        compile_model(MODEL, _samples(), tmp_path / "m.offramp", CompileOptions("m"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_known_before_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "deeper" / "m.off"
    result = CliRunner().invoke(compile_, ["nowhere:build", "-o", str(out)])
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written (Not a directory)" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "give --data for a calibrated bundle, or at least --example"),
        ("--data x:y --exit layer1", "--train"),
        ("--data x:y --train x:z --exit auto:3", "--exit auto is for offramp train"),
        ("--example x:y --int8", "an int8 head needs held-out samples"),
    ],
)
def test_options_that_cannot_go_together_are_known_before_the_model_is_read(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(compile_, ["nowhere:build", *words.split(), "-o", "m.off"])
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_without_data_and_example_there_is_one_sentence(users_module: str) -> None:
    result = CliRunner().invoke(compile_, [f"{users_module}:build", "-o", "m.off"])
    assert isinstance(result.exception, ConfigError)
    assert "--example" in str(result.exception)


def _samples(count: int = 8) -> LabelledSamples:
    images = np.random.default_rng(0).random((count, 3, 8, 8), dtype=np.float32)
    return LabelledSamples((images,), np.arange(count) % 3)


torch.manual_seed(0)
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
BAD: dict[str, tuple[Any, LabelledSamples, CompileOptions, type[OfframpError], str]] = {
    "no module": (lambda x: x, _samples(), CompileOptions("m"), CaptureError, "function, not a"),
    "nothing": (None, _samples(), CompileOptions("m"), CaptureError, "NoneType"),
    "exits untrained": (
        MODEL, _samples(), CompileOptions("m", exits=("0",)), CaptureError, "training samples"),
    "exit nowhere": (
        EarlyExitModel(MODEL, {}), _samples(), CompileOptions("m", exits=("x",)), CaptureError,
        "training samples"),
    "wrong samples": (
        MODEL, LabelledSamples((np.zeros((4, 3, 8, 7), np.float32),), np.arange(4)),
        CompileOptions("m"), CaptureError, "cannot be captured"),
    "label beyond the classes": (
        MODEL, LabelledSamples(_samples().inputs, np.arange(8)), CompileOptions("m"), InputError,
        "^--data: label 7 is out of range; there are 3 classes"),
    "exits and one class": (
        EarlyExitModel(MODEL, {"0": nn.Linear(192, 3)}),
        LabelledSamples(_samples().inputs, np.full(8, 2)), CompileOptions("m"), InputError,
        "^--data: every label is 2"),
    "a batch that is mixed": (
        nn.Sequential(MODEL, nn.BatchNorm1d(3, track_running_stats=False)), _samples(),
        CompileOptions("m"), CaptureError, "fails on a batch of 1: Expected more than 1 value"),
    "names for other classes": (
        MODEL, _samples(), CompileOptions("m", classes=("a", "b")), CaptureError,
        "2 classes are named .* is 3 scores"),
    "no scores": (
        nn.Conv2d(3, 2, 3), _samples(), CompileOptions("m", answer="class"), CaptureError,
        "no row of scores.*--answer tensor"),
    "no name": (MODEL, _samples(), CompileOptions(""), CaptureError, "no name.*--name"),
    "several inputs": (
        MODEL, LabelledSamples(_samples().inputs * 2, np.arange(8) % 3), CompileOptions("m"),
        CaptureError, "2 by place: too many"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_compiled_leaves_one_sentence_and_no_file(
    name: str, tmp_path: Path, exported_once: None
) -> None:
    model, samples, options, kind, said = BAD[name]
    with pytest.raises(kind, match=said) as caught:
        compile_model(model, samples, tmp_path / "m.offramp", options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_samples_must_be_as_the_examples(tmp_path: Path) -> None:
    wrong = LabelledSamples((np.zeros((4, 3, 8, 8), np.uint8),), np.arange(4) % 3)
    with pytest.raises(InputError, match="must be float32"):
        compile_model(MODEL, wrong, tmp_path / "m", CompileOptions("m"), examples=_samples())


def test_scores_may_be_an_embedding(tmp_path: Path, exported_once: None) -> None:
    path = tmp_path / "m.offramp"
    many = LabelledSamples(_samples().inputs, np.arange(8) + 100)
    manifest = compile_model(MODEL, many, path, CompileOptions("m", answer="tensor"))
    assert manifest.answer == "tensor"
    assert "own answers" in manifest.card["calibration"]
    assert load_calibration(open_bundle(path)).accuracy == 1.0


@pytest.mark.parametrize("off", [0, 1])
def test_one_held_out_sample_is_enough(off: int, tmp_path: Path, exported_once: None) -> None:
    path, one = tmp_path / "m.offramp", _samples(1)
    with torch.no_grad():
        answer = int(MODEL(torch.from_numpy(one.inputs[0])).argmax())
    given = LabelledSamples(one.inputs, np.array([(answer + off) % 3]))
    compile_model(MODEL, given, path, CompileOptions("m"))
    bundle = open_bundle(path)
    assert 1.0 - off in {plan.accuracy for plan in frontier_of(bundle).plans}
    network = Network(bundle)
    (found,) = network.run(0, network.depth, _samples(3).inputs)
    with torch.no_grad():
        expected = MODEL(torch.from_numpy(_samples(3).inputs[0])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


DEEP = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def test_an_exit_knows_a_class_that_its_training_samples_lack(
    tmp_path: Path, exported_once: None
) -> None:
    path, training = tmp_path / "m.offramp", _samples(64)
    few = LabelledSamples(training.inputs, training.labels % 2)
    options = CompileOptions("m", exits=("1",))
    compile_model(DEEP, _samples(), path, options, training=few)
    assert load_calibration(open_bundle(path)).exit_logits.shape == (1, 8, 3)


CLASSES = np.arange(8) % 3


@pytest.mark.parametrize(
    ("options", "labels", "kind", "said"),
    [
        ({}, np.arange(8), InputError, "^--train: label 7 is out of range; there are 3 classes"),
        ({}, np.zeros(8, int), InputError, "^--train: every label is 0"),
        ({"answer": "tensor"}, CLASSES, CaptureError, "exits need a model that answers with logi"),
        ({"head": "sequence"}, CLASSES, CaptureError, "head 'sequence' does not read 'act', which"),
        ({"exits": ("zzz",)}, CLASSES, CaptureError, "no sub-module 'zzz' .* has: cnn, act, flat"),
    ],
)
def test_an_exit_that_cannot_be_trained_is_one_sentence_before_anything_is_exported(
    options: dict[str, Any], labels: Any, kind: type[OfframpError], said: str, tmp_path: Path
) -> None:
    parts = zip(("cnn", "act", "flat", "end"), DEEP, strict=True)
    training, told = LabelledSamples(_samples().inputs, labels), list[str]()
    chosen = CompileOptions("m", **{"exits": ("act",), **options})
    with pytest.raises(kind, match=said):
        compile_model(
            nn.Sequential(OrderedDict(parts)), _samples(), tmp_path / "m.offramp", chosen,
            training=training, report=told.append,
        )  # fmt: skip
    assert [line for line in told if line.startswith("exporting")] == []
    assert list(tmp_path.iterdir()) == []


def test_exits_are_put_on_named_sub_modules() -> None:
    with pytest.raises(CaptureError, match=r"no sub-module 'x' .* the model has: 0, 1"):
        EarlyExitModel(MODEL, {"x": nn.Identity()})
    model = EarlyExitModel(MODEL, {"1": nn.Linear(3, 2), "0": nn.Linear(192, 5)})
    answers = model(torch.rand(4, 3, 8, 8))
    assert [tuple(a.shape) for a in answers] == [(4, 5), (4, 2), (4, 3)]


def test_the_embedded_bundle_is_small_proven_and_says_what_it_is(
    embedded: Bundle, embedded_file: Path
) -> None:
    manifest = embedded.manifest
    assert embedded_file.stat().st_size <= 5_000_000
    assert len(manifest.exits) >= 3
    assert len(manifest.classes) == 10
    assert {(p.backend, p.cut) for p in manifest.proofs} == {
        (name, cut) for name in ("torch", "onnxruntime") for cut in embedded.cuts
    }
    load_calibration(embedded)
    network = Network(embedded)
    values = list(embedded.examples)
    (expected,) = network.run(0, network.depth, values)
    for cut in range(network.depth):
        (found,) = network.run(cut, network.depth, values)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        values = network.run_segment(cut, values)


class _TwoViews(nn.Module):
    """Each sample comes as two noisy views of its class; the model answers from the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.answer = nn.Linear(10, 10), nn.Linear(10, 5, bias=False)
        self.first.weight.data, self.first.bias.data = torch.eye(10), torch.zeros(10)
        self.answer.weight.data = torch.cat([torch.zeros(5, 5), torch.eye(5)], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.answer(self.first(x)))


def test_an_exit_that_errs_elsewhere_than_the_end_answers_together_with_it(tmp_path: Path) -> None:
    head = nn.Linear(10, 5, bias=False)
    head.weight.data = torch.cat([torch.eye(5), torch.zeros(5, 5)], dim=1)
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 5, 400)
    views = dice.normal(size=(400, 2, 5)) + 2 * np.eye(5)[labels][:, None]
    samples = LabelledSamples((views.reshape(400, 10).astype(np.float32),), labels)
    model, path = EarlyExitModel(_TwoViews(), {"first": head}), tmp_path / "views.offramp"
    manifest = compile_model(model, samples, path, CompileOptions("views"))
    spec = manifest.exits[0]
    assert spec.ensemble is not None
    assert spec.ensemble.exit == pytest.approx(spec.ensemble.end, rel=0.3)  # as good as each other
    calibration = load_calibration(open_bundle(path))
    both = spec.ensemble.exit * views[:, 0] + spec.ensemble.end * views[:, 1]
    right = both.argmax(1) == labels
    assert right.mean() > calibration.accuracy + 0.03
    assert calibration.together
    for (cut, level), answers in calibration.together.items():
        assert cut >= spec.boundary
        assert (answers == both.argmax(1)).mean() >= (1.0 if level == "raw" else 0.9)
    assert f"together with exit first {right.mean():.4f}" in manifest.card["accuracy"]
    frontier = frontier_of(open_bundle(path))
    assert frontier is not None
    assert frontier.plans[0].accuracy >= right.mean() - 1e-9
