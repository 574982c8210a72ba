"""`offramp calibrate`: a bundle gets plans, of which what is promised or limited holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from offramp.bundle import Bundle, open_bundle
from offramp.bundle.allowed import Allowed, AllowedPlan, Limits, Promised, allowed_lines
from offramp.calibration import load_calibration, score_exits
from offramp.codecs import get as get_codec
from offramp.embedded.cluttered_digits import load
from offramp.errors import ConfigError, InputError
from offramp.exits import POLICIES, first_exit, get
from offramp.exits.fitted import load_policy
from offramp.exits.recording import record
from offramp.guarantee.calibrating import Recording, calibrate_bundle, check_samples, recorded
from offramp.guarantee.certificate import Promise, part_samples
from offramp.guarantee.device_costs import held_bytes
from offramp.guarantee.measures import share_interval
from offramp.guarantee.plans import find_places
from offramp.guarantee.wish import Wish
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array
from partitioner.calibrate_command import _warnings, calibrate
from partitioner.candidates import CLOSED, build_candidates

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def recording(embedded: Bundle) -> Recording:
    return recorded(embedded, None, lambda line: None)


@pytest.fixture(scope="module")
def safe(
    embedded: Bundle, recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    out = tmp_path_factory.mktemp("safe") / "safe.offramp"
    calibrate_bundle(embedded, recording, Wish(Promise(0.02, 0.95), "margin"), out)
    return open_bundle(out)


def run(*words: object) -> Any:
    return CliRunner().invoke(calibrate, [str(word) for word in words])


def test_the_bundle_says_what_it_promises_and_of_which_plans(safe: Bundle) -> None:
    allowed = safe.manifest.allowed
    assert allowed is not None
    assert allowed.promised is not None
    assert (allowed.promised.max_accuracy_drop, allowed.promised.confidence) == (0.02, 0.95)
    assert allowed.samples == 700  # of 1,000; the others chose
    assert (allowed.limits, allowed.reach) == (None, None)
    assert safe.manifest.policy == "margin"
    assert {plan.cut for plan in allowed.plans} == set(safe.manifest.cuts)
    assert "2.00% below" in allowed_lines(allowed)[0]


def test_what_is_promised_is_what_the_plans_lose_on_the_samples(safe: Bundle) -> None:
    allowed, calibration = safe.manifest.allowed, load_calibration(safe)
    assert allowed is not None
    policy, right = load_policy(safe), calibration.final_logits.argmax(-1) == calibration.labels
    candidates = build_candidates(safe, calibration, policy)
    tested = part_samples(len(right), np.random.default_rng(0))[1]
    made = {
        (int(c), level, tuple(row[: safe.manifest.exits_before(int(c))])): at
        for at, (c, level, row) in enumerate(
            zip(candidates.cut, candidates.level, candidates.thresholds.tolist(), strict=True)
        )
    }
    assert len(made) == len(candidates)
    scores = list(score_exits(safe.manifest, calibration, policy)[:, tested])
    for plan in allowed.plans:
        row = made.pop((plan.cut, plan.level, plan.thresholds), None)
        if row is None:  # beaten by another plan of the same cut and level
            continue
        if active := len(plan.thresholds):
            left = first_exit(scores[:active], plan.thresholds) < active
            assert plan.left_share == pytest.approx(left.mean())
        assert right.mean() - candidates.accuracy[row] <= 0.02
        assert plan.accuracy_drop <= 0.02
    assert not made  # no others are made
    assert len(tested) == allowed.samples


def test_a_stricter_promise_lets_fewer_samples_leave(
    embedded: Bundle, recording: Recording, safe: Bundle, tmp_path: Path
) -> None:
    wish = Wish(Promise(0.05, 0.8), "margin")
    loose, _ = calibrate_bundle(embedded, recording, wish, tmp_path / "loose.offramp")
    assert loose.allowed
    assert safe.manifest.allowed
    shares = [
        {plan.cut: plan.left_share for plan in g.plans if plan.left_share}
        for g in (safe.manifest.allowed, loose.allowed)
    ]
    assert all(shares[0][cut] < shares[1][cut] for cut in shares[0])


def test_a_policy_that_learns_is_calibrated_on_samples_it_has_not_seen(
    embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    out = tmp_path / "gate.offramp"
    calibrate_bundle(embedded, recording, Wish(Promise(0.03), "tail_fixes", seed=3), out)
    bundle = open_bundle(out)
    assert bundle.manifest.policy == "tail_fixes"
    assert load_policy(bundle).parameters
    calibration = load_calibration(bundle)
    assert len(calibration.labels) == 700
    order = np.random.default_rng(3).permutation(1000)
    np.testing.assert_array_equal(
        calibration.labels, recording.calibration.labels[np.sort(order[300:])]
    )
    assert calibration.exit_scores is None  # they follow from the logits
    again = tmp_path / "again.offramp"
    calibrate_bundle(embedded, recording, Wish(Promise(0.03), "tail_fixes", seed=3), again)
    assert again.read_bytes() == out.read_bytes()


def test_a_policy_that_is_taught_leaves_all_samples_to_calibrate(
    embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    out, evidence = tmp_path / "taught.offramp", recording.evidence
    taught = replace(recording, lessons=evidence[np.arange(100)])
    wish = Wish(Promise(0.03), "tail_fixes", taught=True)
    calibrate_bundle(embedded, taught, wish, out)
    bundle = open_bundle(out)
    assert len(load_calibration(bundle).labels) == 1000
    expected = get("tail_fixes").fit(evidence[np.arange(100)])
    for name, array in load_policy(bundle).parameters.items():
        np.testing.assert_array_equal(array, expected[name])
    few = some(taught, 150)
    with pytest.raises(InputError, match="give at least 153"):
        calibrate_bundle(embedded, few, wish, out)


def test_samples_that_teach_a_policy_are_run_apart(
    embedded: Bundle, embedded_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples.cluttered_digits import data

    (spec,) = embedded.manifest.boundaries[0].tensors
    dice = np.random.default_rng(0)
    images = dice.integers(0, 255, (60, *spec.shape)).astype(spec.dtype)
    monkeypatch.setattr(data, "lessons", lambda: (images, np.arange(60) % 10), raising=False)
    words = ["--policy-data", "examples.cluttered_digits.data:lessons", "--max-sent", "50%"]
    ended = run(embedded_file, *words, "-o", tmp_path / "a.offramp")
    assert ended.exit_code == 0, ended.output
    assert "running 60 samples for the exit policy" in ended.output
    bundle = open_bundle(tmp_path / "a.offramp")
    assert bundle.manifest.policy == "tail_fixes"
    assert len(load_calibration(bundle).labels) == 1000
    ended = run(embedded_file, "--policy", "margin", *words, "-o", tmp_path / "b.offramp")
    assert "'margin' learns nothing; leave out --policy-data" in str(ended.exception)


def test_a_policy_that_reads_states_needs_samples_and_keeps_its_scores(
    embedded: Bundle, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[int] = []
    exit_logits = Network.exit_logits

    def counted(network: Network, at: int, *given: Any) -> Array:
        answered.append(at)
        return exit_logits(network, at, *given)

    wish = Wish(Promise(0.2, 0.5), "norm_change")
    with pytest.raises(ConfigError, match=r"'norm_change' reads .*states.* --data"):
        calibrate_bundle(embedded, recording, wish, tmp_path / "no.offramp")
    images, labels = load("calibration", 60)
    samples = LabelledSamples((images,), labels)
    monkeypatch.setattr(Network, "exit_logits", counted)
    found = recorded(embedded, samples, lambda line: None)
    assert sorted(answered) == [0, 0, 1, 1, 2, 2]  # 50 samples at a time, each once
    expected = record(Network(embedded), samples)
    for name in ("logits", "states"):
        for got, want in zip(getattr(found.evidence, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_array_equal(found.evidence.summary, expected.summary)
    np.testing.assert_allclose(
        found.calibration.exit_logits, recording.calibration.exit_logits[:, :60], atol=1e-4
    )
    for place, answers in found.calibration.answers.items():
        same = answers == recording.calibration.answers[place][:60]
        assert same.mean() > 0.99, place
    manifest, _ = calibrate_bundle(embedded, found, wish, tmp_path / "states.offramp")
    kept = load_calibration(open_bundle(tmp_path / "states.offramp"))
    assert kept.exit_scores is not None
    assert manifest.allowed
    scores, rows = kept.exit_scores, len(kept.labels)
    assert scores.shape == (3, rows)
    plan = max((p for p in manifest.allowed.plans if p.level is None), key=lambda p: p.left_share)
    tested = part_samples(rows, np.random.default_rng(0))[1]
    left = first_exit(list(scores.astype(np.float64)[:, tested]), plan.thresholds)
    assert (left < 3).mean() == pytest.approx(plan.left_share)  # what is stored was tested
    answers = [*kept.exit_logits.argmax(-1), kept.final_logits.argmax(-1)]
    right = np.stack(answers)[:, tested] == kept.labels[tested]
    drop = right[-1].mean() - right[left, np.arange(len(tested))].mean()
    assert drop == pytest.approx(plan.accuracy_drop)


def test_lossless_levels_count_once_and_beaten_levels_not_at_all(
    embedded: Bundle, recording: Recording
) -> None:
    manifest, calibration = embedded.manifest, recording.calibration
    chosen = np.arange(300)
    places = find_places(
        manifest, calibration, np.zeros((3, 1000)), chosen, Wish(Promise(0.02), "margin")
    )
    tested = [place for group in places.same.values() for place in group]
    assert len(tested) == len(set(tested))
    for cut, level in tested:
        if level is None:
            continue
        right = (calibration.answers[cut, level] == calibration.labels)[chosen].mean()
        size = calibration.sizes[cut, level][chosen].mean()
        for other in manifest.boundaries[cut].levels:
            smaller = calibration.sizes[cut, other][chosen].mean() < size
            better = (calibration.answers[cut, other] == calibration.labels)[chosen].mean() >= right
            assert not (smaller and better), (cut, level, other)
    for first, group in places.same.items():
        assert first in group
        lossless = [level is None or get_codec(level).lossless for _, level in group]
        assert len(group) == 1 or all(lossless)


def test_too_few_samples_and_what_cannot_be_kept_are_named(
    embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    out = tmp_path / "no.offramp"
    too_few = (
        r"1000 calibration samples are too few .* of at most 0\.500% with confidence 0\.95 for \d+ "
        r"cuts and codec levels at once; give at least \d+"
    )
    with pytest.raises(InputError, match=too_few):
        calibrate_bundle(embedded, recording, Wish(Promise(0.005), "margin"), out)
    coarse = recording.calibration
    wrong = {place: (a + 1) % 10 for place, a in coarse.answers.items() if place[0] == 0}
    broken = Recording(
        type(coarse)(
            coarse.labels, coarse.exit_logits, coarse.final_logits,
            {**coarse.answers, **wrong}, coarse.sizes,
        ),
        recording.evidence,
    )  # fmt: skip
    manifest, _ = calibrate_bundle(embedded, broken, Wish(Promise(0.03), "margin"), out)
    assert manifest.allowed
    left = {plan.level for plan in manifest.allowed.plans if plan.cut == 0}
    assert left
    assert all(get_codec(level).lossless for level in left)  # which are the whole model
    with pytest.raises(ConfigError, match=r"oracle.*reads the right answers"):
        calibrate_bundle(embedded, recording, Wish(Promise(0.03), "oracle"), out)


def some(recording: Recording, count: int) -> Recording:
    rows = np.arange(count)
    return Recording(recording.calibration.select(rows), recording.evidence[rows])


@pytest.mark.parametrize(
    ("count", "wish", "said"),
    [
        (100, Wish(Promise(0.05), "tail_fixes"), r"^100 .*'tail_fixes'.* give at least 167, and"),
        (100, Wish(None, "tail_fixes", 0, Limits(sent_share=0.5)), "^100 .* at least 167$"),
        (3, Wish(None, "margin", 0, Limits(sent_share=0.5)), "^3 .*'margin'.* at least 4$"),
        (3, Wish(Promise(0.05), "margin"), r"^3 .* at least 92, and \d+ to be sure for all \d+ "),
        (400, Wish(Promise(0.01, 0.9), "tail_fixes"), "^400 .* give at least 525, and"),
        (400, Wish(Promise(0.01, 0.9), "margin"), r"^400 .* for \d+ cuts and .* at least \d+"),
        (400, Wish(Promise(0.02, 0.95), "tail_fixes"), r"^400 .* for \d+ cuts .* at least \d+"),
    ],
)
def test_how_many_samples_are_needed_counts_all_that_were_given(
    count: int, wish: Wish, said: str, embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        calibrate_bundle(embedded, some(recording, count), wish, tmp_path / "no.offramp")
    needed = [int(word) for word in re.findall(r"\d+", str(caught.value).split("at least")[1])]
    assert needed[0] > count
    if needed[0] <= 1000 and len(needed) == 1:  # of all that were counted, so as many will do
        enough = some(recording, min(needed[0] + 50, 1000))
        calibrate_bundle(embedded, enough, wish, tmp_path / "yes.offramp")


def test_a_number_that_is_none_is_refused_whichever_sample_has_it(
    embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    """Also where the sample is none of those that a policy learns from."""
    calibration, evidence = recording.calibration, recording.evidence
    for row in np.random.default_rng(0).permutation(1000)[[0, 300, 999]]:
        final = calibration.final_logits.copy()
        final[row, 3] = np.nan
        truth = replace(evidence.recorded, final_logits=final)
        broken = Recording(replace(calibration, final_logits=final), replace(evidence, truth=truth))
        for policy in ("margin", "tail_fixes"):
            with pytest.raises(InputError, match="the final logits are not finite"):
                calibrate_bundle(embedded, broken, Wish(Promise(0.03), policy), tmp_path / "no")


def test_what_answers_as_the_whole_model_does_is_always_there(
    embedded: Bundle, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offramp.guarantee.plans.certify_each", lambda *given, **budgets: {})
    out = tmp_path / "whole.offramp"
    manifest, _ = calibrate_bundle(embedded, recording, Wish(Promise(0.03), "margin"), out)
    assert manifest.allowed
    for plan in manifest.allowed.plans:
        assert plan.thresholds == (CLOSED,) * manifest.exits_before(plan.cut)
        assert plan.level is None or get_codec(plan.level).lossless
    assert {plan.cut for plan in manifest.allowed.plans} == set(manifest.cuts)
    bundle = open_bundle(out)
    found = build_candidates(bundle, load_calibration(bundle), load_policy(bundle))
    assert set(found.accuracy) == {recording.calibration.accuracy}


def test_the_command_writes_the_bundle_and_shows_what_it_found(
    embedded_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "safe.offramp"
    ended = run(embedded_file, "--max-accuracy-drop", "3%", "--policy", "entropy", "-o", out)
    assert ended.exit_code == 0, ended.output
    assert "AUROC" in ended.output
    assert "with confidence 0.95, tested on 700 samples" in ended.output
    assert "warning: the bundle's own samples fitted its temperatures" in ended.output
    assert "exit policy entropy" in ended.output
    manifest = open_bundle(out).manifest
    assert manifest.allowed
    gained = [plan for plan in manifest.allowed.plans if plan.left_share]
    assert gained
    assert all(f"{max(plan.thresholds[0], 0):.5f}" in ended.output for plan in gained)
    whole = sum(plan.drop_interval is None for plan in manifest.allowed.plans)
    assert f"besides these plans, {whole} close all exits" in ended.output
    assert re.search(r"whole model +95\.10%", ended.output)


def test_what_a_user_may_not_have_wished_is_said(
    embedded: Bundle, embedded_file: Path, tmp_path: Path, make_profile: Callable[..., Any]
) -> None:
    keys = [f"{cut}/{x}" for cut, b in enumerate(embedded.manifest.boundaries) for x in b.levels]
    codecs_s, heads_s = dict.fromkeys(keys, 1e-4), np.arange(9) * 1e-3
    slow = make_profile(embedded.digest, heads_s, [0.25e-3, 2e-3, 3e-3], codecs_s, codecs_s)
    (tmp_path / "slow.json").write_text(slow.model_dump_json())
    out, words = tmp_path / "x.offramp", ("--profile", tmp_path / "slow.json", "--policy", "margin")
    ended = run(embedded_file, *words, "--max-accuracy-drop", "0.5", "-o", out)
    assert "warning: an accuracy 50% below the whole model's is allowed" in ended.output
    assert "leave at exit stage1" not in ended.output
    assert "leave at exit stage2" not in ended.output
    said = "leave at exit stage3.2 takes 11.2 ms with the exits on the way, and the whole model"
    assert f"{said} without exits 8 ms" in ended.output
    assert "no plan lets a sample leave" not in ended.output
    manifest = open_bundle(out).manifest
    assert manifest.allowed
    nobody = manifest.allowed.model_copy(
        update={"plans": tuple(p for p in manifest.allowed.plans if not p.left_share)}
    )
    said = list(_warnings(manifest.model_copy(update={"allowed": nobody}), Wish(Promise(0.1), "")))
    assert said == [
        "no plan lets a sample leave at an exit; allow a larger drop, or try another policy"
    ]


def test_the_help_names_every_policy() -> None:
    named = re.sub(r"\s+", " ", run("--help").output)
    assert all(re.search(rf"\b{name}\b", named) for name in POLICIES if name != "oracle")


def test_a_bundle_is_not_written_over_itself(embedded_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "same.offramp"
    copy.write_bytes(embedded_file.read_bytes())
    ended = run(copy, "-o", copy)
    assert "itself" in str(ended.exception)
    assert copy.read_bytes() == embedded_file.read_bytes()


@pytest.fixture(scope="module")
def profile(
    embedded: Bundle, make_profile: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A millisecond a segment, a quarter an exit, and an eighth to encode or decode."""
    keys = [f"{cut}/{x}" for cut, b in enumerate(embedded.manifest.boundaries) for x in b.levels]
    codecs_s, heads_s = dict.fromkeys(keys, 0.125e-3), np.arange(9) * 1e-3
    made = make_profile(embedded.digest, heads_s, [0.25e-3] * 3, codecs_s, codecs_s)
    path = tmp_path_factory.mktemp("profile") / "board.json"
    path.write_text(made.model_dump_json())
    return path


def limited(out: Path, *words: object) -> tuple[Allowed, list[AllowedPlan], str]:
    """Run the command; return what is allowed, the plans that send, and what was printed."""
    ended = run(*words, "--policy", "margin", "-o", out)
    assert ended.exit_code == 0, (ended.output, ended.exception)
    allowed = open_bundle(out).manifest.allowed
    assert allowed is not None
    assert any(plan.level is None for plan in allowed.plans)
    return allowed, [plan for plan in allowed.plans if plan.level], ended.output


def test_a_limit_of_samples_sent(embedded_file: Path, tmp_path: Path) -> None:
    allowed, sending, said = limited(tmp_path / "x.offramp", embedded_file, "--max-sent", "20%")
    assert (allowed.promised, allowed.samples) == (None, 300)
    assert allowed.limits == Limits(sent_share=0.2)
    assert sending
    for plan in sending:
        count = round((1 - plan.left_share) * 300)
        assert share_interval(count, 300)[0] <= 0.2
    assert "chosen within: 20% of the samples sent" in said
    assert "no accuracy is promised; on 300 samples that did not choose" in said


def test_a_limit_of_mean_time(embedded_file: Path, tmp_path: Path, profile: Path) -> None:
    words = (embedded_file, "--profile", profile, "--slowdown", 2, "--max-mean-time", "7ms")
    allowed, sending, said = limited(tmp_path / "x.offramp", *words)
    assert allowed.limits == Limits(mean_s=0.007, machine="test, 1 cores, slowed 2 times")
    assert all(plan.mean_s and plan.mean_s < 0.0075 for plan in allowed.plans)
    assert {plan.cut for plan in sending} == set(range(8))
    local = next(plan for plan in allowed.plans if plan.level is None)
    assert (local.cut, local.mean_s) == (8, pytest.approx(0.007, rel=0.05))
    assert "chosen within: 7 ms of device time in the mean on test, 1 cores" in said


def test_a_limit_of_peak_time(embedded_file: Path, tmp_path: Path, profile: Path) -> None:
    """The exits of the embedded bundle stand at the cuts 2, 4 and 6."""
    words = (embedded_file, "--profile", profile, "--max-peak-time", "0.0046s")
    allowed, sending, _ = limited(tmp_path / "x.offramp", *words)
    assert {plan.cut for plan in sending} == {0, 1, 2, 3}
    (local,) = (plan for plan in allowed.plans if plan.level is None)
    assert (local.cut, local.thresholds[-1], local.left_share) == (4, 0.0, 1.0)
    assert allowed.reach is None  # there is no want of memory


def test_a_limit_of_memory(embedded: Bundle, embedded_file: Path, tmp_path: Path) -> None:
    fits = held_bytes(embedded.manifest, 4)
    for size, reach in ((f"{fits / 1e6:.6f}MB", 4), (f"{(fits - 1) / 1e3:.3f}kB", 2), ("1GiB", 8)):
        allowed, _, said = limited(tmp_path / "x.offramp", embedded_file, "--max-memory", size)
        assert allowed.reach == max(plan.cut for plan in allowed.plans) == reach
        assert "B of device memory" in said


def test_limits_within_a_promise(embedded_file: Path, tmp_path: Path, profile: Path) -> None:
    words = (embedded_file, "--profile", profile, "--max-accuracy-drop", "5%", "--max-sent", "30%")
    allowed, sending, said = limited(tmp_path / "x.offramp", *words, "--max-mean-time", "4ms")
    assert allowed.promised == Promised(max_accuracy_drop=0.05, confidence=0.95)
    assert allowed.limits == Limits(mean_s=0.004, sent_share=0.3, machine="test, 1 cores")
    assert sending
    assert all(plan.accuracy_drop <= 0.05 for plan in allowed.plans)
    assert all(plan.mean_s and plan.mean_s < 0.0042 for plan in allowed.plans)
    assert "with confidence 0.95, tested on 700 samples" in said
    ended = run(*words, "--max-mean-time", "2.5ms", "-o", tmp_path / "no.offramp")
    assert "within these limits the least drop is about" in str(ended.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-sent", "120%"], "'120%' is no share; write it as 0.5% or 0.005, at most 100%"),
        (["--slowdown", "0"], "0.0 is not in the range"),
        (["--max-memory", "64"], "'64' is no memory size; write it as 64MB or 64MiB"),
        (["--max-memory", "0MB"], "--max-memory is 0; give more"),
        (["--max-memory", "10kB"], "above the limit of 0.01 MB; raise the limit"),
        (["--max-mean-time", "5"], "'5' is no time; write it as 5ms or 0.005s"),
        (["--max-mean-time", "5ms"], "--max-mean-time and --max-peak-time need --profile"),
        (["--max-peak-time", "1ms", "--profile", "P"], "the first exit alone takes 2.25 ms, above"),
        (["--max-mean-time", "1ms", "--profile", "P"], "the first exit alone takes 2.25 ms, so"),
        (["--slowdown", "8"], "--slowdown is of a profile; give it with --profile"),
        (["--max-accuracy-drop", "much"], "'much' is no share; write it as 0.5% or 0.005"),
        (["--max-accuracy-drop", "0"], "a largest drop in accuracy of 0 cannot be promised"),
        (["--confidence", "100%"], "a confidence of 1 cannot be had"),
        (["--policy", "unheard"], "unknown exit policy 'unheard'"),
    ],
)
def test_wrong_options_are_one_sentence(
    words: list[str], said: str, embedded_file: Path, tmp_path: Path, profile: Path
) -> None:
    words = [str(profile) if word == "P" else word for word in words]
    ended = run(embedded_file, *words, "-o", tmp_path / "no.offramp")
    assert ended.exit_code != 0
    assert said in ended.output + str(ended.exception)
    assert not (tmp_path / "no.offramp").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "unheard"], "unknown exit policy 'unheard'"),
        (["--policy", "oracle"], "reads the right answers"),
        (["--policy", "margin"], "20 calibration samples are too few for exit policy 'margin'"),
        (["--data", "large"], "label 10 is out of range; there are 10 classes"),
        (["--data", "narrow"], "tensor 'image' must"),
    ],
)
def test_what_is_known_before_samples_are_run_is_said_before(
    words: list[str],
    said: str,
    embedded: Bundle,
    embedded_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from examples.cluttered_digits import data

    (spec,) = embedded.manifest.boundaries[0].tensors
    images, labels = np.zeros((500, *spec.shape), spec.dtype), np.arange(500) % 10
    for name, given in {
        "few": (images[:20], labels[:20]),
        "large": (images, np.where(np.arange(500) == 400, 10, labels)),
        "narrow": (images[:, :, :-1], labels),
    }.items():
        monkeypatch.setattr(data, name, lambda given=given: given, raising=False)
    ran = "offramp.guarantee.calibrating.Network"
    monkeypatch.setattr(ran, lambda *given: pytest.fail("samples were run"))
    options = dict(zip(words[::2], words[1::2], strict=True))
    given = f"examples.cluttered_digits.data:{options.get('--data', 'few')}"
    words = ["--policy", options.get("--policy", "margin"), "--data", given]
    ended = run(embedded_file, *words, "-o", tmp_path / "no.offramp")
    assert isinstance(ended.exception, InputError | ConfigError)
    assert said in str(ended.exception)


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_a_sample_that_is_not_finite_is_named(value: float, said: str, embedded: Bundle) -> None:
    first, *others = embedded.manifest.boundaries
    floats = tuple(replace(tensor, dtype="float32") for tensor in first.tensors)
    boundaries = (first.model_copy(update={"tensors": floats}), *others)
    manifest = embedded.manifest.model_copy(update={"boundaries": boundaries})
    images = np.zeros((8, *floats[0].shape), np.float32)
    check_samples(manifest, LabelledSamples((images,), np.arange(8)))
    images[5].flat[3] = value
    with pytest.raises(InputError, match=f"input 'image' holds {said} for sample 5"):
        check_samples(manifest, LabelledSamples((images,), np.arange(8)))


def test_a_bundle_without_exits_has_nothing_to_calibrate(
    embedded: Bundle, recording: Recording, tmp_path: Path
) -> None:
    bare = embedded.manifest.model_copy(update={"exits": ()})
    bundle = type(embedded)(bare, embedded.digest, embedded.folder, embedded.lease)
    with pytest.raises(ConfigError, match="has no exits to calibrate; compile the model with"):
        calibrate_bundle(bundle, recording, Wish(Promise(0.03), "margin"), tmp_path / "no.offramp")
