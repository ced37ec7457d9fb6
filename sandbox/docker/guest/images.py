"""PIL images as PNG, and no other format; sent to a box when one occurs.

Imports nothing of ours; see `codecs` for what `pack` and `unpack` promise.
"""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_PIXELS = 1 << 24
_BYTES_A_PIXEL = 4
_AS_THEY_ARE = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
_WITH_ALPHA = frozenset(("PA", "La", "RGBa"))
_NUMBERS = frozenset(("I", "F"))
_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def pack(value: Any, room: int) -> tuple[str, Any]:
    """An image as the bytes of a PNG; colours that PNG has not become RGB."""
    _check_size(*value.size)
    if value.mode in _NUMBERS:
        raise TypeError(f"its mode is {value.mode}, numbers that PNG can't hold; send numpy.asarray(image)")
    if value.mode not in _AS_THEY_ARE:
        value = value.convert("RGBA" if value.mode in _WITH_ALPHA else "RGB")
    octets = io.BytesIO()
    value.save(octets, "PNG", compress_level=1)
    if octets.tell() > room:
        raise ValueError(f"as PNG it has {octets.tell():,} bytes and {max(room, 0):,} may be sent; resize it")
    return "image", octets.getvalue()


def unpack(content: Any, room: Any) -> Any:
    """The image in an untrusted PNG, without anything that came along with its pixels."""
    from PIL import Image

    if type(content) is not bytes or not content.startswith(_START) or len(content) < len(_START) + 8:
        raise ValueError("it is no PNG")
    at = len(_START)
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (at, at + 4))
    _check_size(width, height)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as opened:
        if opened.size != (width, height):
            raise ValueError("it has two sizes")
        room.take(width * height * _BYTES_A_PIXEL)
        opened.load()
        image = opened.copy()
    image.info = {name: image.info[name] for name in ("transparency",) if name in image.info}
    return image


def _check_size(width: int, height: int) -> None:
    if width * height > _MAX_PIXELS or min(width, height) < 1:
        raise ValueError(f"it has {width:,} × {height:,} pixels; between 1 and {_MAX_PIXELS:,} may be sent, resize it")
