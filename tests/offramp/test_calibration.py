"""Recorded arrays say what the network says, and hostile ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from offramp import codecs
from offramp.bundle import Bundle, Ensemble, Manifest
from offramp.calibration import FILE, Calibration, load_calibration
from offramp.errors import BundleError
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

ROWS = 12


@pytest.fixture(scope="module")
def network(tiny: Bundle) -> Network:
    return Network(tiny)


def _boundary(network: Network, samples: LabelledSamples, cut: int) -> list[Array]:
    return network.run(0, cut, list(samples.inputs))


def test_compiling_returns_the_manifest_that_was_written(
    tiny: Bundle, tiny_compiled: tuple[Path, Manifest]
) -> None:
    assert tiny_compiled[1] == tiny.manifest


def test_every_cut_is_proven_on_every_backend(tiny: Bundle) -> None:
    proofs = {(p.backend, p.cut): p.max_abs_difference for p in tiny.manifest.proofs}
    assert set(proofs) == {(b, cut) for b in ("torch", "onnxruntime") for cut in tiny.cuts}
    assert max(proofs.values()) < 1e-5


def test_every_boundary_but_the_last_has_a_level_that_loses_nothing(tiny: Bundle) -> None:
    *sent, last = tiny.manifest.boundaries
    assert last.levels == {}
    for boundary in sent:
        assert any(codecs.get(level).lossless for level in boundary.levels)


def test_final_and_exit_logits_are_the_networks(
    network: Network, tiny_samples: LabelledSamples, tiny_calibration: Calibration
) -> None:
    np.testing.assert_array_equal(tiny_calibration.labels, tiny_samples.labels)
    final = _boundary(network, tiny_samples, network.depth)[0]
    np.testing.assert_allclose(tiny_calibration.final_logits, final, atol=1e-5)
    for at, spec in enumerate(network.bundle.manifest.exits):
        logits = network.exit_logits(at, _boundary(network, tiny_samples, spec.boundary))
        np.testing.assert_allclose(tiny_calibration.exit_logits[at], logits, atol=1e-5)
    assert tiny_calibration.accuracy == np.mean(final.argmax(1) == tiny_samples.labels)


def test_answers_and_sizes_are_those_of_frames_sent_through_the_tail(
    network: Network, tiny_samples: LabelledSamples, tiny_calibration: Calibration
) -> None:
    few = tiny_samples[:ROWS]
    for cut, level in tiny_calibration.levels:
        boundary = network.bundle.manifest.boundaries[cut]
        answers, sizes = [], []
        for sample in zip(*_boundary(network, few, cut), strict=True):
            sent = network.encode(cut, level, [part[None] for part in sample])
            sizes.append(sent.size_bytes)
            received, _ = network.decode(cut, sent.frames, limit_bytes=boundary.nbytes)
            (logits,) = network.run(cut, network.depth, received)
            answers.append(int(logits.argmax()))
        assert tiny_calibration.answers[cut, level][:ROWS].tolist() == answers, (cut, level)
        np.testing.assert_allclose(tiny_calibration.sizes[cut, level][:ROWS], sizes, atol=4)


def test_lossless_levels_answer_as_the_whole_model(tiny_calibration: Calibration) -> None:
    final = tiny_calibration.final_logits.argmax(axis=-1)
    lossless = [at for at in tiny_calibration.levels if codecs.get(at[1]).lossless]
    assert lossless
    for at in lossless:
        np.testing.assert_array_equal(tiny_calibration.answers[at], final)


def test_arrays_survive_the_bundle(tiny: Bundle, tiny_calibration: Calibration) -> None:
    stored = tiny.arrays(FILE)
    assert stored.keys() == tiny_calibration.to_arrays().keys()
    for name, array in tiny_calibration.to_arrays().items():
        np.testing.assert_array_equal(array, stored[name])


def _without(name: str) -> Callable[[dict[str, Array]], None]:
    def change(arrays: dict[str, Array]) -> None:
        del arrays[name]

    return change


def _rename(old: str, new: str) -> Callable[[dict[str, Array]], None]:
    def change(arrays: dict[str, Array]) -> None:
        arrays[new] = arrays.pop(old)

    return change


def _set(name: str, value: Callable[[Array], Array]) -> Callable[[dict[str, Array]], None]:
    def change(arrays: dict[str, Array]) -> None:
        arrays[name] = value(arrays[name])

    return change


HOSTILE: dict[str, Callable[[dict[str, Array]], None]] = {
    "no labels": _without("labels"),
    "no sizes": _without("sizes/0/raw"),
    "no level": _without("answers/0/raw"),
    "cut no number": _rename("answers/0/raw", "answers/zero/raw"),
    "too few parts": _rename("answers/0/raw", "answers/raw"),
    "too many parts": _rename("answers/0/raw", "answers/0/raw/raw"),
    "cut beyond the last": _rename("answers/0/raw", "answers/99/raw"),
    "unknown level": _rename("answers/0/raw", "answers/0/unheard"),
    "labels a scalar": _set("labels", lambda a: np.array(1)),
    "labels empty": _set("labels", lambda a: a[:0]),
    "labels shorter": _set("labels", lambda a: a[:-1]),
    "labels floats": _set("labels", lambda a: a.astype(np.float32)),
    "labels beyond the classes": _set("labels", lambda a: a + 3),
    "labels negative": _set("labels", lambda a: a - 3),
    "exit logits flat": _set("exit_logits", lambda a: a.reshape(-1)),
    "one exit more": _set("exit_logits", lambda a: np.concatenate([a, a])),
    "exit logits of other classes": _set("exit_logits", lambda a: a[..., :-1]),
    "logits not a number": _set("exit_logits", lambda a: a * np.float32("nan")),
    "final logits infinite": _set("final_logits", lambda a: a + np.float32("inf")),
    "final logits short": _set("final_logits", lambda a: a[1:]),
    "final logits flat": _set("final_logits", lambda a: a[:, 0]),
    "answers in two columns": _set("answers/0/raw", lambda a: np.stack([a, a])),
    "answers floats": _set("answers/0/raw", lambda a: a.astype(np.float32)),
    "sizes negative": _set("sizes/0/raw", lambda a: -a),
    "sizes floats": _set("sizes/0/raw", lambda a: a.astype(np.float32)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_arrays_that_do_not_fit_are_refused(name: str, tiny: Bundle, tmp_path: Path) -> None:
    arrays = {key: array.copy() for key, array in tiny.arrays(FILE).items()}
    HOSTILE[name](arrays)
    (tmp_path / FILE).write_bytes(save({key: array.copy() for key, array in arrays.items()}))
    with pytest.raises(BundleError):
        load_calibration(Bundle(tiny.manifest, tiny.digest, tmp_path))


@pytest.mark.parametrize("name", ["absent", "beyond the classes", "short", "floats"])
def test_answers_of_an_ensemble_that_do_not_fit_are_refused(
    name: str, tiny: Bundle, tmp_path: Path
) -> None:
    ensemble = Ensemble(exit=1.0, end=1.0)
    (spec,) = tiny.manifest.exits
    joined = spec.model_copy(update={"ensemble": ensemble})
    manifest = tiny.manifest.model_copy(update={"exits": (joined,)})
    arrays = {key: array.copy() for key, array in tiny.arrays(FILE).items()}
    for key in list(arrays):
        if key.startswith("answers/"):
            arrays[key.replace("answers", "together")] = arrays[key].copy()
    (tmp_path / FILE).write_bytes(save(arrays))
    bundle = Bundle(manifest, tiny.digest, tmp_path)
    together = load_calibration(bundle).together
    assert {cut for cut, _ in together} == set(range(spec.boundary, max(tiny.cuts)))
    key = f"together/{spec.boundary}/lossless"
    wrong = {
        "beyond the classes": arrays[key] + 3,
        "short": arrays[key][1:].copy(),
        "floats": arrays[key].astype(np.float32),
    }
    if name == "absent":
        del arrays[key]
    else:
        arrays[key] = wrong[name]
    (tmp_path / FILE).write_bytes(save(arrays))
    with pytest.raises(BundleError):
        load_calibration(bundle)


def test_a_file_that_is_no_safetensors_is_refused(tiny: Bundle, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff" * 100)
    with pytest.raises(BundleError, match="cannot be read"):
        load_calibration(Bundle(tiny.manifest, tiny.digest, tmp_path))
    with pytest.raises(BundleError, match="holds no file"):
        tiny.arrays("other.safetensors")
