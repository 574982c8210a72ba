"""The sub-command ``offramp calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offramp.quantities import say_bytes, say_time
from partitioner.amounts import MEMORY, SHARE, TIME, Range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offramp.bundle import Bundle, Manifest
    from offramp.guarantee.wish import Wish
    from offramp.samples import LabelledSamples

__all__ = ["calibrate"]

_IN = click.Path(path_type=Path)
_MUCH = 0.1
_LIMITS = {
    "mean_s": "max_mean_time",
    "peak_s": "max_peak_time",
    "memory_bytes": "max_memory",
    "sent_share": "max_sent",
}


@click.command()
@click.argument("bundle", type=_IN)
@click.option(
    "--data",
    metavar="MODULE:FUNCTION",
    help="Labelled samples that were not trained on: a function that returns (inputs, labels) as "
    "arrays.  [default: those that the bundle was compiled with]",
)
@click.option(
    "--policy",
    help="Exit policy: confidence, entropy, margin, patience, q_exit, learned_gate, budget, "
    "window, similarity, norm_change, predicted_depth or tail_fixes.  [default: the bundle's; "
    "tail_fixes if there is --policy-data]",
)
@click.option(
    "--policy-data",
    metavar="MODULE:FUNCTION",
    help="Labelled samples that the exit policy learns from, if it learns; they may be those that "
    "exits were trained on. All others calibrate then.  [default: three tenths of --data]",
)
@click.option(
    "--max-accuracy-drop",
    type=SHARE,
    metavar="SHARE",
    help="Promise that the accuracy is at most so far below the whole model's, as a share of all "
    "samples.  [default: 1%, or no promise if there is a limit]",
)
@click.option(
    "--confidence",
    type=SHARE,
    metavar="SHARE",
    default="0.95",
    show_default=True,
    help="The probability that this holds.",
)
@click.option("--max-mean-time", type=TIME, metavar="TIME", help="Device time of a sample, mean.")
@click.option("--max-peak-time", type=TIME, metavar="TIME", help="Device time of any sample.")
@click.option("--max-memory", type=MEMORY, metavar="SIZE", help="Of the device's weights, tensors.")
@click.option("--max-sent", type=SHARE, metavar="SHARE", help="Samples sent to the server.")
@click.option("--profile", type=_IN, help="The device's, from offramp profile; times need it.")
@click.option(
    "--slowdown", type=Range(1e-6, 1e6), help="The device is slower than its profile by this."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Seed by which samples are parted.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The bundle to write: the same with its plans.",
)
def calibrate(bundle: Path, out: Path, data: str | None, **options: Any) -> None:
    """Choose BUNDLE's exit thresholds: by a promise of its accuracy, by limits, or by both.

    Some samples choose thresholds for all exits together, for every cut and codec level worth
    using; others test them. Devices that run the new bundle make only plans that were chosen.
    With limits alone these are the most accurate within them, and nothing is promised.

    \b
    offramp calibrate my.offramp --data mynet:certifying \\
        --max-accuracy-drop 0.5% --confidence 0.95 -o safe.offramp
    offramp calibrate my.offramp --max-mean-time 5ms --max-sent 20% \\
        --profile board.json -o quick.offramp
    """
    from rich.console import Console

    from offramp.bundle import open_bundle
    from offramp.errors import ConfigError
    from offramp.extras import require_extra
    from offramp.files import check_writable
    from offramp.guarantee.calibrating import calibrate_bundle, check_wish, recorded
    from offramp.guarantee.tables import exit_table, plan_table

    check_writable(out)
    require_extra("compile", "scipy")
    opened = open_bundle(bundle)
    if out.exists() and out.samefile(bundle):
        raise ConfigError(f"--out is {bundle} itself, of which there are profiles; name another")
    wish = _wish(opened, options)
    check_wish(opened.manifest, wish, bare=data is None)
    lessons = _called(opened, options["policy_data"]) if wish.taught else None
    recording = recorded(opened, _samples(opened, wish, data), _say, lessons)
    manifest, digest = calibrate_bundle(opened, recording, wish, out)
    console = Console(soft_wrap=True)
    console.print(exit_table(manifest, recording))
    console.print(plan_table(manifest))
    for line in _warnings(manifest, wish):
        _say(f"warning: {line}")
    _say(f"wrote {out} ({say_bytes(out.stat().st_size)}, digest {digest[:12]})")


def _warnings(manifest: Manifest, wish: Wish) -> Iterator[str]:
    """Say what a user may not have wished."""
    allowed, device = manifest.allowed, wish.device
    assert allowed is not None
    if wish.promise and wish.promise.max_accuracy_drop > _MUCH:
        yield f"an accuracy {wish.promise.max_accuracy_drop:.0%} below the whole model's is allowed"
    if not any(plan.left_share for plan in allowed.plans):
        yield "no plan lets a sample leave at an exit; allow a larger drop, or try another policy"
    if device is not None and device.unit == "s":
        depth = max(manifest.cuts)
        whole_s = device.head[depth]
        for spec, left_s in zip(manifest.exits, device.at(manifest, (depth, None)), strict=False):
            if left_s >= whole_s:
                yield (
                    f"to leave at exit {spec.name} takes {say_time(left_s)} with the exits on "
                    f"the way, and the whole model without exits {say_time(whole_s)}"
                )


def _samples(bundle: Bundle, wish: Wish, data: str | None) -> LabelledSamples | None:
    """Return the samples of a user's data function, checked; None if there is none."""
    from offramp.guarantee.calibrating import check_count

    if data is None:
        _say(
            "warning: the bundle's own samples fitted its temperatures, ensembles and codec "
            "ranges, so what is said of its plans is a little too good; give others with --data"
        )
        return None
    samples = _called(bundle, data)
    check_count(bundle.manifest, wish, len(samples))
    return samples


def _called(bundle: Bundle, reference: str) -> LabelledSamples:
    """Return the samples of a data function, if they are the model's."""
    from offramp.guarantee.calibrating import check_samples
    from offramp.references import call_reference
    from offramp.samples import as_labelled

    samples = as_labelled(call_reference(reference))
    check_samples(bundle.manifest, samples)
    return samples


def _wish(bundle: Bundle, options: dict[str, Any]) -> Wish:
    """Return what the options ask for; raise `ConfigError` if they do not fit together."""
    from offramp.bundle.allowed import Limits
    from offramp.errors import ConfigError
    from offramp.guarantee.certificate import Promise
    from offramp.guarantee.wish import Wish
    from partitioner.device_costs import device_costs
    from partitioner.profile import load_profile

    given = {key: options[name] for key, name in _LIMITS.items() if options[name] is not None}
    for name in ("max_mean_time", "max_peak_time", "max_memory"):
        if options[name] == 0:
            raise ConfigError(f"--{name.replace('_', '-')} is 0; give more")
    device = None
    if options["profile"]:
        profile = load_profile(options["profile"])
        profile.check(bundle)
        profile.check_heads(bundle)
        device = device_costs(profile.slowed(options["slowdown"] or 1.0))
    elif {"mean_s", "peak_s"} & given.keys():
        raise ConfigError(
            "--max-mean-time and --max-peak-time need --profile, the device's own from: offramp "
            "profile"
        )
    elif options["slowdown"] is not None:
        raise ConfigError("--slowdown is of a profile; give it with --profile")
    limits = Limits(
        **given | ({"memory_bytes": int(given["memory_bytes"])} if "memory_bytes" in given else {}),
        machine=device.machine if device else None,
    )
    drop = options["max_accuracy_drop"]
    promise = Promise(0.01 if drop is None else drop, options["confidence"])
    return Wish(
        None if given and drop is None else promise,
        options["policy"] or ("tail_fixes" if options["policy_data"] else bundle.manifest.policy),
        options["seed"],
        limits if given else None,
        device,
        taught=options["policy_data"] is not None,
    )


def _say(line: str) -> None:
    click.echo(line, err=True)
