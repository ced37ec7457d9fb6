"""numpy arrays as the name of their element type, their shape and their bytes; sent to a box when one occurs.

Imports nothing of ours; see `codecs` for what `pack` and `unpack` promise.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_DIMENSIONS = 32
_UNIT = r"\[\d{0,6}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
_TYPES = re.compile(rf"[<>|](?:b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{{0,6}}|[mM]8(?:{_UNIT})?)")
_SCALARS: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float, "c": complex, "U": str, "S": bytes}
_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


def pack(value: Any, room: int) -> tuple[str | None, Any]:
    """An array as its parts; a scalar as the number or text that it is."""
    import numpy as np

    kind = type(value)
    scalar = issubclass(kind, np.generic)
    if scalar and value.dtype.kind in _SCALARS:
        return None, _SCALARS[value.dtype.kind](value)
    if issubclass(kind, np.ma.MaskedArray):
        raise TypeError("its mask would be lost; use .filled(...), or send data and mask")
    name = value.dtype.str
    if value.dtype.names is not None or not _TYPES.fullmatch(name):
        raise TypeError(f"its element type is {str(value.dtype)[:80]}; send numbers, dates or text, or use .tolist()")
    if value.nbytes > room:
        raise ValueError(f"it has {value.nbytes:,} bytes and {max(room, 0):,} may be sent")
    content = {"type": name, "shape": list(value.shape), "octets": np.asarray(value).tobytes()}
    return "array", content | ({"scalar": True} if scalar else {})


def unpack(content: Any, room: Any) -> Any:
    """The array that untrusted content describes."""
    import numpy as np

    name, shape, octets = content["type"], content["shape"], content["octets"]
    if type(name) is not str or not _TYPES.fullmatch(name):
        raise TypeError("an element type that is not allowed")
    if type(shape) is not list or len(shape) > _MAX_DIMENSIONS or type(octets) is not bytes:
        raise TypeError("no shape and bytes")
    dtype = np.dtype(name)
    if dtype.itemsize * _elements(shape, room, dtype.itemsize) != len(octets):
        raise ValueError(f"{len(octets):,} bytes are not what its shape needs")
    array = np.frombuffer(bytearray(octets), dtype).reshape(shape)
    _check_elements(np, array)
    return array[()] if content.get("scalar") is True and not shape else array


def _elements(shape: list[Any], room: Any, size: int) -> int:
    """How many there are; a dimension of 0 makes no other one harmless, since a sum over it gives as many."""
    count, extent = 1, size
    for length in shape:
        if type(length) is not int or length < 0:
            raise TypeError("a dimension that is no length")
        count *= length
        extent *= max(length, 1)
    room.take(extent)
    return count


def _check_elements(np: Any, array: Any) -> None:
    """Refuse bytes that no element has: they would surprise whoever reads them much later."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError("truth values that are none")
    if array.dtype.kind != "U" or not array.size:
        return
    codes = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    if codes.max() > _LAST_CODE_POINT or ((codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1])).any():
        raise ValueError("text that is none")
