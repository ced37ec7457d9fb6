"""Arrays, tables and images on the wire: they come back as they were, and what only claims to be one is refused."""

import copy
import datetime
import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw
from smolagents.agent_types import AgentImage, AgentText, AgentType

from sandbox import Limits, ValueRefused
from sandbox.docker.codecs import received, reduce
from sandbox.docker.guest.codecs import CodecError, Codecs
from sandbox.docker.guest.tags import TagError, tagged
from sandbox.values import plain

LIMITS = Limits(value_limit=1_000_000)
ROOM = 20_000_000


def wired(value, limits=LIMITS):
    """What the wire says of a value."""
    return json.loads(json.dumps(tagged(plain(value, limits, reduce=reduce))))


def crossed(value, limits=LIMITS):
    return received(wired(value, limits), limits.value_depth, ROOM)


def forged(tag, content):
    return received({"$": tag, "v": content}, LIMITS.value_depth, ROOM)


def same_arrays(one, other):
    assert type(one) is type(other)
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    np.testing.assert_array_equal(one, other)


# Arrays


class Loose(np.ndarray):
    """A subclass, as libraries have them."""


dtypes = (
    arrays.boolean_dtypes()
    | arrays.integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | arrays.complex_number_dtypes(endianness="?", sizes=(64, 128))
    | arrays.datetime64_dtypes(endianness="?")
    | arrays.timedelta64_dtypes(endianness="?")
    | arrays.byte_string_dtypes(max_len=6)
)


@given(arrays.arrays(dtype=dtypes, shape=arrays.array_shapes(min_dims=0, max_dims=4, max_side=4, min_side=0)))
def test_an_array_comes_back_as_it_was(array):
    same_arrays(crossed(array), array)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1))
def test_an_array_of_text_comes_back_as_it_was(text):
    same_arrays(crossed(np.array(text)), np.array(text))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4).T,
        np.arange(12)[::-2],
        np.asfortranarray(np.ones((2, 3))),
        np.broadcast_to(np.float32(2), (3, 3)),
        np.zeros((0, 5)),
        np.array(5),
        np.array([np.nan, np.inf, -0.0]),
        np.arange(4).view(Loose),
    ],
    ids=repr,
)
def test_views_and_odd_shapes_arrive_as_plain_arrays_that_can_be_written(array):
    came = crossed({"nested": [array]})["nested"][0]
    same_arrays(came, np.array(array))
    came[...] = 0


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float64(1.5), 1.5),
        (np.float16(1.5), 1.5),
        (np.longdouble(1.5), 1.5),
        (np.bool_(True), True),
        (np.complex64(1 + 2j), 1 + 2j),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (complex("nan+1j"), complex("nan+1j")),
    ],
    ids=repr,
)
def test_a_scalar_arrives_as_the_number_it_is(scalar, value):
    came = crossed(scalar)
    assert type(came) is type(value)
    assert repr(came) == repr(value)
    assert crossed({scalar: 1}) == {value: 1} or came != came


def test_a_date_of_numpy_stays_one():
    came = crossed([np.datetime64("2024-02-29"), np.datetime64("NaT"), np.timedelta64(3, "h")])
    assert [str(each) for each in came] == ["2024-02-29", "NaT", "3 hours"]
    assert all(isinstance(each, np.generic) for each in came)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([object()]), "tolist"),
        (np.array([{}, None]), "object"),
        (np.zeros(2, dtype=[("a", int)]), "element type"),
        (np.ma.array([1, 2], mask=[0, 1]), "mask"),
        (np.zeros(2, dtype=np.longdouble), "element type"),
        (np.zeros(200_000), "1,600,000 bytes"),
        (np.broadcast_to(1, (10**6, 10**6)), "bytes"),
    ],
    ids=["object", "objects", "structured", "masked", "longdouble", "too large", "too large to exist"],
)
def test_an_array_that_cannot_cross_says_why(array, says):
    with pytest.raises(ValueRefused, match=says):
        plain(array, LIMITS, reduce=reduce)


HOSTILE_ARRAYS = {
    "a million million elements": {"type": "<f8", "shape": [10**12], "octets": b"12345678"},
    "elements beyond numbers": {"type": "<f8", "shape": [2**62, 2**62, 2**62], "octets": b""},
    "nothing of a million million": {"type": "<f8", "shape": [0, 10**12], "octets": b""},
    "too few bytes": {"type": "<f8", "shape": [2], "octets": b"1234567"},
    "too many bytes": {"type": "<f8", "shape": [2], "octets": b"x" * 17},
    "a negative length": {"type": "<f8", "shape": [-1], "octets": b"x" * 8},
    "two negative lengths": {"type": "<f8", "shape": [-1, -1], "octets": b"x" * 8},
    "a length of true": {"type": "|i1", "shape": [True], "octets": b"x"},
    "a length of nan": {"type": "<f8", "shape": [float("nan")], "octets": b""},
    "a shape that is text": {"type": "|i1", "shape": "1", "octets": b"x"},
    "a shape of shapes": {"type": "|i1", "shape": [[1]], "octets": b"x"},
    "too many dimensions": {"type": "|i1", "shape": [1] * 33, "octets": b"x"},
    "objects": {"type": "|O", "shape": [1], "octets": b"x" * 8},
    "objects in fields": {"type": "O,O", "shape": [1], "octets": b"x" * 16},
    "a void": {"type": "|V8", "shape": [1], "octets": b"x" * 8},
    "a structure": {"type": "<f8,<f8", "shape": [1], "octets": b"x" * 16},
    "a subarray": {"type": "(2,)<f8", "shape": [1], "octets": b"x" * 16},
    "elements without size": {"type": "<U0", "shape": [10**9], "octets": b""},
    "elements of a gigabyte": {"type": "<U999999", "shape": [0, 300], "octets": b""},
    "an unknown type": {"type": "<f3", "shape": [1], "octets": b"xxx"},
    "a type with a newline": {"type": "<f8\n", "shape": [1], "octets": b"x" * 8},
    "a type that is a list": {"type": [["a", "<f8"]], "shape": [1], "octets": b"x" * 8},
    "text beyond Unicode": {"type": "<U1", "shape": [1], "octets": b"\xff" * 4},
    "half a character": {"type": "<U1", "shape": [1], "octets": b"\x00\xd8\x00\x00"},
    "half a character, swapped": {"type": ">U1", "shape": [1], "octets": b"\x00\x00\xd8\x00"},
    "truth of 2": {"type": "|b1", "shape": [1], "octets": b"\x02"},
    "bytes that are a list": {"type": "|i1", "shape": [1], "octets": [1]},
    "no bytes": {"type": "|i1", "shape": [1]},
    "no content": None,
    "a list": [],
}


def traced(run):
    """Bytes that a call allocated at most."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS.keys())
def test_a_hostile_array_is_refused_before_anything_is_allocated(content):
    def refuse():
        with pytest.raises(ValueRefused, match="array"):
            forged("array", tagged(content))

    refuse()
    assert traced(refuse) < 200_000


def test_arrays_of_one_message_share_one_room():
    one = tagged({"type": "|i1", "shape": [1000, 0, 1000], "octets": b""})
    assert forged("array", one).shape == (1000, 0, 1000)
    with pytest.raises(ValueRefused, match="20,000,000 bytes"):
        received([{"$": "array", "v": one}] * 21, 64, ROOM)


@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.text(max_size=3)
        | st.floats()
        | st.sampled_from(["|i1", "<f8", "frame", "array", "objects", "labels", "range", "UTC"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    "is type shape octets columns rows names array list codes of zone ns range name".split()
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["array", "table", "image", "complex"]),
)
def test_any_content_is_a_value_or_refused(content, tag):
    try:
        forged(tag, tagged(content))
    except (ValueRefused, TagError) as error:
        assert len(str(error)) < 1000


@pytest.mark.parametrize("content", [None, [], [1.0], [1, 2], ["1", "2"], [1.0, 2.0, 3.0], {"re": 1.0}, True])
def test_a_complex_number_that_is_none_is_refused(content):
    with pytest.raises(ValueRefused, match="complex"):
        forged("complex", tagged(content))


# Tables

BERLIN = pd.date_range("2024-03-30 12:00", periods=3, tz="Europe/Berlin")
FRAMES = {
    "numbers": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": [True, False]}, index=["x", "y"]),
    "text": pd.DataFrame({"a": ["x", None, "\u00fc"]}),
    "objects": pd.DataFrame({"a": pd.Series([1, "x", None, float("nan"), (1, 2), [3], {"k": b"v"}], dtype=object)}),
    "missing objects": pd.DataFrame({"a": pd.Series([pd.NaT, pd.NA, None], dtype=object)}),
    "moments": pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None]), "d": pd.to_timedelta(["1h", None])}),
    "zones": pd.DataFrame({"t": BERLIN, "u": BERLIN.tz_convert("UTC")}),
    "offsets": pd.DataFrame({"t": BERLIN.tz_convert(datetime.timezone(datetime.timedelta(hours=-3)))}),
    "categories": pd.DataFrame({"c": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"], ordered=True)}),
    "nullable": pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "nullable floats": pd.DataFrame({"f": pd.array([1.5, None], "Float32"), "u": pd.array([1, None], "UInt8")}),
    "strings": pd.DataFrame({"s": pd.array(["a", None], "string")}),
    "small numbers": pd.DataFrame({"a": np.array([1, 2], "int8"), "b": np.array([1, 2], "float32")}),
    "no rows": pd.DataFrame({"a": np.array([], "int16")}),
    "no columns": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
    "the same name twice": pd.DataFrame([[1, "x"], [2, "y"]], columns=["a", "a"]),
    "the same row twice": pd.DataFrame({"a": [1, 2]}, index=[7, 7]),
    "names of numbers": pd.DataFrame([[1, 2]], columns=[10, 20]),
    "a named index": pd.DataFrame({"a": [1]}, index=pd.Index([3], name="id")).rename_axis("col", axis=1),
    "levels": pd.DataFrame({("a", 1): [1], ("a", 2): [2]}).set_index([["x"], [1.5]]).rename_axis(["k", None]),
    "a range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(10, 14, 2, name="r")),
    "an index of moments": pd.DataFrame({"a": [1, 2, 3]}, index=BERLIN),
    "an index of categories": pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex(["x"], categories=["y", "x"])),
    "an index with nan": pd.DataFrame({"a": [1, 2]}, index=[1.0, np.nan]),
    "arrays in cells": pd.DataFrame({"a": pd.Series([np.arange(2), None], dtype=object)}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_table_comes_back_as_it_was(frame):
    came = crossed(frame)
    pd.testing.assert_frame_equal(came, frame, check_freq=False, check_column_type=True)
    assert [type(each) for each in came.to_numpy().flat] == [type(each) for each in frame.to_numpy().flat]


@pytest.mark.parametrize("name", [None, "n", 3, ("a", 1)])
def test_a_series_comes_back_with_its_name_and_rows(name):
    series = pd.Series([1.5, 2.5], index=["a", "b"], name=name)
    pd.testing.assert_series_equal(crossed(series), series)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2024-02-29 12:00:00.123456789"),
        pd.Timestamp("2024-02-29", tz="Europe/Berlin"),
        pd.Timestamp("2024-02-29", tz=datetime.timezone(datetime.timedelta(hours=2))),
        pd.Timedelta("1 days 00:00:00.000000001"),
    ],
    ids=str,
)
def test_a_moment_and_a_span_come_back_to_the_nanosecond(value):
    came = crossed(value)
    assert came == value
    assert type(came) is type(value)
    assert str(came) == str(value)


def test_missing_values_are_the_ones_of_pandas():
    came = crossed([pd.NaT, pd.NA, None])
    assert came[0] is pd.NaT
    assert came[1] is pd.NA
    assert came[2] is None


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pd.Series(pd.period_range("2024", periods=2, freq="M")), "period"),
        (pd.Series(pd.interval_range(0, 2)), "interval"),
        (pd.Series(pd.arrays.SparseArray([0, 1])), "Sparse"),
        (pd.Series([object()]), "object"),
        (pd.Series([lambda: 1]), "function"),
    ],
    ids=["periods", "intervals", "sparse", "objects", "functions"],
)
def test_a_column_that_cannot_cross_says_why(column, says):
    for value in (column, pd.DataFrame({"a": column})):
        with pytest.raises(ValueRefused, match=says):
            plain(value, LIMITS, reduce=reduce)


@pytest.mark.parametrize("frame", [pd.DataFrame({"a": np.zeros(130_000)}), pd.DataFrame(index=pd.RangeIndex(10**12))])
def test_a_table_that_is_too_large_is_refused_by_its_size(frame):
    with pytest.raises(ValueRefused, match="bytes"):
        plain(frame, LIMITS, reduce=reduce)


def content_of(frame, **changes):
    return {**wired(frame)["v"], **changes}


FRAME = pd.DataFrame({"a": [1, 2]})
LABELS = wired(FRAME)["v"]["names"]
RANGE = {"is": "range", "name": None}
COLUMN = wired(pd.Series([1, 2]))["v"]["column"]
CODES = wired(np.array([0, 1], "i1"))
LETTERS = {"is": "labels", "name": None, "column": {"is": "objects", "list": ["a", "b"]}}
CATEGORY = {"is": "category", "codes": CODES, "of": LETTERS, "ordered": False}
ZONED = {"is": "zoned", "array": wired(np.array([0, 1], "M8[ns]")), "zone": "UTC"}
HOSTILE_TABLES = {
    "an endless range": content_of(FRAME, columns=[], rows={**RANGE, "range": [0, 10**12, 1]}, names=LETTERS),
    "a range beyond numbers": content_of(FRAME, rows={**RANGE, "range": [0, 10**40, 10**39]}),
    "a range without step": content_of(FRAME, rows={**RANGE, "range": [0, 2, 0]}),
    "a range of nan": content_of(FRAME, rows={**RANGE, "range": [0, {"$": "float", "v": "nan"}, 1]}),
    "a range of one": content_of(FRAME, rows={**RANGE, "range": [0]}),
    "a column too many": content_of(FRAME, columns=[COLUMN, COLUMN]),
    "a column too few": content_of(FRAME, columns=[]),
    "a longer column": content_of(FRAME, columns=[wired(pd.Series([1, 2, 3]))["v"]["column"]]),
    "a shorter column": content_of(FRAME, columns=[wired(pd.Series([1]))["v"]["column"]]),
    "a column of two dimensions": content_of(FRAME, columns=[{"is": "array", "array": wired(np.zeros((2, 2)))}]),
    "a column that is a list": content_of(FRAME, columns=[{"is": "array", "array": [1, 2]}]),
    "a column that is a table": content_of(FRAME, columns=[{"is": "array", "array": wired(FRAME)}]),
    "columns that are no list": content_of(FRAME, columns={"0": COLUMN}),
    "an unknown column": content_of(FRAME, columns=[{"is": "__class__", "array": CODES}]),
    "a column that is a number": content_of(FRAME, columns=[7]),
    "codes without category": content_of(FRAME, columns=[{**CATEGORY, "codes": wired(np.array([0, 2], "i1"))}]),
    "codes below": content_of(FRAME, columns=[{**CATEGORY, "codes": wired(np.array([0, -2], "i1"))}]),
    "codes of nan": content_of(FRAME, columns=[{**CATEGORY, "codes": wired(np.array([0, np.nan]))}]),
    "the same category twice": content_of(
        FRAME, columns=[{**CATEGORY, "of": {**LETTERS, "column": {"is": "objects", "list": ["a", "a"]}}}]
    ),
    "a zone that is a file": content_of(FRAME, columns=[{**ZONED, "zone": "dateutil//etc/passwd"}]),
    "a zone that is a path": content_of(FRAME, columns=[{**ZONED, "zone": "../../etc/passwd"}]),
    "a zone from the root": content_of(FRAME, columns=[{**ZONED, "zone": "/etc/localtime"}]),
    "an unknown zone": content_of(FRAME, columns=[{**ZONED, "zone": "Nowhere/Land"}]),
    "an offset of years": content_of(FRAME, columns=[{**ZONED, "zone": 10**9}]),
    "an offset of nan": content_of(FRAME, columns=[{**ZONED, "zone": {"$": "float", "v": "nan"}}]),
    "text of numbers": content_of(FRAME, columns=[{"is": "text", "type": "string", "list": [1, 2]}]),
    "nullable of another type": content_of(
        FRAME, columns=[{"is": "nullable", "type": "object", "array": CODES, "missing": wired(np.zeros(2, bool))}]
    ),
    "nullable with another mask": content_of(
        FRAME, columns=[{"is": "nullable", "type": "Int64", "array": CODES, "missing": wired(np.zeros(3, bool))}]
    ),
    "levels of two lengths": content_of(
        FRAME, rows={"is": "levels", "levels": [LETTERS, {**RANGE, "range": [0, 3, 1]}]}
    ),
    "no levels": content_of(FRAME, rows={"is": "levels", "levels": []}),
    "a label that is a list": content_of(FRAME, rows={**RANGE, "range": [0, 2, 1], "name": [1]}),
    "a label that is a dict": {**wired(pd.Series([1]))["v"], "name": {}},
    "labels that are lists": content_of(
        FRAME, names={"is": "labels", "name": None, "column": {"is": "objects", "list": 1}}
    ),
    "no kind": {"rows": LABELS},
    "an unknown kind": {"is": "unpack"},
    "a kind that is a list": {"is": []},
    "a moment beyond time": {"is": "moment", "ns": 10**30, "zone": None},
    "a moment of text": {"is": "moment", "ns": "now", "zone": None},
    "a span of nan": {"is": "span", "ns": {"$": "float", "v": "nan"}},
    "text": "frame",
    "nothing": None,
}


@pytest.mark.parametrize("content", HOSTILE_TABLES.values(), ids=HOSTILE_TABLES.keys())
def test_a_hostile_table_is_refused_before_anything_is_allocated(content):
    def refuse():
        with pytest.raises(ValueRefused, match="table"):
            forged("table", content)

    refuse()
    assert traced(refuse) < 1_000_000


def places(content, path=()):
    """The path of every part of parsed JSON."""
    yield path
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


JUNK = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    10**12,
    2**63,
    10**40,
    -0.5,
    "",
    "x",
    "UTC",
    "frame",
    "range",
    "array",
    [],
    {},
    [0],
    {"is": "range"},
]


@given(st.sampled_from(list(FRAMES.values())), st.data())
def test_a_table_with_any_part_exchanged_is_a_table_or_refused(frame, data):
    content = wired(frame)["v"]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(content))[1:]))
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    try:
        came = forged("table", content)
    except (ValueRefused, TagError) as refused:
        assert len(str(refused)) < 1000
    else:
        assert len(str(came)) < 100_000


def test_the_parts_of_hostile_tables_make_a_table_when_they_fit():
    frame = forged("table", content_of(FRAME, columns=[CATEGORY], rows={**RANGE, "range": [0, 2, 1]}))
    assert frame["a"].tolist() == ["a", "b"]
    assert forged("table", content_of(FRAME, columns=[ZONED]))["a"].dt.tz is not None


# Images


def picture(mode="RGB", size=(5, 4)):
    image = Image.new(mode, size)
    draw = ImageDraw.Draw(image)
    draw.point([(0, 0), (2, 1)], fill=1 if mode in ("1", "L", "P", "I;16") else None)
    return image


def png(image, **options):
    octets = io.BytesIO()
    image.save(octets, "PNG", **options)
    return octets.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_comes_back_pixel_for_pixel(mode):
    image = Image.linear_gradient("L").resize((7, 5)).convert("RGB" if mode == "I;16" else mode)
    image = image.convert("I;16") if mode == "I;16" else image
    came = crossed(image)
    assert (came.mode, came.size, came.tobytes()) == (image.mode, image.size, image.tobytes())


@pytest.mark.parametrize(("mode", "becomes"), [("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("RGBa", "RGBA")])
def test_colours_that_png_has_not_become_rgb(mode, becomes):
    assert crossed(Image.new(mode, (2, 2))).mode == becomes


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_image_of_numbers_is_refused_and_not_rounded(mode):
    with pytest.raises(ValueRefused, match="asarray"):
        plain(Image.new(mode, (2, 2)), LIMITS, reduce=reduce)


def test_an_image_from_a_file_of_another_format_arrives_without_what_the_file_said(tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.jpg", comment=b"secret place")
    with Image.open(tmp_path / "a.jpg") as opened:
        came = crossed(opened)
    assert (came.size, came.info) == ((4, 4), {})


def test_an_image_that_is_too_large_says_so():
    noise = Image.frombytes("RGB", (700, 700), np.random.default_rng(1).bytes(700 * 700 * 3))
    with pytest.raises(ValueRefused, match="resize"):
        plain(noise, LIMITS, reduce=reduce)
    with pytest.raises(ValueRefused, match="resize"):
        plain(Image.new("1", (5000, 5000)), LIMITS, reduce=reduce)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_header(octets, width, height):
    """A PNG whose header claims another size, with the checksum that belongs to it."""
    header = struct.pack(">II", width, height) + octets[24:29]
    return octets[:8] + chunk(b"IHDR", header) + octets[33:]


def encoded(image, kind):
    octets = io.BytesIO()
    image.save(octets, kind)
    return octets.getvalue()


GOOD = png(picture())
HOSTILE_IMAGES = {
    "a thousand million pixels": with_header(GOOD, 2**15, 2**15),
    "as many pixels as there are": with_header(GOOD, 2**31 - 1, 2**31 - 1),
    "no pixels": with_header(GOOD, 0, 5),
    "more rows than there are": with_header(GOOD, 4096, 4096),
    "a second header": GOOD[:33] + chunk(b"IHDR", struct.pack(">II", 30000, 30000) + GOOD[24:29]) + GOOD[33:],
    "half a file": GOOD[: len(GOOD) // 2],
    "a header alone": GOOD[:33],
    "a wrong checksum": GOOD[:40] + bytes([GOOD[40] ^ 1]) + GOOD[41:],
    "a bomb of text": GOOD[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 100_000_000)) + GOOD[33:],
    "a GIF": encoded(picture(), "GIF"),
    "a TIFF": encoded(picture(), "TIFF"),
    "a JPEG": encoded(picture(), "JPEG"),
    "PostScript": encoded(picture(), "EPS"),
    "a PNG's first bytes and a TIFF": GOOD[:16] + encoded(picture(), "TIFF"),
    "nothing": b"",
    "text": "PNG",
    "a list": [],
}


@pytest.mark.parametrize("content", HOSTILE_IMAGES.values(), ids=HOSTILE_IMAGES.keys())
def test_a_hostile_image_is_refused(content):
    with pytest.raises(ValueRefused, match="image"):
        forged("image", tagged(content))


@pytest.mark.parametrize("name", ["a bomb of text", "a thousand million pixels", "as many pixels as there are"])
def test_a_bomb_is_refused_before_it_goes_off(name):
    def refuse():
        with pytest.raises(ValueRefused):
            forged("image", tagged(HOSTILE_IMAGES[name]))

    refuse()
    assert traced(refuse) < 5_000_000


def test_images_of_one_message_share_one_room():
    bomb = {"$": "image", "v": tagged(png(Image.new("RGB", (2000, 2000))))}
    assert received([bomb], 64, ROOM)[0].size == (2000, 2000)
    with pytest.raises(ValueRefused, match="20,000,000 bytes"):
        received([bomb] * 100, 64, ROOM)


# Who has which package


class Sample(AgentType):
    """A wrapper that holds what no other one does."""

    def to_raw(self):
        return self._value


def test_what_smolagents_wraps_is_sent_unwrapped():
    image = picture()
    assert crossed(AgentImage(image)).tobytes() == image.tobytes()
    assert crossed(AgentText("words")) == "words"
    assert type(crossed(AgentText("words"))) is str
    same_arrays(crossed(Sample(np.arange(3))), np.arange(3))
    with pytest.raises(ValueRefused, match="Loop"):
        crossed(Loop(None))


class Loop(AgentType):
    def to_raw(self):
        return self


def test_without_codecs_an_array_is_refused_with_what_to_do():
    for value in (np.arange(2), FRAME, picture(), 1j):
        with pytest.raises(ValueRefused, match=f"{type(value).__name__}.*turn it into"):
            plain(value, LIMITS)


def test_a_kind_whose_package_the_other_side_lacks_is_neither_sent_nor_taken():
    poor = Codecs(["numpy"], lambda name: pytest.fail(name), "the other side")
    assert poor.reduce(picture(), 1000) is None
    assert poor.reduce(FRAME, 1000) is None
    make = poor.makers(1000)
    assert [tag for tag in ("complex", "array", "table", "image", "pickle") if make(tag)] == ["complex", "array"]


def test_a_package_that_is_promised_but_missing_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    make = Codecs(["pandas"], lambda name: pytest.fail(name), "the sandbox's image").makers(1000)("table")
    with pytest.raises(CodecError, match="the sandbox's image has no pandas.*--with pandas"):
        make({})


def test_no_package_is_imported_before_such_a_value_occurs():
    code = (
        "import sys\nfrom sandbox import Limits\nfrom sandbox.docker.codecs import here, received, reduce\n"
        "from sandbox.values import plain\nhere()\n"
        "received([plain({'a': (1, 'x', b'y')}, Limits(), reduce=reduce) and 1, 2.5], 9, 9)\n"
        "print([name for name in ('numpy', 'pandas', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250, check=True)
    assert done.stdout.strip() == "[]"
