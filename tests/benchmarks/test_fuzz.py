"""No target does harm, whatever it reads; and what would is found."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks import fuzz
from benchmarks.fuzzing import messages, trial
from benchmarks.fuzzing.frames import FRAME, attack_on, every_subject
from benchmarks.fuzzing.mutation import Mutator
from benchmarks.fuzzing.record import Record, last_input, read_figures, tried
from benchmarks.fuzzing.registry import every_target, find_target
from benchmarks.fuzzing.target import Attack
from benchmarks.fuzzing.trial import Tally, attempt
from offramp import codecs
from offramp.codecs.coded import CodedCodec
from offramp.codecs.context import Context
from offramp.errors import ConfigError, FrameError
from protos.offramp.v1 import admin_pb2 as admin_pb
from protos.offramp.v1 import inference_pb2 as pb

REPOSITORY = Path(__file__).parents[2]
MOST = 250
NAMES = [target.name for target in every_target()]

READS = re.compile(
    r"\b(?:read_file|open_file|load_settings|load_texts|load_arrays|load_file|safe_open)\("
    r"|\.(?:read_bytes|read_text|model_validate_json|from_proto)\("
    r'|\b(?:json\.loads?|np\.load|Image\.open|ZipFile)\(|\.open\("rb"\)'
)
ELSEWHERE = {
    "device.administrator": "gRPC; the messages are a target",
    "device.bundles_command": "reads no file of settings",
    "device.depot": "gRPC; the messages are a target",
    "device.line": "gRPC; the messages are a target",
    "device.sources": "looks whether a file is there",
    "edge_server.files": "sends what a checked bundle holds",
    "edge_server.service": "gRPC; the messages are a target, and the live attack",
    "edge_server.processor": "the system's own",
    "offramp.capture.exporters.onnx": "what the exporter has just written",
    "offramp.capture.quantisation": "what the quantiser has just written",
    "offramp.codecs.image": "frames of pictures are targets",
    "offramp.demo.live": "what the demo's own agent has just written",
    "offramp.demo.processes": "what the demo's own processes say",
    "offramp.demo.samples": "a file of this package",
    "offramp.demo.steps": "what the demo's own agent has just written",
    "offramp.files": "gives the bytes to its callers",
    "offramp.guarantee.calibrating": "copies files of an open bundle",
    "offramp.memory": "the system's own",
    "offramp.report.page": "files of this package",
    "partitioner.machine": "the system's own",
    "partitioner.power_meter": "the system's own",
    "sim.world.sources": "only the digest of a file",
}
NO_VALUES = {
    "StreamRequest": "one of the others",
    "StreamResponse": "one of the others",
    "Status": "read as a part of the answer",
    "DescribeRequest": "is empty",
    "ListBundlesRequest": "is empty",
    "LoadBundleRequest": "nothing but a path, which is a target",
    "LoadBundleResponse": "nothing but one of the others",
    "UnloadBundleRequest": "nothing but a digest, which is looked up",
    "UnloadBundleResponse": "nothing but a truth value",
    "FileChunk": "nothing but bytes, which are checked against their digest",
}


def fuzzed(attack: Attack, inputs: int, seed: int = 3) -> Tally:
    mutator, random, tally = Mutator(attack.seeds), Random(seed), Tally()
    for _ in range(inputs):
        attempt(attack, mutator.any(random), tally)
    return tally


@pytest.mark.filterwarnings("ignore")  # readers warn of what they then read or refuse
@pytest.mark.parametrize("name", NAMES)
def test_no_input_does_harm(name, tmp_path, monkeypatch):
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "place").mkdir()
    target = find_target(name)
    attack = target.build(tmp_path / "place")
    seeds = Tally()
    for data in attack.seeds:
        attempt(attack, data, seeds)
    assert seeds.findings == {}
    assert seeds.accepted >= len(attack.seeds) // 4
    tally = fuzzed(attack, min(20 * target.weight, MOST))
    assert tally.findings == {}
    assert tally.inputs - tally.accepted > 0


def test_every_codec_is_a_target():
    subjects = every_subject()
    kinds = {subject.kind for subject in subjects}
    assert [one.codec.name for one in subjects if not one.reference] == codecs.names()
    changing = [name for name in codecs.names() if isinstance(codecs.get(name), CodedCodec)]
    assert [one.codec.name for one in subjects if one.reference] == changing
    assert kinds <= set(NAMES)


def test_every_message_is_a_target():
    read = {message.DESCRIPTOR.name for message, _ in messages.kinds()}
    every = {*pb.DESCRIPTOR.message_types_by_name, *admin_pb.DESCRIPTOR.message_types_by_name}
    assert read | set(NO_VALUES) == every
    assert not read & set(NO_VALUES)


def test_every_reader_is_a_target():
    """Whatever reads bytes that it did not make itself is in the registry, or is said why not."""
    attacked = {reader for target in every_target() for reader in target.readers}
    packages = ("offramp", "partitioner", "device", "edge_server", "sim")
    reading = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for package in packages
        for path in (REPOSITORY / package).rglob("*.py")
        if READS.search(path.read_text())
    }
    assert reading - attacked - set(ELSEWHERE) == set(), "add a target in benchmarks/fuzzing"
    assert set(ELSEWHERE) - reading == set()
    assert not attacked & set(ELSEWHERE)


class Careless(Context):
    def decode(self, payload, spec):
        raise IndexError("out of bounds")


def attacked(kind=Context, **changed):
    sound = next(one for one in every_subject() if isinstance(one.codec, Context))
    codec = sound.codec
    other = kind(codec.name, codec.id, codec.lossless, codec.learnt, codec.change)
    return attack_on([replace(sound, codec=other, **changed)])


def test_another_error_is_found():
    (finding,) = fuzzed(attacked(Careless), 100).findings.values()
    assert finding.said.endswith(
        "IndexError at " + finding.where.split(" at ")[1] + ": out of bounds"
    )
    with pytest.raises(IndexError):
        attacked(Careless).read(finding.data)


def test_another_tensor_is_found():
    subject = next(one for one in every_subject() if isinstance(one.codec, Context))
    attack = attacked(decoded=tuple(sample + 1 for sample in subject.decoded))
    tally = Tally()
    attempt(attack, bytes((0, FRAME, 0)) + subject.frames[0], tally)
    (finding,) = tally.findings.values()
    assert "silently another tensor" in finding.said


@pytest.mark.parametrize(
    "subject", [s for s in every_subject() if s.reference], ids=lambda s: s.name
)
def test_a_change_is_refused_with_another_reference(subject):
    attack = attack_on([subject])
    frame = subject.frames[0]
    attack.read(bytes((0, FRAME, 0)) + frame)
    for number in range(3):
        with pytest.raises(FrameError):
            attack.read(bytes((0, 1, number)) + frame)


def test_what_takes_long_is_found(monkeypatch):
    monkeypatch.setattr(trial, "LONGEST_S", 0.01)

    def slow(data):
        end_s = time.thread_time() + 0.02
        while time.thread_time() < end_s:
            pass

    tally = Tally()
    attempt(Attack((b"a",), slow), b"a", tally)
    assert list(tally.findings) == ["slow"]
    assert tally.longest_s >= 0.02


def test_a_finding_at_one_place_counts_once():
    def wrong(data):
        raise ValueError(data)

    tally = fuzzed(Attack((b"some seed",), wrong), 50)
    assert len(tally.findings) == 1
    assert (tally.inputs, tally.accepted) == (50, 0)


def test_altered_bytes_are_almost_always_others():
    mutator, random = Mutator([bytes(range(60)), b"", b"key: value"]), Random(0)
    others = [mutator.alter(bytes(range(60)), random) for _ in range(500)]
    assert sum(one == bytes(range(60)) for one in others) < 25
    assert len(set(others)) > 400
    assert max(map(len, others)) <= mutator.longest_bytes
    assert [Mutator([b"abc"]).any(Random(7)) for _ in range(2)] == [
        Mutator([b"abc"]).any(Random(7))
    ] * 2


def test_the_record_outlives_what_ends_the_process(tmp_path):
    def read(data):
        if data == b"end":
            assert tried(tmp_path) == 1
            assert last_input(tmp_path) == b"end"
            raise ConfigError("refused")

    record = Record(tmp_path, Attack((b"a",), read), 3)
    assert tried(tmp_path) == 0
    for data in (b"a long one", b"end"):
        record.take(data)
        assert read_figures(tmp_path) is None
    record.take(b"c")
    record.take(b"one too many")
    figures = read_figures(tmp_path)
    assert (figures["inputs"], figures["accepted"], tried(tmp_path)) == (3, 2, 3)
    assert figures["warm_bytes"] > 1 << 20


def test_inputs_are_shared_out_by_weight():
    targets = every_target()
    shares = fuzz.share_out(targets, 100_000)
    assert 100_000 <= sum(shares) <= 100_000 + len(targets)
    assert min(shares) > 0
    assert shares[NAMES.index("messages")] > 10 * shares[NAMES.index("PNG images")]


def test_memory_may_not_grow():
    assert not fuzz.grown(100 << 20, 106 << 20)
    assert fuzz.grown(100 << 20, 110 << 20)


@pytest.mark.e2e
def test_a_run_attacks_a_target_and_says_what_became_of_it(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.fuzz", "--inputs", "300", "--target", "addresses"]
    done = subprocess.run(
        [*command, "--json", str(figures)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fuzz: 300 inputs to 1 targets" in done.stdout
    (target,) = json.loads(figures.read_text())["targets"]
    assert target["inputs"] == 300
    assert 0 < target["accepted"] < 300
