"""Settings, references and samples: what a user gives, and what is said when it is wrong."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from offramp.errors import ConfigError, InputError
from offramp.references import call_reference, load_reference
from offramp.samples import as_labelled, as_samples, check_inputs
from offramp.settings import Settings, load_settings, load_texts
from offramp.tensors import TensorSpec


class Inner(Settings):
    port: Annotated[int, Field(ge=0)] = 1
    name: str = ""


class Example(Settings):
    address: str
    inner: Inner = Inner()
    number: float = 0.0
    several: tuple[tuple[float, ...], ...] = ()
    perhaps: Annotated[int, Field(ge=0)] | None = None
    switch: bool = False
    either: bool | float = 0.0


# Each line names the one before ten times: what looks at every value would not come to an end.
BOMB = "l0: &l0 [0]\n" + "".join(
    f"l{at}: &l{at} [{', '.join([f'*l{at - 1}'] * 10)}]\n" for at in range(1, 10)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def test_a_file_and_overrides_that_win(file: Path) -> None:
    file.write_text("address: here\ninner: {port: 7}\n")
    assert load_settings(Example, file) == Example(address="here", inner=Inner(port=7))
    assert load_settings(Example, file, {"address": "there", "inner": None}).address == "there"
    assert load_settings(Example, None, {"address": "x"}) == Example(address="x")


def test_a_truth_value_is_one_where_one_is_meant(file: Path) -> None:
    file.write_text("address: here\nswitch: true\neither: true\n")
    assert load_settings(Example, file) == Example(address="here", switch=True, either=True)


def test_a_merged_key_may_be_given_again(file: Path) -> None:
    file.write_text("inner: {<<: {port: 7, name: a}, name: b}\naddress: here\n")
    assert load_settings(Example, file).inner == Inner(port=7, name="b")


def test_overrides_win_key_by_key_below_too(file: Path) -> None:
    file.write_text("address: here\ninner: {port: 7, name: kept}\n")
    given = {"inner": {"port": 8, "name": None}}
    assert load_settings(Example, file, given).inner == Inner(port=8, name="kept")
    assert load_settings(Example, None, {"address": "here", **given}).inner == Inner(port=8)
    file.write_text("address: here\ninner: 3\n")
    with pytest.raises(ConfigError, match="inner must hold keys with values"):
        load_settings(Example, file, {"inner": {"name": None}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("addres: here", "unknown key 'addres'; did you mean 'address'"),
        ("address: here\ninner: {prt: 7}", r"unknown key 'inner\.prt'; did you mean 'port'"),
        ("inner: {prt: 7}", r"unknown key 'inner\.prt'"),
        (
            "example: {address: here, number: 1}",
            "unknown key 'example'; what stands below it belongs",
        ),
        (
            "inner: {inner: {port: 1}}\naddress: a",
            r"key 'inner\.inner'; what stands below it belongs",
        ),
        ("example: {address: here, nr: 1}", "unknown key 'example'; remove it or correct its name"),
        ("address: here\nq: 1", "unknown key 'q'; remove it or correct its name"),
        ("address: here\ninner: {1: 2}", r"inner\.1 must be a text, as every key"),
        ("address: here\nnumber: .nan", "number must be a finite number"),
        ("address: here\ninner: {port: many}", r"inner\.port must .*'many'"),
        ("address: here\ninner: {port: -1}", r"inner\.port must .*-1"),
        ("address: [here]", "address must be a text "),
        ("", "address is missing; add it"),
        ("# nothing\n", "address is missing; add it"),
        ("address: 'here", "not valid YAML at line 1"),
        ("a: b\n- c", "not valid YAML at line 2"),
        ("- address", "must hold keys with values"),
        ("3", "must hold keys with values"),
        ("3: 4", "must hold keys with values"),
        ("address: a\nnumber: 1\naddress: b", "line 3: the key 'address' stands on line 1 already"),
        ("address: a\ninner:\n  port: 1\n  port: 1", "line 4: the key 'port' stands on line 3"),
        ("address: a\ninner: {'port': 1, port: 2}", "line 2: the key 'port' stands on line 2"),
        ("address: a\nnumber: true", "number: true is no number; give one"),
        ("address: a\ninner: {port: off}", r"inner\.port: false is no number"),
        ("address: a\nseveral: [[1, 2.5], [yes]]", r"several\.1\.0: true is no number"),
        ("address: a\nperhaps: true", "perhaps: true is no number"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("address: 2026-13-45", r"cannot be read \(month must be in 1\.\.12\)"),
        ("address: " + "9" * 5000, "cannot be read"),
        ("address: !!float " + "x" * 1000, "cannot be read"),
        ("address: !!bool perhaps", "cannot be read"),
        ("address: " + "[" * 3000, "nested too deep"),
        ("address: &a [*a]", "more than 100000 values"),
        (BOMB, "more than 100000 values"),
        ("address: " + "x" * 10 + "\nother: " + "y" * 1000, "unknown key 'other'"),
        ("address: {a: " + "y" * 1000 + "}", r"address must .*\.\.\."),
    ],
)
def test_a_wrong_file_is_named_with_its_key(text: str, said: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings(Example, file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(file)) + 200


def test_an_alias_may_be_used_again(file: Path) -> None:
    file.write_text("address: &here a\nseveral: &some [[1, 2]]\n")
    assert load_settings(Example, file).several == ((1, 2),)
    file.write_text("address: &here a\ninner: &i {port: 1}\n<<: {inner: *i}\n")
    assert load_settings(Example, file).inner.port == 1


def test_a_file_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    absent = r"settings.yaml: cannot be read \(No such file or directory\); name a file"
    with pytest.raises(ConfigError, match=absent):
        load_settings(Example, file)
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        load_settings(Example, tmp_path)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text in UTF-8"):
        load_settings(Example, file)
    file.write_bytes(b"a: \x00")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_settings(Example, file)


def test_settings_without_a_file_are_checked_too() -> None:
    with pytest.raises(ConfigError, match="settings: unknown key 'x'"):
        load_settings(Example, None, {"address": "here", "x": 1})
    with pytest.raises(ValueError, match="frozen"):
        load_settings(Example, None, {"address": "here"}).address = "there"  # type: ignore[misc]


def test_texts_are_read_by_name(file: Path) -> None:
    file.write_text("data: made up\nrecipe: 'a\n\n  b'\n")
    assert load_texts(file) == {"data": "made up", "recipe": "a\nb"}
    file.write_text("data: 3\n")
    with pytest.raises(ConfigError, match=r"data must be a text \(given: 3\); quote it"):
        load_texts(file)


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    (tmp_path / "reference_target.py").write_text("def build(): return 42\nnumber = 3\n")
    (tmp_path / "reference_broken.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "reference_garbled.py").write_text("def (\n")
    (tmp_path / "reference_raising.py").write_text("raise RuntimeError('not today')\n")
    (tmp_path / "reference_leaving.py").write_text("import sys; sys.exit()\n")
    (tmp_path / "reference_left.py").write_text("def build(): raise SystemExit(0)\n")
    return tmp_path


def test_a_reference_is_found_in_the_working_folder(working_folder: Path) -> None:
    assert load_reference("reference_target:build")() == 42
    assert load_reference("pathlib:Path") is Path


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("reference_target", "form module:name"),
        (":build", "form module:name"),
        ("reference_target:", "form module:name"),
        ("", "form module:name"),
        ("no_such_module_anywhere:build", "no_such_module_anywhere"),
        ("reference_broken:build", "no_such_module_anywhere"),
        ("reference_garbled:build", "reference_garbled"),
        ("reference_raising:build", "not today"),
        ("reference_leaving:build", "SystemExit"),
        ("..reference_target:build", "cannot be imported"),
        ("./reference_target.py:build", "cannot be imported"),
        ("reference_target:absent", "no function or class 'absent'"),
        ("reference_target:number", "no function or class 'number'"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: str, said: str, working_folder: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_reference(reference)
    assert "\n" not in str(caught.value)


def test_a_function_that_ends_the_program_is_an_error(working_folder: Path) -> None:
    with pytest.raises(ConfigError, match="reference_left:build raised SystemExit: 0; correct"):
        call_reference("reference_left:build")


X, Y = np.zeros((3, 2), np.float32), np.array([0, 1, 2])


def test_samples_of_one_or_several_inputs() -> None:
    one = as_labelled((X, Y))
    assert len(one) == 3
    assert len(one[:2].inputs) == 1
    assert one[1:].labels.tolist() == [1, 2]
    several = as_labelled(([X, X], Y.astype(np.uint8)))
    assert len(several.inputs) == 2
    assert several.labels.dtype == np.int64


def test_inputs_are_given_by_place_then_by_name() -> None:
    for given, keywords in (
        (X, ()), ([X, X + 1], ()), ({"a": X, "b": X + 1}, ("a", "b")), ((X, {"b": X + 1}), ("b",)),
    ):  # fmt: skip
        samples = as_samples(given)
        assert samples.keywords == keywords
        assert len(samples.positional) + len(samples.keyword) == len(samples.inputs)
    assert (samples[1:].keyword["b"] == (X + 1)[1:]).all()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "pair"),
        (3, "pair"),
        ((X,), "pair"),
        ((X, Y, Y), "pair"),
        ((X, Y.astype(np.float32)), "labels must be integers"),
        ((X, Y[:, None]), "labels must be integers"),
        ((X[:0], Y[:0]), "there are 0 samples"),
        ((X, Y[:0]), "0 labels but 3 inputs"),
        ((X, "cat"), "labels must be integers"),
        ((X, [[1], [2, 3]]), "array"),
        ((X, Y - 1), "labels start at 0"),
        ((X[:2], Y), "3 labels but 2 inputs"),
        (([X, X[:2]], Y), "different numbers of samples: 3, 2"),
        ((np.float32(3.0), Y), "input 0 is a number"),
        (({"a": X, "b": X[:2]}, Y), "different numbers of samples: 3, 2"),
        (((), Y), "no input"),
        ((X.astype(np.float64), Y), "float64"),
        ((np.array(["a", "b", "c"]), Y), "one of float32"),
        ((np.array([{}, {}, {}]), Y), "object"),
        (([[[1], [2, 3], [4]]], Y), "array"),
    ],
)
def test_samples_that_cannot_be(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        as_labelled(value)
    assert "\n" not in str(caught.value)


def test_inputs_are_checked_against_the_model() -> None:
    specs = [TensorSpec("x", "float32", (2,))]
    check_inputs([X], specs)
    for inputs, said in (
        ([], "1 input tensors, not 0"),
        ([X, X], "not 2"),
        ([X[:0]], "no samples"),
        ([np.float32(1)], "no samples"),
        ([X[:, :1]], r"shape \(2,\), not float32 of shape \(1,\)"),
        ([X.astype(np.float16)], "must be float32"),
    ):
        with pytest.raises(InputError, match=said):
            check_inputs(inputs, specs)  # type: ignore[arg-type]


def test_a_copy_keeps_nothing_that_was_derived_from_other_values() -> None:
    class Box(Settings):
        side_m: float

        @cached_property
        def volume_m3(self) -> float:
            return self.side_m**3

    box = Box(side_m=2)
    assert box.volume_m3 == 8
    assert box.model_copy(update={"side_m": 3.0}).volume_m3 == 27
    assert box.volume_m3 == 8
