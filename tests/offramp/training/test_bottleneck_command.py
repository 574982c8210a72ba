"""``offramp train --bottleneck`` as a user meets it, up to the bundle that the pair goes into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from offramp.bundle import open_bundle
from offramp.capture.command import compile_
from offramp.errors import CaptureError, ConfigError, OfframpError
from offramp.training.display import ProgressDisplay
from offramp.training.options import Progress
from offramp.training.trained import Trained, load_trained
from offramp.training.weights import read_weights, write_weights

HELD_OUT = "--held-out trained_by_test:held_out"
WORDS = f"--bottleneck 0 {HELD_OUT} --epochs 40 --batch 20 --patience 40"


def test_a_pair_is_trained_described_and_sent_by(
    run: Callable[..., Result], tmp_path: Path, exported_once: None
) -> None:
    exits = f"--exit 1 {HELD_OUT} --recipe joint --epochs 20 --batch 20 --backbone-rate 5e-3"
    assert run(exits).exit_code == 0
    Path("my.trained").rename("exits.trained")
    result = run(f"{WORDS} --trained exits.trained", data="inputs")
    assert result.exit_code == 0, result.output
    assert "bottleneck behind 0, epoch 40/40: loss" in " ".join(result.output.split())
    rows = [line.split() for line in result.output.splitlines()]
    assert [row[1] for row in rows if row[:1] == ["0"]] == [f"learned{n}" for n in range(1, 6)]
    assert [path.name for path in tmp_path.iterdir() if "my.trained" in path.name] == ["my.trained"]
    words = "trained_by_test:build --data trained_by_test:held_out --trained my.trained"
    result = CliRunner().invoke(compile_, [*words.split(), "-o", "my.offramp"])
    assert result.exit_code == 0, result.output
    manifest = open_bundle(tmp_path / "my.offramp").manifest
    assert [spec.name for spec in manifest.exits] == ["1"]
    (cut,) = manifest.bottlenecks
    assert any(level.startswith("learned") for level in manifest.boundaries[cut].levels)
    assert "; bottleneck behind 0; epochs 40, seed 0" in manifest.card["training"]


def test_a_pair_that_is_no_good_is_left_out(
    run: Callable[..., Result], exported_once: None
) -> None:
    assert run("--bottleneck 0 --epochs 1").exit_code == 0
    words = "trained_by_test:build --data trained_by_test:held_out --trained my.trained"
    result = CliRunner().invoke(compile_, [*words.split(), "-o", "my.offramp"])
    assert result.exit_code == 0, result.output
    assert "leaving out the bottleneck at cut" in result.output
    manifest = open_bundle(Path("my.offramp")).manifest
    assert manifest.bottlenecks == {}
    assert not any(name.startswith("bottlenecks") for name in manifest.files)


def test_exits_trained_before_stay_as_they_are(run: Callable[..., Result]) -> None:
    import trained_by_test as users

    assert run(f"--exit 1 {HELD_OUT} --recipe joint --epochs 2 --batch 50").exit_code == 0
    path = Path("my.trained")
    path.rename("exits.trained")
    before, model = load_trained(Path("exits.trained"), users.build())
    for bottleneck in ("0", "1"):
        words = f"--bottleneck {bottleneck} --trained exits.trained --epochs 2 --batch 50"
        result = run(words)
        assert result.exit_code == 0, result.output
        assert "give some with --held-out" in result.output
        path.rename("exits.trained")
    found, whole = load_trained(Path("exits.trained"), users.build())
    assert [spec.path for spec in found.bottlenecks] == ["0", "1"]
    assert found.exits == before.exits
    assert found.summary.startswith("recipe joint; epochs 2")
    assert "bottleneck behind 1; epochs 2" in found.summary
    wanted = model.state_dict()
    state = whole.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in wanted.items())


def test_exits_that_a_model_brings_stay_as_they_are(run: Callable[..., Result]) -> None:
    import trained_by_test as users

    result = run(f"--bottleneck 1 {HELD_OUT} --epochs 2 --batch 50", model="with_exits")
    assert result.exit_code == 0, result.output
    found, whole = load_trained(Path("my.trained"), users.with_exits())
    assert (whole.paths, whole.narrowed, found.exits) == (("0",), ("1",), ())
    state, wanted = whole.state_dict(), users.with_exits().state_dict()
    assert {n.partition(".")[0] for n in state} == {"model", "heads", "bottlenecks"}
    assert state.keys() > wanted.keys()
    with pytest.raises(ConfigError, match="do not fit this model"):
        load_trained(Path("my.trained"), users.build())


def test_interrupted_the_same_command_goes_on(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"--bottleneck 0 --bottleneck 1 {HELD_OUT} --epochs 3 --batch 50"
    assert run(words).exit_code == 0
    whole = Path("my.trained").read_bytes()

    def stop(display: ProgressDisplay, progress: Progress) -> None:
        if progress.stage.endswith("behind 1") and progress.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ProgressDisplay, "show", stop)
        result = run(words)
    assert "goes on from my.trained.bottleneck1.checkpoint" in result.output
    result = run(words)
    assert "going on from my.trained.bottleneck1.checkpoint" in result.output
    assert "behind 0, epoch" not in result.output
    assert Path("my.trained").read_bytes() == whole
    assert not list(Path().glob("*.checkpoint"))


BAD: dict[str, tuple[str, type[OfframpError], str]] = {
    "neither": ("--epochs 2", ConfigError, "(--exit) or a bottleneck (--bottleneck)"),
    "both": ("--exit 1 --bottleneck 0", ConfigError, "train the exits first"),
    "trained for exits": ("--exit 1 --trained x", ConfigError, "--trained is for --bottleneck"),
    "slimmed": ("--bottleneck 0 --slim 0.5", ConfigError, "--slim is for exits; leave it out"),
    "a head": ("--bottleneck 0 --head local", ConfigError, "--head is for exits; leave it out"),
    "a recipe": ("--bottleneck 0 --recipe joint", ConfigError, "--recipe is for exits; leave it"),
    "no such file": ("--bottleneck 0 --trained x", ConfigError, "x"),
    "no sub-module": ("--bottleneck layer9", CaptureError, "no sub-module 'layer9'"),
    "the second has none": ("--bottleneck 0 --bottleneck 4", CaptureError, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_one_sentence_and_no_file(
    name: str, run: Callable[..., Result], tmp_path: Path
) -> None:
    words, kind, said = BAD[name]
    result = run(f"{words} --epochs 1" if "epochs" not in words else words)
    assert isinstance(result.exception, kind), result.output
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert [path.name for path in tmp_path.glob("my.trained*")] == []


def test_a_pair_of_any_claimed_size_is_refused_before_it_takes_memory(
    run: Callable[..., Result],
) -> None:
    import trained_by_test as users

    assert run("--bottleneck 0 --epochs 1").exit_code == 0
    path = Path("my.trained")
    trained, tensors = read_weights(path, Trained, "train again")
    spec = trained.bottlenecks[0].model_copy(update={"shape": (1 << 16, 64, 64)})
    write_weights(path, trained.model_copy(update={"bottlenecks": (spec,)}), tensors)
    with pytest.raises(ConfigError, match=r"do not fit this model \(bottlenecks\.0\.\S+ has shape"):
        load_trained(path, users.build())


def test_a_pair_of_another_model_is_refused_by_the_compiler(run: Callable[..., Result]) -> None:
    assert run("--bottleneck 0 --epochs 1").exit_code == 0
    words = "trained_by_test:build --data trained_by_test:held_out --trained my.trained"
    done = subprocess.run(
        [sys.executable, "-c", "from offramp.cli import main; main()", "compile",
         *words.replace("build", "wider").split(), "-o", "my.offramp"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "do not fit this model" in done.stderr
    assert "Traceback" not in done.stderr
