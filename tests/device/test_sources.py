import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from device.sources import open_source
from device.sources.frames import FileSource, StreamSource
from offramp.bundle import Boundary, Manifest, SegmentSpec
from offramp.errors import ConfigError, InputError
from offramp.tensors import TensorSpec

SHAPE = (8, 6, 3)


def manifest(dtype="uint8", shape=SHAPE):
    return Manifest(
        name="test",
        classes=("cat", "dog"),
        boundaries=(
            Boundary(tensors=(TensorSpec("image", dtype, shape),)),
            Boundary(tensors=(TensorSpec("logits", "float32", (2,)),)),
        ),
        segments=(SegmentSpec(folder="a", macs=1, reads=("image",), makes=("logits",)),),
        files={},
    )


def test_a_numpy_file_gives_its_rows(tmp_path):
    arrays = np.arange(3 * 8 * 6 * 3, dtype=np.uint8).reshape(3, *SHAPE)
    np.save(tmp_path / "x.npy", arrays)
    source = open_source(str(tmp_path / "x.npy"), manifest())
    samples = list(source)
    assert source.count == 3
    assert [sample.label for sample in samples] == [None] * 3
    assert (np.stack([sample.inputs[0] for sample in samples]) == arrays).all()


def test_an_npz_file_brings_labels(tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((2, *SHAPE), np.uint8), labels=[1, 0])
    assert [s.label for s in open_source(str(tmp_path / "x.npz"), manifest())] == [1, 0]


def test_an_npz_file_holds_each_input_by_its_name(tmp_path):
    np.savez(tmp_path / "x.npz", mask=np.ones((2, 5)), tokens=np.zeros((2, 3)), labels=[1, 0])
    samples = list(FileSource(tmp_path / "x.npz", ["tokens", "mask"]))
    assert [[array.shape for array in s.inputs] for s in samples] == [[(3,), (5,)]] * 2
    assert [s.label for s in samples] == [1, 0]


def test_one_input_may_have_its_own_name(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((2, *SHAPE), np.uint8))
    assert open_source(str(tmp_path / "x.npz"), manifest()).count == 2


def test_inputs_of_one_file_have_equal_numbers_of_samples(tmp_path):
    np.savez(tmp_path / "x.npz", mask=np.ones((2, 5)), tokens=np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"\(3, 3\) and \(2, 5\) hold no equal number"):
        FileSource(tmp_path / "x.npz", ["tokens", "mask"])


def test_frames_on_a_stream_come_one_after_the_other():
    stream = io.BytesIO()
    for at in range(3):
        np.save(stream, np.full(SHAPE, at, np.uint8))
    stream.seek(0)
    assert [sample.inputs[0].max() for sample in StreamSource(stream)] == [0, 1, 2]


def test_a_stream_cut_short_says_so():
    stream = io.BytesIO()
    np.save(stream, np.zeros(SHAPE, np.uint8))
    short = io.BytesIO(stream.getvalue() * 2)
    short.truncate(len(stream.getvalue()) + 40)
    source = iter(StreamSource(short))
    next(source)
    with pytest.raises(InputError, match="standard input: not a whole array"):
        next(source)


@pytest.mark.parametrize("shape", ["(2, True)", "(False, 3)", "(2, 9" + "9" * 30 + ")", "(-1,)"])
def test_a_stream_whose_header_lies_says_so(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    stream = io.BytesIO(b"\x93NUMPY\x01\x00v\x00" + header.encode() + bytes(24))
    with pytest.raises(InputError, match="standard input: not a whole array"):
        list(StreamSource(stream))


def test_a_folder_of_images_is_resized_and_labelled_by_its_sub_folders(tmp_path):
    for folder in ("cat", "dog", "other"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / folder / "a.png")
    samples = list(open_source(str(tmp_path), manifest()))
    assert [sample.label for sample in samples] == [0, 1, None]
    assert all(sample.inputs[0].shape == SHAPE for sample in samples)
    assert all((sample.inputs[0][..., 0] == 255).all() for sample in samples)


def test_a_data_function_is_a_source():
    source = open_source("tests_data_for_sources:pair", manifest())
    assert [(s.inputs[0].shape, s.label) for s in source] == [(SHAPE, 0), (SHAPE, 1)]


@pytest.fixture(autouse=True)
def _module(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("module")
    text = (
        "import numpy as np\n\ndef pair():\n    return np.zeros((2, 8, 6, 3), np.uint8), [0, 1]\n"
    )
    (folder / "tests_data_for_sources.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


def other_keys(path):
    np.savez(path, images=np.zeros((3, 2)), labels=[0, 1, 2])


def no_key(path):
    np.savez(path)


def labels_of_other_length(path):
    np.savez(path, inputs=np.zeros((3, 2)), labels=[0, 1])


def labels_of_floats(path):
    np.savez(path, inputs=np.zeros((2, 2)), labels=[0.5, 1])


def labels_in_rows(path):
    np.savez(path, inputs=np.zeros((2, 2)), labels=[[0], [1]])


def garbage(path):
    path.write_bytes(b"garbage" * 100)


def cut_off(path):
    np.savez(path, inputs=np.zeros((3, 2)))
    path.write_bytes(path.read_bytes()[:-50])


def pickled(path):
    np.savez(path, inputs=np.array([{}], dtype=object), allow_pickle=True)


def encrypted(path):
    np.savez(path, inputs=np.zeros((3, 2)))
    path.write_bytes(marked(path.read_bytes(), flags=1))


def strongly_encrypted(path):
    np.savez(path, inputs=np.zeros((3, 2)))
    path.write_bytes(marked(path.read_bytes(), flags=0x40))


def marked(archive, flags):
    """Sets flags of every entry of a zip file, beside its data and in the list at the end."""
    archive = bytearray(archive)
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(magic) + place] |= flags
    return bytes(archive)


def no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs", "hello")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (other_keys, "holds images, labels, but no array of the name image"),
        (no_key, "holds nothing, but no array of the name image"),
        (labels_of_other_length, r"labels are int64 of shape \(2,\) for 3 inputs"),
        (labels_of_floats, r"labels are float64 of shape \(2,\)"),
        (labels_in_rows, r"labels are int64 of shape \(2, 1\)"),
        (garbage, "not a whole numpy file of numbers; write it with numpy.save or numpy.savez"),
        (cut_off, "not a whole numpy file"),
        (pickled, "not a whole numpy file"),
        (encrypted, "not a whole numpy file"),
        (strongly_encrypted, "not a whole numpy file"),
        (no_array, "arrays of shape .* hold no equal number"),
    ],
)
def test_a_file_of_something_else_is_one_clear_error(tmp_path, make, said):
    path = tmp_path / "x.npz"
    make(path)
    with pytest.raises(InputError, match=rf"x\.npz: {said}") as caught:
        open_source(str(path), manifest())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.npy", "nowhere.npz"])
def test_a_file_that_is_not_there_is_a_wrong_setting(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"{name}: cannot be read \(No such file"):
        open_source(str(tmp_path / name), manifest())


def test_what_is_no_source_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"'what\?' is no folder"):
        open_source("what?", manifest())
    with pytest.raises(ConfigError, match="no image"):
        open_source(str(tmp_path), manifest())
    with pytest.raises(InputError, match="uint8"):
        open_source(str(tmp_path), manifest("float32", (3, 8, 6)))


def test_a_broken_image_is_named_before_the_first_is_taken(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match=r"b\.png: not an image"):
        open_source(str(tmp_path), manifest())


def saved(format, mode="L"):
    file = io.BytesIO()
    Image.new(mode, (11, 9), 7).save(file, format)
    return file.getvalue()


BROKEN = {
    "a.png": saved("PNG")[:8] + b"\x00\x00\x00\x05" + saved("PNG")[12:],  # a header cut short
    "d.bmp": saved("BMP")[:46] + b"\x00\x09" + saved("BMP")[48:],  # 2,304 colours
    "e.tif": saved("TIFF").replace(b"\x00\x01\x04\x00", b"\x00\x01\x05\x00", 1),  # a ratio wide
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_image_that_is_broken_somewhere_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(InputError, match=rf"{name}: not an image"):
        list(open_source(str(tmp_path), manifest()))


def test_an_image_that_is_cut_off_is_named_where_it_is_read(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    source = open_source(str(tmp_path), manifest())
    with pytest.raises(InputError, match=r"a\.png: not an image"):
        list(source)
