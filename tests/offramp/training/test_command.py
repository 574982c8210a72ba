"""``offramp train`` as a user meets it, up to the bundle that its exits go into."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from offramp.bundle import open_bundle
from offramp.capture.command import compile_
from offramp.errors import CaptureError, ConfigError, InputError, OfframpError
from offramp.exits.heads import HEADS
from offramp.network import Network
from offramp.training.command import train
from offramp.training.display import ProgressDisplay
from offramp.training.options import Progress
from offramp.training.recipes import RECIPES
from offramp.training.trained import Trained, load_trained
from offramp.training.weights import read_weights, write_weights

RUN = "from offramp.cli import main; import sys; sys.argv[0] = 'offramp'; main()"


def test_the_help_names_every_recipe_and_kind_of_head() -> None:
    named = CliRunner().invoke(train, ["--help"]).output
    assert all(re.search(rf"\b{name}\b", named) for name in (*RECIPES, *HEADS))
    assert re.search(r"--recipe.*\[default: joint\]", named, re.DOTALL)


EXITS = "--exit 1 --exit 0 --head linear --head 0=local --held-out trained_by_test:held_out"


def test_exits_are_trained_and_described(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run(f"{EXITS} --recipe joint --epochs 3 --batch 20 --backbone-rate 5e-3")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "joint, epoch 1/3: loss" in said
    assert "joint, epoch 3/3: loss" in said
    assert [path.name for path in tmp_path.iterdir() if "my.trained" in path.name] == ["my.trained"]
    trained, tensors = read_weights(tmp_path / "my.trained", Trained, "train again")
    assert [(e.path, e.head, e.shape) for e in trained.exits] == [
        ("0", "local", (8, 4, 4)), ("1", "linear", (8, 4, 4))
    ]  # fmt: skip
    assert (trained.model, trained.classes, trained.recipe) == ("trained_by_test:build", 3, "joint")
    assert trained.settings["epochs"] == "3"
    assert all(spec.accuracy is not None and spec.accuracy > 0.5 for spec in trained.exits)
    assert f"whole model {trained.accuracy:.1%}" in said
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_the_same_command_gives_the_same_weights(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    words = f"{EXITS} --recipe two_stage --epochs 2 --batch 50"
    files = []
    for _ in range(2):
        assert run(words).exit_code == 0
        files.append((tmp_path / "my.trained").read_bytes())
    assert files[0] == files[1]
    assert run(f"{words} --seed 1").exit_code == 0
    assert (tmp_path / "my.trained").read_bytes() != files[0]


def test_samples_that_are_drawn_by_chance_are_drawn_by_the_seed(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    import trained_by_test as users

    words = "--exit 0 --epochs 1 --batch 50 --held-out trained_by_test:held_out_by_chance"
    files = []
    for _ in range(2):
        torch.rand(1)
        assert run(words, data="by_chance").exit_code == 0
        files.append((tmp_path / "my.trained").read_bytes())
    assert files[0] == files[1]
    training, held_out, *again = users.drawn
    assert again == [training, held_out]
    assert training != held_out


@pytest.mark.parametrize(
    ("model", "data", "held_out", "said"),
    [
        ("other_weights", "training", "held_out", "model trained_by_test:build, not trained_by"),
        ("build", "other", "held_out", "data trained_by_test:training, not trained_by_test:other;"),
        ("build", "training", "other_held_out", "held-out trained_by_test:held_out, not trained_"),
    ],
)
def test_the_checkpoint_of_another_model_or_other_samples_is_not_gone_on_from(
    model: str, data: str, held_out: str, said: str, run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = "--exit 0 --epochs 2 --batch 50 --held-out trained_by_test:"

    def stop(display: ProgressDisplay, progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ProgressDisplay, "show", stop)
        run(f"{words}held_out")
    assert Path("my.trained.checkpoint").exists()
    result = run(f"{words}{held_out}", model, data)
    assert isinstance(result.exception, ConfigError), result.output
    assert said in str(result.exception)
    assert run(f"{words}held_out").exit_code == 0


def test_inputs_alone_are_enough_for_label_free(run: Callable[..., Result]) -> None:
    result = run("--exit 0 --recipe label_free --epochs 2 --batch 50", data="inputs")
    assert result.exit_code == 0, result.output
    said = result.output.splitlines()
    for epoch in (1, 2):  # without held-out samples nothing is said of accuracy
        assert len([line for line in said if f"epoch {epoch}/2: loss" in line]) == 1
    trained, _ = read_weights(Path("my.trained"), Trained, "train again")
    assert trained.accuracy is None
    assert {tuple(line.split()) for line in said} >= {("0", "local", "-"), ("whole", "model", "-")}
    assert "give some with --held-out" in result.output


def test_places_are_found_where_accuracy_rises_most(run: Callable[..., Result]) -> None:
    words = "--exit auto:1 --head linear --held-out trained_by_test:held_out --epochs 1 --batch 20"
    result = run(words)
    assert result.exit_code == 0, result.output
    trained, _ = read_weights(Path("my.trained"), Trained, "train again")
    assert [(spec.path, spec.head) for spec in trained.exits] == [("0", "linear")]
    rows = [line.split() for line in result.output.splitlines()]
    (found,) = [row for row in rows if row and row[0] == "0" and row[-1] == "exit"]
    assert found[1:3] == ["0.00", "30.2%"]
    assert any(row[:2] == ["whole", "model"] and "100.0%" in row for row in rows)


BAD: dict[str, tuple[dict[str, str], type[OfframpError], str]] = {
    "unknown recipe": ({"words": "--exit 0 --recipe jont"}, ConfigError, "did you mean 'joint'"),
    "unknown head": ({"words": "--exit 0 --head lokal"}, ConfigError, "did you mean 'local'"),
    "head of no exit": ({"words": "--exit 0 --head 1=local"}, ConfigError, "'1', which has no"),
    "two heads for all": (
        {"words": "--exit 0 --head local --head linear"}, ConfigError, "local and as linear"),
    "places without held-out": ({"words": "--exit auto"}, ConfigError, "give held-out samples"),
    "no sub-module": ({"words": "--exit layer9"}, CaptureError, "no sub-module 'layer9'"),
    "head that does not fit": (
        {"words": "--exit 3 --head local"}, CaptureError, "heads that do: linear"),
    "labels beyond": ({"words": "--exit 0", "data": "beyond"}, InputError, "label 19 is out of"),
    "no samples": ({"words": "--exit 0", "data": "none"}, InputError, "--data: there are 0 sam"),
    "none held out": (
        {"words": "--exit 0 --held-out trained_by_test:none"}, InputError, "--held-out: there are"),
    "no labels": ({"words": "--exit 0", "data": "inputs"}, InputError, "returns a pair"),
    "no scores": ({"words": "--exit 0", "model": "no_scores"}, CaptureError, "no row of scores"),
    "no module": ({"words": "--exit 0", "model": "number"}, CaptureError, "the model is a int"),
    "own exits": (
        {"words": "--exit 0", "model": "with_exits"}, CaptureError, "brings its own exits"),
    "few epochs": (
        {"words": "--exit 0 --recipe two_stage --epochs 1"}, ConfigError, "1 epochs are too few"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_trained_is_one_sentence_and_no_file(
    name: str, run: Callable[..., Result], tmp_path: Path
) -> None:
    given, kind, said = BAD[name]
    result = run(**given)
    assert isinstance(result.exception, kind), result.output
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert [path.name for path in tmp_path.glob("my.trained*")] == []


def test_a_place_that_cannot_be_written_is_known_before_the_model_is_read(tmp_path: Path) -> None:
    out = tmp_path / "absent" / "my.trained"
    result = CliRunner().invoke(train, ["no:b", "--data", "no:d", "--exit", "0", "-o", str(out)])
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written" in str(result.exception)


def test_a_file_of_other_weights_is_one_sentence(run: Callable[..., Result]) -> None:
    import trained_by_test as users

    assert run("--exit 0 --epochs 1").exit_code == 0
    path = Path("my.trained")
    with pytest.raises(ConfigError, match=r"trained_by_test:build, do not fit this model .*size"):
        load_trained(path, users.wider())
    with pytest.raises(CaptureError, match="no sub-module '0'"):
        load_trained(path, torch.nn.Identity())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"my.trained: is damaged.*; name another file, or train"):
        load_trained(path, users.build())


@pytest.mark.parametrize("part", [b"joint", b"heads.0", None], ids=["text", "name", "weight"])
def test_a_flipped_bit_anywhere_is_one_sentence(
    part: bytes | None, run: Callable[..., Result]
) -> None:
    import trained_by_test as users

    assert run("--exit 0 --epochs 1 --batch 50").exit_code == 0
    path = Path("my.trained")
    data = bytearray(path.read_bytes())
    at = data.index(part) + len(part) - 1 if part else len(data) - 1
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"my.trained: is damaged"):
        load_trained(path, users.build())


TOLD = "the model's weights are those of my.trained; {} of 16 tensors differ from the factory's"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("joint", TOLD),
        ("frozen", f"warning: {TOLD}, though recipe 'frozen' leaves a model as it is"),
    ],
)
def test_weights_that_are_not_the_factorys_are_told(
    recipe: str, said: str, run: Callable[..., Result]
) -> None:
    import trained_by_test as users

    assert run(f"--exit 0 --epochs 1 --batch 50 --recipe {recipe}").exit_code == 0
    path, lines = Path("my.trained"), list[str]()
    _, model = load_trained(path, users.build())
    load_trained(path, model.model, lines.append)
    assert lines == []
    model.model.get_parameter("4.bias").data += 1
    load_trained(path, model.model, lines.append)
    assert lines == [said.format(1)]


def test_trained_exits_and_exits_to_train_cannot_go_together(tmp_path: Path) -> None:
    words = ["no:b", "--data", "no:d", "--trained", "x", "--exit", "0", "--train", "no:t"]
    result = CliRunner().invoke(compile_, [*words, "-o", str(tmp_path / "m.offramp")])
    assert isinstance(result.exception, ConfigError)
    assert "leave out --exit and --train" in str(result.exception)


@pytest.mark.parametrize(("shape", "kind"), [((1 << 28,), "linear"), ((1 << 20, 16, 16), "local")])
def test_a_head_of_any_claimed_size_is_refused_before_it_takes_memory(
    shape: tuple[int, ...], kind: str, run: Callable[..., Result]
) -> None:
    import trained_by_test as users

    assert run("--exit 0 --epochs 1").exit_code == 0
    path = Path("my.trained")
    trained, tensors = read_weights(path, Trained, "train again")
    spec = trained.exits[0].model_copy(update={"shape": shape, "head": kind})
    claims = trained.model_copy(update={"exits": (spec,), "classes": 1_000_000})
    write_weights(path, claims, tensors)
    with pytest.raises(ConfigError, match=r"do not fit this model \(heads\.0\.\S+ has shape"):
        load_trained(path, users.build())


@pytest.mark.e2e
def test_interrupted_and_gone_on_it_answers_in_a_bundle_as_in_training(
    users_module: str, tmp_path: Path, exported_once: None
) -> None:
    words = f"{users_module}:build --data {users_module}:training {EXITS} --recipe joint --batch 50"
    words += " --backbone-rate 5e-3 --epochs 30 --patience 30"
    command = [sys.executable, "-c", RUN, "train", *words.split(), "-o", "my.trained"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "epoch 2/30" in line)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "stopped; the same command goes on from my.trained.checkpoint" in said
    assert "Traceback" not in said
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "going on from my.trained.checkpoint" in again.stderr
    assert "epoch 2/30" not in again.stderr
    whole = [*command[:-1], "whole.trained"]
    subprocess.run(whole, capture_output=True, timeout=120, check=True)
    one, other = load_file("my.trained"), load_file("whole.trained")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())

    words = f"{users_module}:build --data {users_module}:held_out --trained my.trained"
    result = CliRunner().invoke(compile_, [*words.split(), "-o", "my.offramp"])
    assert result.exit_code == 0, result.output
    bundle = open_bundle(tmp_path / "my.offramp")
    assert bundle.manifest.card["training"].startswith("recipe joint; epochs 30")
    import trained_by_test as users

    trained, model = load_trained(tmp_path / "my.trained", users.build())
    images, labels = users.held_out()
    with torch.no_grad():
        expected = [logits.numpy() for logits in model(torch.from_numpy(images))]
    network = Network(bundle)
    assert [spec.name for spec in bundle.manifest.exits] == ["0", "1"]
    for at, spec in enumerate(bundle.manifest.exits):
        found = network.exit_logits(at, network.run(0, spec.boundary, [images]))
        np.testing.assert_allclose(found, expected[at], atol=1e-4)
        accuracy = float((found.argmax(1) == labels).mean())
        assert accuracy == pytest.approx(trained.exits[at].accuracy)
    final = network.run(0, network.depth, [images])[0]
    assert float((final.argmax(1) == labels).mean()) == pytest.approx(trained.accuracy)
