from protos.offramp.v1 import inference_pb2 as _inference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_ABSENT: _ClassVar[Stage]
    STAGE_LOADING: _ClassVar[Stage]
    STAGE_OPEN: _ClassVar[Stage]
    STAGE_LEAVING: _ClassVar[Stage]
STAGE_UNSPECIFIED: Stage
STAGE_ABSENT: Stage
STAGE_LOADING: Stage
STAGE_OPEN: Stage
STAGE_LEAVING: Stage

class ListBundlesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBundlesResponse(_message.Message):
    __slots__ = ("bundles",)
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[HeldBundle]
    def __init__(self, bundles: _Optional[_Iterable[_Union[HeldBundle, _Mapping]]] = ...) -> None: ...

class LoadBundleRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class LoadBundleResponse(_message.Message):
    __slots__ = ("bundle",)
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    bundle: HeldBundle
    def __init__(self, bundle: _Optional[_Union[HeldBundle, _Mapping]] = ...) -> None: ...

class UnloadBundleRequest(_message.Message):
    __slots__ = ("bundle_digest",)
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: bytes
    def __init__(self, bundle_digest: _Optional[bytes] = ...) -> None: ...

class UnloadBundleResponse(_message.Message):
    __slots__ = ("was_known",)
    WAS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    was_known: bool
    def __init__(self, was_known: _Optional[bool] = ...) -> None: ...

class HeldBundle(_message.Message):
    __slots__ = ("description", "stage", "size_bytes", "in_flight", "idle_us", "sources")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    IDLE_US_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    description: _inference_pb2.BundleDescription
    stage: Stage
    size_bytes: int
    in_flight: int
    idle_us: int
    sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, description: _Optional[_Union[_inference_pb2.BundleDescription, _Mapping]] = ..., stage: _Optional[_Union[Stage, str]] = ..., size_bytes: _Optional[int] = ..., in_flight: _Optional[int] = ..., idle_us: _Optional[int] = ..., sources: _Optional[_Iterable[str]] = ...) -> None: ...
