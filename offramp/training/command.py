"""The sub-command ``offramp train``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offramp.quantities import say_bytes

if TYPE_CHECKING:
    from offramp.training.checkpoint import Checkpoints

__all__ = ["train"]

_OF_EXITS = ("heads", "slim", "slim_until", "recipe", "backbone_rate")

_REFERENCE: dict[str, Any] = {"metavar": "MODULE:FUNCTION"}


@click.command("train")
@click.argument("model", metavar="MODULE:FACTORY")
@click.option(
    "--data",
    required=True,
    **_REFERENCE,
    help="Samples to train on: a function that returns a torch Dataset of (inputs, label), or "
    "(inputs, labels) as arrays. The recipe label_free takes inputs alone too.",
)
@click.option(
    "--held-out",
    **_REFERENCE,
    help="Other samples, in the same form. The weights that answer them best are kept, and a "
    "stage that no longer gets better ends.",
)
@click.option(
    "--exit",
    "exits",
    multiple=True,
    metavar="SUBMODULE|auto[:N]",
    help="Put an exit after this sub-module, such as layer2; may be repeated. auto finds the 2 "
    "places, or N, at which accuracy rises most for its cost; it needs --held-out.",
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="[SUBMODULE=]KIND",
    help="Kind of the exit heads, or of the one after a sub-module: linear, local, global, latent "
    "or sequence.  [default: local, or linear for a vector]",
)
@click.option(
    "--recipe",
    default="joint",
    show_default=True,
    help="How to train: joint, two_stage, hierarchical_distillation (these train the model too), "
    "frozen, joint_gates or label_free.",
)
@click.option("--epochs", default=8, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--batch", default=128, show_default=True, type=click.IntRange(2, 65_536))
@click.option(
    "--rate",
    default=5e-3,
    show_default=True,
    type=click.FloatRange(0, 10, min_open=True),
    help="The heads' highest learning rate.",
)
@click.option(
    "--backbone-rate",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(0, 10, min_open=True),
    help="The same of the model, where the recipe trains it.",
)
@click.option(
    "--patience",
    default=5,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="End a stage after this many epochs in which held-out accuracy was no better.",
)
@click.option(
    "--slim",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Afterwards leave this share of the inner widths of the device part, such as 0.5, and "
    "train it and the exits as often again, to answer as the model did.",
)
@click.option(
    "--slim-until",
    metavar="SUBMODULE",
    help="The device part ends with this sub-module.  [default: the one of the deepest exit]",
)
@click.option(
    "--bottleneck",
    "bottlenecks",
    multiple=True,
    metavar="SUBMODULE",
    help="Instead of exits, train an encoder and a decoder by which the output of this sub-module "
    "is sent in few bytes; the model and its exits stay as they are. May be repeated.",
)
@click.option(
    "--trained",
    type=click.Path(path_type=Path),
    help="With --bottleneck: exits and weights that offramp train wrote before for this model.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write, such as my.trained.",
)
def train(model: str, out: Path, **options: Any) -> None:
    """Train early exits on a PyTorch model, or a bottleneck at a cut.

    MODULE:FACTORY names a function without arguments that returns a torch.nn.Module. After each
    epoch a checkpoint is written beside the output; the same command goes on from it. What comes
    out is for offramp compile --trained.

    \b
    offramp train mynet:build --data mynet:training --held-out mynet:held_out \\
        --exit layer1 --exit layer2 --head local -o exits.trained
    offramp train mynet:build --data mynet:training --held-out mynet:held_out \\
        --trained exits.trained --bottleneck layer2 -o my.trained
    """
    from offramp.errors import ConfigError
    from offramp.extras import require_extra
    from offramp.files import check_writable
    from offramp.training.choice import read_choice

    check_writable(out)
    _check(options)
    if options["bottlenecks"]:
        _train_bottlenecks(model, out, options)
        return
    choice = read_choice(options["exits"], options["heads"])
    if choice.count and not options["held_out"]:
        raise ConfigError("to find places for exits, give held-out samples (--held-out)")
    if options["slim_until"] and not options["slim"]:
        raise ConfigError("--slim-until says how far to slim; say how much with --slim too")
    require_extra("compile", "torch", "onnx", "onnxscript", "scipy")
    from rich.console import Console

    from offramp.training.assemble import assemble, describe
    from offramp.training.checkpoint import Checkpoints
    from offramp.training.display import ProgressDisplay, print_places, print_trained
    from offramp.training.session import RECIPE, SLIMMING, plan, train_and_slim
    from offramp.training.slimming.display import print_slimmed
    from offramp.training.trained import write_trained

    console = Console(stderr=True)
    setup, kinds = assemble(model, choice, options, partial(print_places, console))
    slimming = plan(setup, options["slim"], options["slim_until"])
    checkpoints = Checkpoints(out, (RECIPE, SLIMMING))
    with _going_on(checkpoints), ProgressDisplay(console, [*setup.model.paths, "model"]) as display:
        setup, accuracies = train_and_slim(setup, slimming, checkpoints, display.show)
    trained = describe(model, setup, kinds, accuracies)
    write_trained(out, trained, setup.model)
    checkpoints.remove()
    print_trained(console, trained)
    print_slimmed(console, setup, trained)
    click.echo(f"wrote {out} ({say_bytes(out.stat().st_size)})", err=True)


def _check(options: dict[str, Any]) -> None:
    """Raise `ConfigError` if exits and bottlenecks do not come one after the other."""
    from offramp.errors import ConfigError

    if options["exits"] and options["bottlenecks"]:
        raise ConfigError(
            "train the exits first, and then a bottleneck with what came of it: leave out "
            "--bottleneck now and --exit then, and give --trained"
        )
    if not (options["exits"] or options["bottlenecks"]):
        raise ConfigError("say where to put exits (--exit) or a bottleneck (--bottleneck)")
    if options["bottlenecks"]:
        source = click.get_current_context().get_parameter_source
        for name in _OF_EXITS:
            if source(name) is click.core.ParameterSource.COMMANDLINE:
                option = "head" if name == "heads" else name.replace("_", "-")
                raise ConfigError(f"--{option} is for exits; leave it out with --bottleneck")
    if options["trained"] and not options["bottlenecks"]:
        raise ConfigError("--trained is for --bottleneck; exits are trained from the model alone")


def _train_bottlenecks(model: str, out: Path, options: dict[str, Any]) -> None:
    from offramp.extras import require_extra

    require_extra("compile", "torch", "onnx", "onnxscript", "scipy")
    from rich.console import Console

    from offramp.training.bottleneck.session import assemble, parts_of, train_bottlenecks
    from offramp.training.checkpoint import Checkpoints
    from offramp.training.display import ProgressDisplay, print_bottlenecks
    from offramp.training.trained import write_trained

    console = Console(stderr=True)
    known, whole, setups = assemble(model, options, partial(click.echo, err=True))
    checkpoints = Checkpoints(out, parts_of(setups))
    with _going_on(checkpoints), ProgressDisplay(console, ["answers as the model"]) as display:
        trained, whole = train_bottlenecks(known, whole, setups, checkpoints, display.show)
    write_trained(out, trained, whole)
    checkpoints.remove()
    print_bottlenecks(console, trained)
    click.echo(f"wrote {out} ({say_bytes(out.stat().st_size)})", err=True)


@contextmanager
def _going_on(checkpoints: Checkpoints) -> Iterator[None]:
    """Say what a training goes on from, and if it is interrupted, how it does."""
    if checkpoints.latest:
        click.echo(f"going on from {checkpoints.latest}", err=True)
    try:
        yield
    except KeyboardInterrupt:
        if checkpoints.latest:
            click.echo(f"stopped; the same command goes on from {checkpoints.latest}", err=True)
        raise
