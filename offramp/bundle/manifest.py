"""The manifest: what a bundle holds, as checked plain data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from offramp.bundle.allowed import Allowed
from offramp.bundle.quantised import Quantised
from offramp.errors import BundleError
from offramp.names import check_name
from offramp.settings import describe_error
from offramp.tensors import TensorSpec

__all__ = [
    "FORMAT",
    "Boundary",
    "BottleneckSpec",
    "Ensemble",
    "ExitSpec",
    "FileEntry",
    "LaterExits",
    "Manifest",
    "ProgramSpec",
    "Proof",
    "SegmentSpec",
    "code_name",
    "decode_manifest",
    "encode_manifest",
]

FORMAT = 1
"""The version of the bundle format that this release writes and reads."""

PLAIN_POLICY = "confidence"
"""The exit policy of a manifest that names none; it is not written, so digests stay."""

MAX_FILE_BYTES = 2 << 30
MAX_BUNDLE_BYTES = 8 << 30

Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, AfterValidator(check_name)]
Folder = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)*$")]
_FILE_NAME = re.compile(r"^[a-z0-9_]+(/[a-z0-9_]+)*\.[a-z0-9]+$")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Model):
    """The size and SHA-256 (hex) of one file of the bundle."""

    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ProgramSpec(_Model):
    """A program in a folder; ``macs`` counts multiply-adds per sample.

    ``skipped`` maps each backend that cannot run it to the reason.
    """

    folder: Folder
    macs: Count
    skipped: dict[str, str] = {}


class BottleneckSpec(_Model):
    """A pair of programs by which one ``tensor`` of a boundary can cross as a ``latent``.

    The device's encoder makes the latent of the tensor, the server's decoder one like the tensor.
    """

    tensor: str
    latent: TensorSpec
    encoder: ProgramSpec
    decoder: ProgramSpec


class LaterExits(_Model):
    """When a sample that was sent is answered at an exit behind the cut, on the server.

    ``thresholds`` holds one for each exit behind the cut; above 1, nothing leaves there.
    `offramp.exits.later` has the rule. Of the calibration samples, ``worse`` are answered wrongly
    so that the end answers rightly, and ``better`` the other way round.
    """

    thresholds: Annotated[tuple[Annotated[float, Field(ge=0, le=2)], ...], Field(min_length=1)]
    worse: Count
    better: Count


class Boundary(_Model):
    """The tensors that cross one cut, and the codec levels calibrated for them.

    ``levels`` maps a level's name to the codec's parameters, one mapping for each tensor. Where
    there is a ``bottleneck``, some of them are levels of its latent. ``later`` has the levels
    behind which the server answers some samples at an exit; None where it does at no level.
    """

    tensors: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    levels: dict[str, tuple[dict[str, float], ...]] = {}
    bottleneck: BottleneckSpec | None = None
    later: Annotated[dict[str, LaterExits], Field(min_length=1)] | None = None

    @property
    def narrow(self) -> tuple[TensorSpec, ...]:
        """The tensors with the bottleneck's latent in the place of the one that it stands for."""
        pair = self.bottleneck
        return tuple(pair.latent if pair and t.name == pair.tensor else t for t in self.tensors)

    @property
    def names(self) -> frozenset[str]:
        """The tensors' names."""
        return frozenset(tensor.name for tensor in self.tensors)

    @property
    def nbytes(self) -> int:
        """The size of one uncompressed sample in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors)


class SegmentSpec(ProgramSpec):
    """The operations between two neighbouring cuts.

    ``reads`` names the tensors of the boundary before that it takes, ``makes`` those that it
    returns; the other tensors of the boundary behind cross it untouched.
    """

    reads: Annotated[tuple[str, ...], Field(min_length=1)]
    makes: tuple[str, ...]


class Ensemble(_Model):
    """The weights of an exit's logits and of the end's, where their sum answers better than either.

    `offramp.exits.ensemble` has the rule.
    """

    exit: Annotated[float, Field(gt=0, le=100)]
    end: Annotated[float, Field(ge=0, le=100)]


class ExitSpec(ProgramSpec):
    """An exit head that reads one ``tensor`` of a boundary.

    ``temperature`` divides its logits before they are compared. ``follows`` is the number of an
    earlier exit from whose code this one goes on: that one has to run before. With an ``ensemble``
    the end answers together with it, where it is the last exit before the cut and has run.
    """

    name: Name
    boundary: Count
    tensor: str
    follows: Count | None = None
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    ensemble: Ensemble | None = None


class Proof(_Model):
    """How far head + tail at ``cut`` is from the whole model, over all outputs and samples.

    ``max_relative_difference`` is the largest difference over the largest magnitude of the whole
    model's output, for the worst of the outputs.
    """

    backend: str
    cut: Count
    max_abs_difference: Annotated[float, Field(ge=0)]
    max_relative_difference: Annotated[float, Field(ge=0)]
    samples: Count


class Manifest(_Model):
    """What a bundle holds.

    There are K segments and K + 1 boundaries: boundary 0 is the model's input, boundary k lies
    between segments k - 1 and k, boundary K is the model's output, its answer first. The
    answer is a class's number where it is logits; else the tensor itself, and right if it is
    within `offramp.calibration.FAITHFUL` of the whole model's. ``gap`` is the largest share by
    which the best of these cuts is slower than the best of all cuts of the graph, as proposed.
    ``policy`` decides which samples leave at an exit; what it has learnt is in a file. Where some
    are ``allowed``, no other plans are made.
    ``quantised`` is there if the heads run on a backend that is not exact: the bundle is calibrated
    with such heads and exact tails.
    """

    format: Literal[1] = 1
    name: Name
    classes: tuple[str, ...] = ()
    card: dict[str, str] = {}
    boundaries: Annotated[tuple[Boundary, ...], Field(min_length=2)]
    segments: Annotated[tuple[SegmentSpec, ...], Field(min_length=1)]
    exits: tuple[ExitSpec, ...] = ()
    policy: Name = PLAIN_POLICY
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    answer: Literal["class", "tensor"] = "class"
    gap: Annotated[float, Field(ge=0)] = 0.0
    proofs: tuple[Proof, ...] = ()
    quantised: Quantised | None = None
    allowed: Allowed | None = None
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _fits_together(self) -> Manifest:
        if len(self.boundaries) != len(self.segments) + 1:
            raise ValueError("there must be one boundary more than there are segments")
        if any(not 0 < e.boundary < len(self.segments) for e in self.exits):
            raise ValueError("an exit lies on a boundary between two segments")
        if sorted(e.boundary for e in self.exits) != [e.boundary for e in self.exits]:
            raise ValueError("exits come in the order of their boundaries")
        for at, boundary in enumerate(self.boundaries):
            if len(boundary.names) != len(boundary.tensors):
                raise ValueError(f"two tensors of boundary {at} have one name")
            if any(len(given) != len(boundary.tensors) for given in boundary.levels.values()):
                raise ValueError("a level has parameters for each tensor of its boundary")
            pair = boundary.bottleneck
            if pair and (pair.tensor not in boundary.names or not 0 < at < len(self.segments)):
                raise ValueError(f"a bottleneck at boundary {at} has no tensor to stand for")
        for at, segment in enumerate(self.segments):
            before, behind = self.boundaries[at].names, self.boundaries[at + 1].names
            if not set(segment.reads) <= before or not behind <= before | set(segment.makes):
                raise ValueError(f"segment {at} does not lead from boundary {at} to {at + 1}")
        for number, spec in enumerate(self.exits):
            if spec.follows is not None and spec.follows >= number:
                raise ValueError(f"exit {spec.name!r} follows one that does not come before it")
            if spec.ensemble and self.answer == "tensor":
                raise ValueError(f"exit {spec.name!r} and the end have no classes to join")
            if spec.tensor not in self.boundaries[spec.boundary].names:
                raise ValueError(f"exit {spec.name!r} reads a tensor that its boundary lacks")
        total = sum(entry.bytes for entry in self.files.values())
        if total > MAX_BUNDLE_BYTES:
            raise ValueError(f"the files take {total} bytes; at most {MAX_BUNDLE_BYTES} may be")
        for path in self.files:
            if not _FILE_NAME.fullmatch(path):
                raise ValueError(f"file name {path!r} is not allowed")
        return self

    @model_validator(mode="after")
    def _has_its_later_exits(self) -> Manifest:
        for cut, boundary in enumerate(self.boundaries):
            able = set(self.later_exits(cut)) if boundary.later else set()
            for level, later in (boundary.later or {}).items():
                if level not in boundary.levels:
                    raise ValueError(f"cut {cut} has later exits at level {level!r} alone")
                if len(later.thresholds) != len(self.exits) - self.exits_before(cut):
                    raise ValueError(f"cut {cut} has other later exits than the model")
                if not set(self.later_at(cut, level)) <= able:
                    raise ValueError(f"a later exit of cut {cut} cannot answer on the server")
        return self

    @model_validator(mode="after")
    def _allows_its_own_plans(self) -> Manifest:
        plans = self.allowed.plans if self.allowed else ()
        for plan in plans:
            if not self.has(plan.cut, plan.level, plan.thresholds):
                raise ValueError(f"an allowed plan, {plan!r}, is none of this model")
            if plan.cut > self.reach:
                raise ValueError(f"an allowed plan goes beyond cut {self.reach}, where devices end")
        if plans and all(plan.level for plan in plans):
            raise ValueError("of the allowed plans one at least must send nothing")
        if self.reach not in {len(self.segments), *(e.boundary for e in self.exits)}:
            raise ValueError(f"a device that ends at cut {self.reach} has no exit to answer at")
        return self

    def has(self, cut: int, level: str | None, thresholds: Sequence[float]) -> bool:
        """Tell whether a plan of this cut, codec level and thresholds can be made."""
        if cut not in self.cuts or len(thresholds) != self.exits_before(cut):
            return False
        if level is not None:
            return cut < max(self.cuts) and level in self.boundaries[cut].levels
        return cut == max(self.cuts) or (len(thresholds) > 0 and thresholds[-1] == 0)

    @property
    def cuts(self) -> range:
        """Every cut, from 0 (send the input) to K (send nothing)."""
        return range(len(self.boundaries))

    @property
    def reach(self) -> int:
        """The deepest boundary that a device loads segments up to: K, or an exit's if it must."""
        reach = self.allowed.reach if self.allowed else None
        return len(self.segments) if reach is None else reach

    @property
    def bottlenecks(self) -> dict[int, BottleneckSpec]:
        """The bottlenecks by their cut."""
        return {at: b.bottleneck for at, b in enumerate(self.boundaries) if b.bottleneck}

    @property
    def programs(self) -> tuple[ProgramSpec, ...]:
        """All that a device may run: every segment, exit head and bottleneck's encoder."""
        encoders = (pair.encoder for pair in self.bottlenecks.values())
        return (*self.segments, *self.exits, *encoders)

    @property
    def decoders(self) -> tuple[ProgramSpec, ...]:
        """What a server runs besides segments: the bottlenecks' decoders."""
        return tuple(pair.decoder for pair in self.bottlenecks.values())

    @property
    def head_backend(self) -> str | None:
        """The backend that heads run on; None where any exact one will do."""
        return self.quantised.backend if self.quantised else None

    @property
    def hands_on(self) -> bool:
        """Whether an exit goes on from another one's code."""
        return any(spec.follows is not None for spec in self.exits)

    def leading_to(self, exit_: int) -> tuple[int, ...]:
        """Return the exits that have to run before an exit, from shallow to deep."""
        before = self.exits[exit_].follows
        return () if before is None else (*self.leading_to(before), before)

    def exit_reads(self, exit_: int) -> tuple[str, ...]:
        """Return the names of what an exit head takes: its tensor, and the code it goes on from."""
        spec = self.exits[exit_]
        return (spec.tensor,) if spec.follows is None else (spec.tensor, code_name(spec.follows))

    def exit_makes(self, exit_: int) -> tuple[str, ...]:
        """Return the names of what an exit head returns: logits, and its code if one follows."""
        followed = any(spec.follows == exit_ for spec in self.exits)
        return ("logits", code_name(exit_)) if followed else ("logits",)

    def stops(self, cut: int) -> tuple[int, ...]:
        """Return the boundaries at which a head before ``cut`` may stop: 0, its exits', the cut."""
        return tuple(sorted({0, cut, *(e.boundary for e in self.exits if e.boundary < cut)}))

    def exits_before(self, cut: int) -> int:
        """The number of exits that the device runs at ``cut``."""
        return sum(e.boundary <= cut for e in self.exits) if cut else 0

    def later_exits(self, cut: int) -> tuple[int, ...]:
        """Return the exits behind a cut that can answer by what crosses it, from shallow to deep.

        Those are none where the model's answer is more than one row of logits, and none that go on
        from the code of an exit before the cut.
        """
        if self.answer == "tensor" or len(self.boundaries[-1].tensors) > 1:
            return ()
        found: list[int] = []
        for at in range(self.exits_before(cut), len(self.exits)):
            before = self.exits[at].follows
            if before is None or before in found:
                found.append(at)
        return tuple(found)

    def later_at(self, cut: int, level: str | None) -> dict[int, float]:
        """Return the thresholds of the exits at which the server answers what comes at a level."""
        later = (self.boundaries[cut].later or {}).get(level) if level else None
        thresholds = enumerate(later.thresholds if later else (), self.exits_before(cut))
        return {at: threshold for at, threshold in thresholds if threshold <= 1}

    def ensemble_at(self, cut: int) -> tuple[int, Ensemble] | None:
        """Return the last exit before a cut and its ensemble with the end, if they are one."""
        last = self.exits_before(cut) - 1
        ensemble = self.exits[last].ensemble if last >= 0 else None
        return None if ensemble is None else (last, ensemble)


def code_name(exit_: int) -> str:
    """Return the name of an exit's code, which no tensor of a boundary has."""
    return f"code of exit {exit_}"


def encode_manifest(manifest: Manifest) -> tuple[bytes, str]:
    """Return the manifest's canonical JSON and its SHA-256 in hex, which names the bundle."""
    unsaid = {"policy"} if manifest.policy == PLAIN_POLICY else None
    plain = manifest.model_dump(mode="json", exclude_none=True, exclude=unsaid)
    data = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return data, hashlib.sha256(data).hexdigest()


def decode_manifest(data: bytes, where: str) -> tuple[Manifest, str]:
    """Read a manifest; raise `BundleError` that names ``where`` unless it is sound."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{where}: the manifest is not JSON ({error}); get the bundle again"
        ) from None
    version = plain.get("format") if isinstance(plain, dict) else None
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"{where}: this is not an Offramp manifest; get the bundle again")
    if version > FORMAT:
        raise BundleError(
            f"{where}: the bundle has format {version}, this release reads up to {FORMAT}; "
            "install a newer Offramp"
        )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise BundleError(f"{where}: {describe_error(error)}; get the bundle again") from None
    return manifest, hashlib.sha256(data).hexdigest()
