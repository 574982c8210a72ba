"""What docs/strategies.md says of strategies is so."""

import re
from pathlib import Path

from offramp.bundle import open_bundle
from offramp.calibration import load_calibration
from offramp.demo.settings import default_bundle
from offramp.exits.fitted import load_policy
from partitioner.published import eight_bit_levels, raw_levels
from partitioner.recorded import Recorded
from partitioner.strategies import STRATEGIES

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table behind a heading."""
    table = PAGE[PAGE.index(heading) :].split("\n\n")
    (found,) = [part for part in table if part.startswith("| strategy |")][:1]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in found.splitlines()[2:]]


def test_its_table_has_every_strategy_and_what_it_takes() -> None:
    told = {name.strip("`"): rule for name, rule, _ in rows("# Strategies")}
    assert told == {name: strategy.rule for name, strategy in STRATEGIES.items()}
    assert len(rows("# Strategies")) == len(STRATEGIES)


def test_it_says_what_was_reconstructed_of_every_published_one() -> None:
    told = {name.strip("`") for name, _ in rows("## What was reconstructed")}
    published = {name for name, it in STRATEGIES.items() if "econstruct" in (it.__doc__ or "")}
    assert told == published
    assert "neurosurgeon" in told


def test_who_is_said_to_exist_in_simulation_alone_does() -> None:
    alone = {name.strip("`") for name, _, source in rows("# Strategies") if "alone" in source}
    assert alone == {name for name, it in STRATEGIES.items() if it.clairvoyant}


def test_the_embedded_bundle_has_the_levels_that_it_says() -> None:
    bundle = open_bundle(default_bundle())
    recorded = Recorded(bundle.manifest, load_calibration(bundle), load_policy(bundle))
    assert set(raw_levels(recorded).values()) == {"lossless"}
    levels = {level for one in eight_bit_levels(recorded).values() for level in one}
    assert not levels & {"affine8", "channel8"}
    assert all(len(boundary.tensors) == 1 for boundary in bundle.manifest.boundaries)


def test_its_links_lead_somewhere() -> None:
    folder = Path(__file__).parents[2]
    for target in re.findall(r"\]\((\S+?)\)", PAGE):
        assert (folder / "docs" / target).exists()
    for path in re.findall(r"`((?:partitioner|tests)/\S+\.py)`", PAGE):
        assert (folder / path).exists()
