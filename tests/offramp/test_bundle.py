"""Bundles: written once, read for ever, and never half-read."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_arrays

from offramp.bundle import Boundary, Bundle, SegmentSpec, open_bundle, write_bundle
from offramp.bundle.archive import MANIFEST
from offramp.bundle.manifest import decode_manifest, encode_manifest
from offramp.errors import BundleError, ConfigError
from offramp.tensors import TensorSpec

GOLDEN_DIGEST = "1c22dd1b58662de4d3bfefb8789179e1d0c6fd70d67dc13af888255842de5883"
FIELDS: dict[str, Any] = {
    "name": "golden",
    "classes": ("cat", "dog"),
    "card": {"data": "none"},
    "boundaries": (
        Boundary(tensors=(TensorSpec("image", "uint8", (2, 2)),), levels={"raw": ({},)}),
        Boundary(tensors=(TensorSpec("logits", "float32", (2,)),)),
    ),
    "segments": (SegmentSpec(folder="segments/00", macs=8, reads=("image",), makes=("logits",)),),
}
FILES = {"segments/00/weights.bin": bytes(range(256)) * 8, "notes.txt": b"hello\n"}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path / "cache"))
    write_bundle(tmp_path / "golden.offramp", FIELDS, FILES)
    return tmp_path / "golden.offramp"


@pytest.fixture
def folder(path: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    return tmp_path / "folder"


def _refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _cached(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.name != ".locks"]


def test_what_is_written_is_read(path: Path, tmp_path: Path) -> None:
    manifest, digest = write_bundle(tmp_path / "deep" / "again.offramp", FIELDS, FILES)
    bundle = open_bundle(tmp_path / "deep" / "again.offramp")
    assert (bundle.manifest, bundle.digest) == (manifest, digest)
    assert list(bundle.cuts) == [0, 1]
    for name, data in FILES.items():
        assert bundle.path(name).read_bytes() == data
    with pytest.raises(BundleError, match="holds no file 'other'"):
        bundle.path("other")


def test_a_file_that_was_not_fetched_is_named(path: Path) -> None:
    bundle = open_bundle(path)
    bundle.path("notes.txt").unlink()
    with pytest.raises(BundleError, match=r"notes.txt of bundle .* use the whole bundle file"):
        bundle.path("notes.txt")


def test_equal_content_gives_equal_bytes_and_the_digest_of_yesterday(
    path: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.offramp"
    _, digest = write_bundle(again, dict(reversed(FIELDS.items())), dict(reversed(FILES.items())))
    assert again.read_bytes() == path.read_bytes()
    assert digest == GOLDEN_DIGEST
    _, other = write_bundle(again, FIELDS, {**FILES, "notes.txt": b"hallo\n"})
    assert other != digest


def test_a_folder_is_a_bundle_too(path: Path, folder: Path) -> None:
    from_file, from_folder = open_bundle(path), open_bundle(folder)
    assert replace(from_file, folder=folder) == from_folder
    assert from_file.folder.parent == Path(os.environ["OFFRAMP_CACHE"])


def test_a_compiled_bundle_gives_its_examples(tiny: Bundle) -> None:
    (images,) = tiny.examples
    assert images.shape == (4, 8, 8, 3)
    assert images.dtype == np.uint8


EXAMPLES: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "none": ({"image": np.zeros((0, 2, 2), np.uint8)}, "one at least"),
    "no batch": ({"image": np.zeros((), np.uint8)}, "one at least"),
    "shape": ({"image": np.zeros((1, 2, 3), np.uint8)}, r"shape \(2, 2\), not uint8 of shape"),
    "dtype": ({"image": np.zeros((1, 2, 2), np.float32)}, "must be uint8 .*, not float32"),
    "name": ({"picture": np.zeros((1, 2, 2), np.uint8)}, "there is no tensor 'image'"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_that_the_model_does_not_take_are_refused(name: str, path: Path) -> None:
    arrays, said = EXAMPLES[name]
    write_bundle(path, FIELDS, {**FILES, "examples.safetensors": save_arrays(arrays)})
    with pytest.raises(BundleError, match=rf"examples\.safetensors: .*{said}.*; compile the"):
        _ = open_bundle(path).examples


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_file_is_refused(tenth: int, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * tenth // 10])
    assert str(path) in _refused(path)


def _flip(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_flipped_byte_is_refused_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("flipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFRAMP_CACHE", str(home / "cache"))
        path = home / "flipped.offramp"
        manifest, digest = write_bundle(path, FIELDS, FILES)
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(_flip(whole, at, data.draw(st.integers(1, 255))))
        try:
            bundle = open_bundle(path)
        except BundleError:
            return
        assert (bundle.manifest, bundle.digest) == (manifest, digest)
        assert all(bundle.path(name).read_bytes() == FILES[name] for name in FILES)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=300))
def test_garbage_is_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    (folder / MANIFEST).write_bytes(data)
    _refused(folder)
    _refused(folder / MANIFEST)


def test_files_in_a_folder_are_checked(folder: Path) -> None:
    file = folder / "notes.txt"
    file.write_bytes(b"hello!")
    assert "does not match its digest" in _refused(folder)
    file.write_bytes(b"hello")
    assert "does not have the size" in _refused(folder)
    file.unlink()
    assert "notes.txt is missing; get the bundle again" in _refused(folder)
    (folder / MANIFEST).unlink()
    assert "is a folder without a manifest.json" in _refused(folder)


def test_a_folder_that_holds_bundles_is_told_which_may_be_meant(tmp_path: Path) -> None:
    assert _refused(tmp_path).endswith(
        "it is no bundle; name a bundle, NAME.offramp, or a folder that one was unpacked to"
    )
    for name in ("b.offramp", "a.offramp", "notes.txt"):
        (tmp_path / name).touch()
    assert _refused(tmp_path).endswith(f"name a bundle, such as {tmp_path / 'a.offramp'}")


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    for name in ("absent.offramp", "long" * 1000, "null\0byte"):
        with pytest.raises(ConfigError, match=r"cannot be read .*; name a file that is there"):
            open_bundle(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("other.txt", "hello")
    assert "not a whole bundle" in _refused(tmp_path / "other.zip")


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(plain: Any) -> None:
        for step in path[:-1]:
            plain = plain[step]
        plain[path[-1]] = to

    return change


def _rename_file(to: str) -> Callable[[Any], None]:
    return lambda plain: plain["files"].update({to: plain["files"].pop("notes.txt")})


ALONE = {"cut": 1, "thresholds": [], "accuracy_drop": 0, "left_share": 0}
SENDS = {**ALONE, "cut": 0, "level": "raw"}


def _allow(*plans: Any, **fields: Any) -> Callable[[Any], None]:
    return _set("allowed", to={"samples": 10, "plans": plans, **fields})


MANIFESTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "newer": ("install a newer Offramp", _set("format", to=2)),
    "no version": ("not an Offramp manifest", _set("format", to="1")),
    "unknown key": ("unknown key 'speed'", _set("speed", to=1)),
    "unknown key of an entry": ("unknown key", _set("files", "notes.txt", "mode", to=7)),
    "unknown key of a tensor": ("extra", _set("boundaries", 0, "tensors", 0, "extra", to=1)),
    "size": ("does not have the size", _set("files", "notes.txt", "bytes", to=7)),
    "negative size": ("bytes", _set("files", "notes.txt", "bytes", to=-1)),
    "digest": ("does not match", _set("files", "notes.txt", "sha256", to="0" * 64)),
    "upper case": ("sha256", _set("files", "notes.txt", "sha256", to="A" * 64)),
    "climbs": ("not allowed", _rename_file("../notes.txt")),
    "climbs inside": ("not allowed", _rename_file("a/../../notes.txt")),
    "absolute": ("not allowed", _rename_file("/tmp/notes.txt")),
    "hidden": ("not allowed", _rename_file(".notes.txt")),
    "ends its line": ("not allowed", _rename_file("notes.txt\n")),
    "backslash": ("not allowed", _rename_file("..\\notes.txt")),
    "absent file": ("get the bundle again|cannot be read", _rename_file("other.txt")),
    "no name": ("name: '' is no name", _set("name", to="")),
    "a blank name": ("name: ' ' is no name", _set("name", to=" ")),
    "a long name": (r"'n{40}'\.\.\. is no name", _set("name", to="n" * 201)),
    "a name that clears the screen": (r"'net\\x1b\[2J' is no name", _set("name", to="net\x1b[2J")),
    "a name of two lines": ("is no name", _set("name", to="net\nlistening on")),
    "a name that turns round": ("is no name", _set("name", to="net\u202egpj")),
    "an exit's name": (r"exits\.0\.name: '\\x07' is no name", _set("exits", to=[
        {"name": "\a", "boundary": 1, "tensor": "image", "folder": "e", "macs": 1}])),
    "folder climbs": ("folder", _set("segments", 0, "folder", to="../x")),
    "boundary too many": ("one boundary more", lambda plain: plain["boundaries"].append(
        plain["boundaries"][1])),
    "exit on the input": ("between two segments", _set("exits", to=[
        {"name": "e", "boundary": 0, "tensor": "image", "folder": "e", "macs": 1,
         "temperature": 1.0}])),
    "a segment from nowhere": (
        "does not lead from boundary 0 to 1", _set("segments", 0, "reads", to=["other"])),
    "a segment to nowhere": (
        "does not lead from boundary 0 to 1", _set("segments", 0, "makes", to=["other"])),
    "dtype": ("dtype 'object'", _set("boundaries", 0, "tensors", 0, "dtype", to="object")),
    "shape": ("sides must be positive", _set("boundaries", 0, "tensors", 0, "shape", to=[0])),
    "many elements": ("too many", _set("boundaries", 0, "tensors", 0, "shape", to=[1 << 20] * 2)),
    "no tensors": ("boundaries", _set("boundaries", 0, "tensors", to=[])),
    "level of no tensor": ("each tensor", _set("boundaries", 0, "levels", "raw", to=[])),
    "temperature": ("temperature", _set("temperature", to=0)),
    "allowed nothing": ("allowed", _allow()),
    "allowed twice": ("an allowed plan is there twice", _allow(ALONE, ALONE)),
    "allowed thousands": ("plans must .*at most 1000", _allow(*[ALONE] * 1001)),
    "allowed alone nowhere": ("one at least must send nothing", _allow(SENDS)),
    "allowed beyond": ("is none of this model", _allow({**ALONE, "cut": 2})),
    "allowed at no level": ("is none of this model", _allow({**SENDS, "level": "other"}, ALONE)),
    "allowed too many exits": ("is none of this model", _allow({**ALONE, "thresholds": [0.5]})),
    "allowed to end nowhere": ("is none of this model", _allow({**ALONE, "cut": 0}, ALONE)),
    "allowed a threshold": ("thresholds", _allow({**ALONE, "thresholds": [-1.0]})),
    "allowed more than all": ("left_share", _allow({**ALONE, "left_share": 1.5})),
    "allowed beyond its reach": ("goes beyond cut 0", _allow(ALONE, reach=0)),
    "allowed to reach no exit": ("no exit to answer at", _allow(ALONE, reach=2)),
    "allowed of no samples": ("samples", _allow(ALONE, samples=0)),
    "limits of nothing": ("mean_s", _allow(ALONE, limits={"mean_s": 0})),
    "limits unheard": ("unknown key|extra", _allow(ALONE, limits={"joules": 1})),
    "promised all": ("max_accuracy_drop", _allow(
        ALONE, promised={"max_accuracy_drop": 1, "confidence": 0.9})),
    "a list": ("not an Offramp manifest", lambda plain: []),
    "deep": ("manifest is not JSON|recursion", lambda plain: "deep"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "weights", "said"),
    [
        ("tensor", {"exit": 1.0, "end": 1.0}, "have no classes to join"),
        ("class", {"exit": 0.0, "end": 1.0}, r"exits\.0\.ensemble\.exit"),
        ("class", {"exit": 1.0, "end": -1.0}, r"exits\.0\.ensemble\.end"),
        ("class", {"exit": 1.0, "end": 1e9}, r"exits\.0\.ensemble\.end"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused(
    answer: str, weights: dict[str, float], said: str, tiny: Bundle
) -> None:
    plain = json.loads(encode_manifest(tiny.manifest)[0])
    plain["exits"][0]["ensemble"] = {"exit": 0.5, "end": 0.5}
    manifest, _ = decode_manifest(json.dumps(plain).encode(), "here")
    cuts = {cut: manifest.ensemble_at(cut) for cut in manifest.cuts}
    first = manifest.exits[0].boundary
    assert {cut for cut, found in cuts.items() if found} == set(manifest.cuts[first:])
    plain["answer"], plain["exits"][0]["ensemble"] = answer, weights
    with pytest.raises(BundleError, match=said):
        decode_manifest(json.dumps(plain).encode(), "here")


@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_hostile_manifests_are_refused(name: str, form: str, folder: Path, tmp_path: Path) -> None:
    said, change = MANIFESTS[name]
    plain = json.loads((folder / MANIFEST).read_bytes())
    changed = change(plain)
    text = json.dumps(plain if changed is None else changed)
    if changed == "deep":
        text = '{"format":1,"name":' + "[" * 100_000
    (folder / MANIFEST).write_text(text)
    path = folder
    if form == "file":
        path = tmp_path / "hostile.offramp"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(folder / MANIFEST, MANIFEST)
            for file in FILES:
                archive.write(folder / file, file)
    with pytest.raises(BundleError, match=said) as caught:
        open_bundle(path)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.parent.glob("notes.txt"))


def test_a_bomb_is_not_unpacked(folder: Path, tmp_path: Path) -> None:
    """An entry that holds a gigabyte but says it is short costs no gigabyte."""
    path = tmp_path / "bomb.offramp"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / MANIFEST, MANIFEST)
        archive.write(folder / "segments/00/weights.bin", "segments/00/weights.bin")
        archive.writestr("notes.txt", bytes(64 << 20))
        archive.getinfo("notes.txt").file_size = 6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_a_damaged_cache_is_made_anew(path: Path) -> None:
    home = open_bundle(path).folder
    (home / "notes.txt").write_bytes(b"hallo\n")
    assert open_bundle(path).path("notes.txt").read_bytes() == b"hello\n"
    (home / "notes.txt").unlink()
    assert open_bundle(path).path("notes.txt").read_bytes() == b"hello\n"
    assert _cached(home.parent) == [home.name]


@pytest.mark.parametrize("at", ["cache", "cache/under", "home"])
def test_a_cache_that_cannot_be_written_is_named(
    at: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if at == "home":  # a file lies where the bundle's folder belongs
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / GOLDEN_DIGEST).write_text("in the way")
    else:
        (tmp_path / "cache").write_text("a file")
        monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path / at))
    said = _refused(path)
    assert "cannot be written" in said
    assert "OFFRAMP_CACHE" in said


def test_without_a_home_the_setting_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFRAMP_CACHE")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert "set OFFRAMP_CACHE" in _refused(path)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 1,000 bytes; only while nothing else in this process writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_half_written(path: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(4000)
    before = path.read_bytes()
    with full_disk():
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(tmp_path / "out" / "new.offramp", FIELDS, {"noise.bin": noise})
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(path, FIELDS, {"noise.bin": noise})
    assert list((tmp_path / "out").iterdir()) == []
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_unpacked_bundle(path: Path, tmp_path: Path) -> None:
    with full_disk():
        said = _refused(path)
    assert "cache: cannot be written" in said
    assert _cached(tmp_path / "cache") == []


def test_a_bundle_is_not_written_over_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path, FIELDS, FILES)
    assert not list(tmp_path.parent.glob(".*.partial"))


@pytest.mark.e2e
def test_processes_that_open_at_once_all_succeed(path: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from offramp.bundle import open_bundle\n"
    code += "sys.stdin.read(); b = open_bundle(Path(sys.argv[1])); print(b.digest)\n"
    code += "assert b.path('notes.txt').read_bytes() == b'hello\\n'"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate("go", timeout=60)[0] for process in processes]
    assert said == [f"{GOLDEN_DIGEST}\n"] * 3
    assert _cached(tmp_path / "cache") == [GOLDEN_DIGEST]
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_tensor_specs_check_themselves() -> None:
    with pytest.raises(ConfigError, match="float64"):
        TensorSpec("x", "float64", (1,))
    with pytest.raises(ConfigError, match="positive"):
        TensorSpec("x", "uint8", (1,) * 9)
    assert TensorSpec("x", "float32", (2, 3)).nbytes == 24
