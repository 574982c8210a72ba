"""Joining: the ONNX models of a chain become one model.

A device has no `onnx` package, and joining needs little of the format: values of model k get the
prefix ``k/``, and an Identity node hands each value on to the input that takes it. The engine
checks what comes out as it checks any model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from offramp.backends.backend import Chain
from offramp.errors import BundleError

__all__ = ["join_models"]

_GRAPH = 7  # a model's field; the others are a graph's
_NODE, _GRAPH_NAME, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 1, 2, 5, 11, 12, 15
_INNER = (_NODE, _INITIALIZER, _SPARSE_INITIALIZER)

# What to rename, by message and field number: a name, the location of weights, or a message.
_NAME, _ENTRY = "name", "entry"
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {1: _NAME, 2: _NAME, 3: _NAME, 5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
    "tensor": {8: _NAME, 13: _ENTRY},
    "sparse": {1: "tensor"},
    "value": {1: _NAME},
}
_Field = tuple[int, int, bytes]
"""Number, wire type and content of a protobuf field, a varint's content encoded as it was."""


def join_models(models: Sequence[bytes], chain: Chain) -> bytes:
    """Return one model that runs a chain; raise `BundleError` if the models cannot be joined.

    The joined model is read from the folder that holds the chain's folders: the locations of
    external weights change with that.
    """
    body: list[_Field] = []
    places: dict[str, bytes] = {}  # where in the joined graph a value of the chain is
    ends: dict[str, bytes] = {}  # what says its type and shape
    for at, (model, link) in enumerate(zip(models, chain.links, strict=True)):
        prefix, folder = f"{at}/", link.folder.name
        graph = [(n, w, _rename("graph", n, c, prefix, folder)) for n, w, c in _graph(model)]
        for name, value in _pairs(link.reads, graph, _INPUT):
            if name in places:
                body.append(_identity(places[name], _name(value)))
            else:
                body.append((_INPUT, 2, value))
                places[name] = _name(value)
        body += [field for field in graph if field[0] in _INNER]
        for name, value in _pairs(link.makes, graph, _OUTPUT):
            places[name], ends[name] = _name(value), value
    body += [(_OUTPUT, 2, ends[name]) for name in chain.makes]
    joined = _message([(_GRAPH_NAME, 2, b"joined"), *body])
    return _message((n, w, joined if n == _GRAPH else c) for n, w, c in _fields(models[0]))


def _graph(model: bytes) -> list[_Field]:
    graphs = [content for number, _, content in _fields(model) if number == _GRAPH]
    if len(graphs) != 1:
        raise BundleError(f"an ONNX model holds {len(graphs)} graphs; get the bundle again")
    return list(_fields(graphs[0]))


def _pairs(names: Sequence[str], graph: Sequence[_Field], kind: int) -> Iterator[tuple[str, bytes]]:
    """Yield a program's names for its inputs or outputs with those of its graph."""
    values = [content for number, _, content in graph if number == kind]
    if len(values) != len(names):
        raise BundleError(
            f"an ONNX model has {len(values)} inputs or outputs where its bundle says "
            f"{len(names)}; get the bundle again"
        )
    return zip(names, values, strict=True)


def _name(value: bytes) -> bytes:
    return next((content for number, _, content in _fields(value) if number == 1), b"")


def _identity(source: bytes, target: bytes) -> _Field:
    return _NODE, 2, _message([(1, 2, source), (2, 2, target), (4, 2, b"Identity")])


def _rename(message: str, number: int, content: bytes, prefix: str, folder: str) -> bytes:
    kind = _FIELDS[message].get(number)
    if kind is None:
        return content
    if kind == _NAME:
        return prefix.encode() + content if content else content  # an absent input has no name
    fields = list(_fields(content))
    if kind == _ENTRY:
        if (1, 2, b"location") in fields:
            fields = [(n, w, f"{folder}/".encode() + c if n == 2 else c) for n, w, c in fields]
        return _message(fields)
    return _message((n, w, _rename(kind, n, c, prefix, folder)) for n, w, c in fields)


def _fields(data: bytes) -> Iterator[_Field]:
    """Yield a message's fields; raise `BundleError` where it is not one."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        start = at
        if wire == 0:
            _, at = _varint(data, at)
        elif wire == 2:
            length, start = _varint(data, at)
            at = start + length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise BundleError(f"an ONNX model holds wire type {wire}; get the bundle again")
        if at > len(data):
            raise BundleError("an ONNX model is cut short; get the bundle again")
        yield number, wire, data[start:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at == len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise BundleError("an ONNX model is cut short; get the bundle again")


def _message(fields: Iterable[_Field]) -> bytes:
    return b"".join(_encode(*field) for field in fields)


def _encode(number: int, wire: int, content: bytes) -> bytes:
    head = _encode_varint(number << 3 | wire)
    return head + (_encode_varint(len(content)) if wire == 2 else b"") + content


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
