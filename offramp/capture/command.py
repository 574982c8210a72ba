"""The sub-command ``offramp compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["compile_"]

_HUGGING_FACE = "hf:"
_REFERENCE: dict[str, Any] = {"metavar": "MODULE:FUNCTION"}


@click.command("compile")
@click.argument("model", metavar="MODULE:FACTORY|hf:MODEL")
@click.option(
    "--data",
    **_REFERENCE,
    help="Held-out samples: a function that returns (inputs, labels) as arrays. "
    "Neither the model nor its exits may have seen them in training. Without it, the model's own "
    "answers to the --example inputs stand for labels.",
)
@click.option("--train", **_REFERENCE, help="Samples to train the exit heads on, in the same form.")
@click.option(
    "--example",
    **_REFERENCE,
    help="Example inputs with a batch dimension: an array, a tuple of arrays by place, or a "
    "mapping of names to arrays. Needed without --data.",
)
@click.option(
    "--exit",
    "exits",
    multiple=True,
    metavar="SUBMODULE",
    help="Put an exit after this sub-module, such as layer2. May be repeated.",
)
@click.option("--head", help="Kind of the exit heads.  [default: local, or linear for a vector]")
@click.option(
    "--trained",
    type=click.Path(path_type=Path),
    help="Exits and weights that offramp train wrote for this model.",
)
@click.option(
    "--max-segments",
    default=8,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Cut the model into at most this many segments.",
)
@click.option(
    "--later-exits/--no-later-exits",
    default=True,
    show_default=True,
    help="Let the server answer at exits behind the cut where they are sure enough; without it, it "
    "always runs to the end.",
)
@click.option(
    "--int8",
    is_flag=True,
    help="Let the device's head compute in 8-bit integers, and say what that costs. A quarter of "
    "the --data sets the ranges, the rest calibrates.",
)
@click.option(
    "--name",
    help="The model's name, by which devices know it.  [default: MODULE:FACTORY, or the folder's]",
)
@click.option(
    "--answer",
    type=click.Choice(["class", "tensor"]),
    help="What the device answers with: the class of the highest score, or the output itself, such "
    "as an embedding.  [default: class if the first output is a row of scores]",
)
@click.option("--classes", default="", help="Names of the classes, separated by commas.")
@click.option(
    "--card",
    type=click.Path(path_type=Path),
    help="YAML file of texts for the bundle's card, such as data and recipe.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the exits' training.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The bundle to write, such as my.offramp.",
)
def compile_(model: str, data: str | None, out: Path, **options: Any) -> None:
    """Compile a PyTorch model into a bundle.

    MODULE:FACTORY names a function without arguments that returns a torch.nn.Module, or an
    EarlyExitModel that brings its own exits. hf:MODEL is a model of the transformers library, by
    its hub id or local folder; without --data and --example it is traced on random inputs.

    \b
    offramp compile mynet:build --data mynet:held_out --train mynet:training \\
        --exit layer1 --exit layer2 -o my.offramp
    """
    from offramp.extras import require_extra
    from offramp.files import check_writable
    from offramp.settings import load_texts

    home = next(folder for folder in out.absolute().parents if folder.exists())
    check_writable(out if out.exists() else home / out.name)
    _check(model, data, options)
    require_extra("compile", "torch", "onnx", "onnxscript", "scipy")
    card = load_texts(options["card"]) if options["card"] else {}
    module, example = _load(model, data, options["example"])
    if options["trained"]:
        from offramp.training.trained import load_trained

        trained, module = load_trained(options["trained"], module, _say)
        card = {"training": trained.summary, **card}
    held_out, training = _labelled("--data", data), _labelled("--train", options["train"])
    from rich.console import Console

    from offramp.bundle import open_bundle
    from offramp.bundle.level_table import cheapest_lines
    from offramp.bundle.table import print_cost
    from offramp.calibration import FILE as CALIBRATION
    from offramp.capture.compiler import CompileOptions, compile_model

    manifest = compile_model(
        module,
        held_out,
        out,
        CompileOptions(
            name=options["name"] or _default_name(model),
            classes=tuple(filter(None, options["classes"].split(","))),
            card=card,
            answer=options["answer"],
            max_segments=options["max_segments"],
            exits=options["exits"],
            head=options["head"],
            seed=options["seed"],
            int8=options["int8"],
            later_exits=options["later_exits"],
        ),
        training=training,
        examples=example,
        report=_say,
    )
    if CALIBRATION in manifest.files:
        for line in cheapest_lines(open_bundle(out)):
            _say(line)
        _say(f"every level: offramp inspect --levels {out}")
    if manifest.quantised:
        print_cost(Console(stderr=True), manifest.quantised)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _check(model: str, data: str | None, options: dict[str, Any]) -> None:
    """Raise `ConfigError`, before the user's code runs, if the options cannot go together."""
    from offramp.errors import ConfigError
    from offramp.files import open_file

    if not (data or options["example"] or model.startswith(_HUGGING_FACE)):
        raise ConfigError("give --data for a calibrated bundle, or at least --example")
    if any(path.partition(":")[0] == "auto" for path in options["exits"]):
        raise ConfigError(
            "--exit auto is for offramp train, which finds the places; name sub-modules here, or "
            "give what offramp train wrote with --trained"
        )
    if options["exits"] and not options["train"]:
        raise ConfigError("to train exit heads, give training samples (--train)")
    if options["trained"]:
        if options["exits"] or options["train"]:
            raise ConfigError("--trained brings trained exits; leave out --exit and --train")
        open_file(options["trained"]).close()
    if options["int8"] and not data:
        raise ConfigError("an int8 head needs held-out samples; give them with --data")


def _load(model: str, data: str | None, example: str | None) -> tuple[Any, Any]:
    """Return the module and its example inputs, as far as they are given or known."""
    from offramp.extras import require_extra
    from offramp.references import call_reference
    from offramp.samples import as_samples, naming

    with naming("--example"):
        given = as_samples(call_reference(example)) if example else None
    if not model.startswith(_HUGGING_FACE):
        return call_reference(model), given
    require_extra("hf", "transformers")
    from offramp.capture import huggingface

    module = huggingface.load_model(model.removeprefix(_HUGGING_FACE))
    return module, given or (None if data else huggingface.example_inputs(module))


def _labelled(option: str, reference: str | None) -> Any:
    """Return the labelled samples of a data function; None if there is none."""
    from offramp.references import call_reference
    from offramp.samples import as_labelled, naming

    if not reference:
        return None
    with naming(option):
        return as_labelled(call_reference(reference))


def _default_name(model: str) -> str:
    """Return a folder's or hub id's last part, or the reference: every factory may be `build`."""
    if model.startswith(_HUGGING_FACE):
        return Path(model.removeprefix(_HUGGING_FACE)).resolve().name
    return model
