from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InferRequest(_message.Message):
    __slots__ = ("id", "bundle_digest", "cut", "frames", "timeout_us", "plan_id", "reference", "trace")
    ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_US_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    id: int
    bundle_digest: bytes
    cut: int
    frames: _containers.RepeatedScalarFieldContainer[bytes]
    timeout_us: int
    plan_id: str
    reference: int
    trace: bytes
    def __init__(self, id: _Optional[int] = ..., bundle_digest: _Optional[bytes] = ..., cut: _Optional[int] = ..., frames: _Optional[_Iterable[bytes]] = ..., timeout_us: _Optional[int] = ..., plan_id: _Optional[str] = ..., reference: _Optional[int] = ..., trace: _Optional[bytes] = ...) -> None: ...

class InferResponse(_message.Message):
    __slots__ = ("id", "status", "outputs", "timeline", "load", "plan_id", "kept", "exit")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    id: int
    status: Status
    outputs: _containers.RepeatedScalarFieldContainer[bytes]
    timeline: Timeline
    load: ServerLoad
    plan_id: str
    kept: bool
    exit: int
    def __init__(self, id: _Optional[int] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., outputs: _Optional[_Iterable[bytes]] = ..., timeline: _Optional[_Union[Timeline, _Mapping]] = ..., load: _Optional[_Union[ServerLoad, _Mapping]] = ..., plan_id: _Optional[str] = ..., kept: _Optional[bool] = ..., exit: _Optional[int] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message", "retry_after_us")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_US_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    retry_after_us: int
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., retry_after_us: _Optional[int] = ...) -> None: ...

class Timeline(_message.Message):
    __slots__ = ("received_us", "queue_us", "decode_us", "segment_us", "encode_us", "total_us", "received_bytes")
    RECEIVED_US_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_US_FIELD_NUMBER: _ClassVar[int]
    ENCODE_US_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    received_us: int
    queue_us: int
    decode_us: int
    segment_us: _containers.RepeatedScalarFieldContainer[int]
    encode_us: int
    total_us: int
    received_bytes: int
    def __init__(self, received_us: _Optional[int] = ..., queue_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., segment_us: _Optional[_Iterable[int]] = ..., encode_us: _Optional[int] = ..., total_us: _Optional[int] = ..., received_bytes: _Optional[int] = ...) -> None: ...

class ServerLoad(_message.Message):
    __slots__ = ("queued", "running", "queue_us", "cpu_permille", "price_us")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    CPU_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    PRICE_US_FIELD_NUMBER: _ClassVar[int]
    queued: int
    running: int
    queue_us: int
    cpu_permille: int
    price_us: int
    def __init__(self, queued: _Optional[int] = ..., running: _Optional[int] = ..., queue_us: _Optional[int] = ..., cpu_permille: _Optional[int] = ..., price_us: _Optional[int] = ...) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ("id", "padding")
    ID_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    id: int
    padding: bytes
    def __init__(self, id: _Optional[int] = ..., padding: _Optional[bytes] = ...) -> None: ...

class ProbeResponse(_message.Message):
    __slots__ = ("id", "timeline", "load")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    id: int
    timeline: Timeline
    load: ServerLoad
    def __init__(self, id: _Optional[int] = ..., timeline: _Optional[_Union[Timeline, _Mapping]] = ..., load: _Optional[_Union[ServerLoad, _Mapping]] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("infer", "probe")
    INFER_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    infer: InferRequest
    probe: ProbeRequest
    def __init__(self, infer: _Optional[_Union[InferRequest, _Mapping]] = ..., probe: _Optional[_Union[ProbeRequest, _Mapping]] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("infer", "probe", "catalogue", "draining")
    INFER_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    infer: InferResponse
    probe: ProbeResponse
    catalogue: Catalogue
    draining: Draining
    def __init__(self, infer: _Optional[_Union[InferResponse, _Mapping]] = ..., probe: _Optional[_Union[ProbeResponse, _Mapping]] = ..., catalogue: _Optional[_Union[Catalogue, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("accepts_us", "answers_us")
    ACCEPTS_US_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_US_FIELD_NUMBER: _ClassVar[int]
    accepts_us: int
    answers_us: int
    def __init__(self, accepts_us: _Optional[int] = ..., answers_us: _Optional[int] = ...) -> None: ...

class Catalogue(_message.Message):
    __slots__ = ("bundles",)
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[BundleDescription]
    def __init__(self, bundles: _Optional[_Iterable[_Union[BundleDescription, _Mapping]]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("bundles", "version", "max_message_bytes")
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[BundleDescription]
    version: str
    max_message_bytes: int
    def __init__(self, bundles: _Optional[_Iterable[_Union[BundleDescription, _Mapping]]] = ..., version: _Optional[str] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class BundleDescription(_message.Message):
    __slots__ = ("digest", "name", "segments", "backend", "manifest_bytes", "superseded")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    name: str
    segments: int
    backend: str
    manifest_bytes: int
    superseded: bool
    def __init__(self, digest: _Optional[bytes] = ..., name: _Optional[str] = ..., segments: _Optional[int] = ..., backend: _Optional[str] = ..., manifest_bytes: _Optional[int] = ..., superseded: _Optional[bool] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ("bundle_digest", "path", "offset_bytes", "max_bytes")
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: bytes
    path: str
    offset_bytes: int
    max_bytes: int
    def __init__(self, bundle_digest: _Optional[bytes] = ..., path: _Optional[str] = ..., offset_bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
