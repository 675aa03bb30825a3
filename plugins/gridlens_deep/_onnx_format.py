"""The messages of the ONNX format needed for a network, in the wire format of Protocol Buffers.

Field numbers are those of onnx.proto; a test reads the result with onnxruntime. With this module, neither the package
onnx nor a graph in a file is needed: only graphs built by this package are run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["OPSET", "model_bytes", "node"]

OPSET = 13
"""version of the operators: the lowest with all operators used in their present form"""
_IR_VERSION = 7
_FLOAT, _INT64 = 1, 7
_INTS_ATTRIBUTE, _INT_ATTRIBUTE = 7, 2
_ROWS = "n"
"""name of the first dimension, which may have any length"""


def model_bytes(
    nodes: Sequence[bytes],
    weights: Mapping[str, np.ndarray],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> bytes:
    """Return a model in the ONNX format, as bytes.

    Parameters
    ----------
    nodes : sequence of bytes
        Operations from `node`, each after the nodes whose results it uses.
    weights : mapping of str to ndarray
        Constants by name: integers as int64, others as float32.
    inputs, outputs : mapping of str to tuple of int
        Shape of one row of each float32 input and output; any number of rows is accepted.
    """
    graph = b"".join(_message(1, part) for part in nodes) + _text(2, "gridlens")
    graph += b"".join(_message(5, _tensor(name, values)) for name, values in weights.items())
    graph += b"".join(_message(11, _value(name, shape)) for name, shape in inputs.items())
    graph += b"".join(_message(12, _value(name, shape)) for name, shape in outputs.items())
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, _IR_VERSION) + _text(2, "gridlens") + _message(7, graph) + _message(8, opset)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """Return one operation; attributes are integers or lists of integers."""
    found = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(3, output) + _text(4, operator)
    return found + b"".join(_message(5, _attribute(name, value)) for name, value in attributes.items())


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _INT_ATTRIBUTE)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, _INTS_ATTRIBUTE)


def _tensor(name: str, values: np.ndarray) -> bytes:
    lengths = b"".join(_number(1, length) for length in values.shape)
    kind, dtype = (_INT64, "<i8") if values.dtype.kind == "i" else (_FLOAT, "<f4")
    data = np.ascontiguousarray(values, dtype=dtype).tobytes()
    return lengths + _number(2, kind) + _text(8, name) + _message(9, data)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = _message(1, _text(2, _ROWS)) + b"".join(_message(1, _number(1, length)) for length in shape)
    tensor = _number(1, _FLOAT) + _message(2, dimensions)
    return _text(1, name) + _message(2, _message(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode a non-negative number with seven bits per byte, lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
