"""Parts: what a device needs of a bundle, for every backend there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp import backends
from offramp.backends import BACKENDS, Backend
from offramp.bundle import (
    Boundary,
    Bundle,
    ExitSpec,
    FileEntry,
    Manifest,
    SegmentSpec,
    open_bundle,
)
from offramp.bundle.archive import MANIFEST
from offramp.bundle.part import device_part, engines_of
from offramp.bundle.quantised import Quantised
from offramp.errors import BundleError
from offramp.network import Network
from offramp.tensors import TensorSpec

ENTRY = FileEntry(bytes=1, sha256="0" * 64)
SHARED = ["calibration.safetensors", "codecs.safetensors", "examples.safetensors", "graph.json"]


def manifest(*files: str, quantised: Quantised | None = None) -> Manifest:
    boundary = Boundary(tensors=(TensorSpec("x", "float32", (2,)),))
    return Manifest(
        name="parts",
        boundaries=(boundary,) * 3,
        segments=tuple(
            SegmentSpec(folder=folder, macs=1, reads=("x",), makes=("x",))
            for folder in ("s0", "s1")
        ),
        exits=(ExitSpec(name="e", boundary=1, tensor="x", folder="e0", macs=1),),
        quantised=quantised,
        files=dict.fromkeys([*SHARED, *files], ENTRY),
    )


@pytest.mark.parametrize("engine", BACKENDS.values(), ids=BACKENDS)
def test_a_device_needs_its_programs_their_weights_and_what_all_share(
    engine: Backend, quantised: Quantised
) -> None:
    own = [name for folder in ("s0", "s1", "e0") for name in engine.files(folder)]
    others = [
        other.files(folder)[0]
        for other in BACKENDS.values()
        for folder in ("s0", "s1", "e0")
        if other.files(folder)[0] not in own
    ]
    bundle = manifest(*own, *others, quantised=None if engine.exact else quantised)
    assert sorted(device_part(bundle, [engine])) == sorted({*own, *SHARED[:3]})
    assert engine.name in engines_of(bundle)


@pytest.mark.parametrize("engine", BACKENDS.values(), ids=BACKENDS)
def test_a_bundle_without_a_program_for_the_engine_is_refused(engine: Backend) -> None:
    first, *_ = engine.files("s0")
    with pytest.raises(
        BundleError, match=f"no head for {engine.name}; its heads are made for none"
    ):
        device_part(manifest(first), [engine])
    assert engine.name not in engines_of(manifest(first))


def test_the_first_engine_that_can_is_taken() -> None:
    programs = [BACKENDS["torch"].files(folder)[0] for folder in ("s0", "s1", "e0")]
    bundle = manifest(*programs, "s0/model.onnx")
    both = [BACKENDS["onnxruntime"], BACKENDS["torch"]]
    assert sorted(device_part(bundle, both)) == sorted([*programs, *SHARED[:3]])
    with pytest.raises(BundleError, match="no head for any backend installed here"):
        device_part(bundle, [])


def test_weights_that_no_program_has_are_not_asked_for() -> None:
    engine = BACKENDS["onnxruntime"]
    programs = [engine.files(folder)[0] for folder in ("s0", "s1", "e0")]
    part = device_part(manifest(*programs, "s1/weights.safetensors"), [engine])
    assert "s1/weights.safetensors" in part
    assert "s0/weights.safetensors" not in part


def _fetched(whole: Bundle, engine: Backend, folder: Path) -> Bundle:
    """Open a folder that holds what a device with one backend fetches."""
    for name in [*device_part(whole.manifest, [engine]), MANIFEST]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((whole.folder / name).read_bytes())
    return open_bundle(folder)


@pytest.mark.parametrize(
    "engine",
    [engine for engine in backends.installed() if engine.ready_at_once],
    ids=lambda engine: engine.name,
)
def test_the_part_of_an_engine_is_enough_to_run(
    engine: Backend, tiny: Bundle, tiny_int8: Bundle, tmp_path: Path
) -> None:
    bundle = tiny if engine.exact else tiny_int8
    part = _fetched(bundle, engine, tmp_path)
    whole, alone = Network(bundle, engine.name), Network(part, engine.name)
    assert (whole.run(0, 3, bundle.examples)[0] == alone.run(0, 3, part.examples)[0]).all()
    assert alone.exit_logits(0, alone.run(0, 1, part.examples)).shape == (4, 3)


def test_a_quantised_head_takes_no_float_program_and_no_float_weights(
    tiny_int8: Bundle, tmp_path: Path
) -> None:
    manifest = tiny_int8.manifest
    part = device_part(manifest, backends.installed())
    programs = {f"{program.folder}/int8.onnx" for program in manifest.programs}
    assert set(part) == {*programs, *SHARED[:3]}
    fetched = _fetched(tiny_int8, BACKENDS["onnxruntime_int8"], tmp_path)
    assert Network(fetched).backend == "onnxruntime_int8"
    with pytest.raises(BundleError) as caught:
        device_part(manifest, [BACKENDS["onnxruntime"]])
    assert str(caught.value) == (
        "bundle 'tiny' has no head for onnxruntime; its heads are made for onnxruntime_int8"
    )


def test_int8_programs_are_for_no_bundle_that_is_not_calibrated_with_them() -> None:
    programs = [f"{folder}/int8.onnx" for folder in ("s0", "s1", "e0")]
    with pytest.raises(
        BundleError, match="no head for onnxruntime_int8; its heads are made for none"
    ):
        device_part(manifest(*programs), [BACKENDS["onnxruntime_int8"]])


def test_another_engine_finds_its_programs_missing(tiny: Bundle, tmp_path: Path) -> None:
    part = Bundle(tiny.manifest, tiny.digest, tmp_path)
    with pytest.raises(BundleError, match="is not here, only the part that a device with another"):
        Network(part)


def test_the_first_backend_whose_programs_are_here_runs(tiny: Bundle, tmp_path: Path) -> None:
    assert Network(tiny).backend == "onnxruntime"
    assert Network(_fetched(tiny, BACKENDS["torch"], tmp_path)).backend == "torch"


def test_a_folder_that_lacks_a_file_of_every_part_is_refused(tiny: Bundle, tmp_path: Path) -> None:
    _fetched(tiny, BACKENDS["torch"], tmp_path)
    (tmp_path / "calibration.safetensors").unlink()
    with pytest.raises(BundleError, match=r"is missing; get the bundle again"):
        open_bundle(tmp_path)


def test_a_bundle_for_other_backends_says_for_which(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "installed", list)
    monkeypatch.setattr("offramp.bundle.archive.installed", list)
    made_for = ", ".join(name for name, engine in BACKENDS.items() if engine.exact)
    with pytest.raises(BundleError, match=f"made for {made_for}; install"):
        Network(tiny)
