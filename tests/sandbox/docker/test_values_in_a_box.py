"""Arrays, tables, images and complex numbers between the host and code in a real container, in every direction."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sandbox import CodeError, DockerBackend, SandboxSettings, ValueRefused
from sandbox.docker import codecs

pytestmark = pytest.mark.docker

IMAGE = Image.linear_gradient("L").resize((6, 5)).convert("RGB")
TABLE = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [1.5, np.nan, -0.0],
        "s": ["a", None, "\u00fc"],
        "t": pd.date_range("2024-03-30 12:00", periods=3, tz="Europe/Berlin"),
        "c": pd.Categorical(["u", "v", None], categories=["v", "u"], ordered=True),
        "i": pd.array([1, None, 3], "Int64"),
    },
    index=pd.Index(["p", "q", "r"], name="key"),
)


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=60))
    yield backend
    backend.close()


@pytest.fixture
def came():
    return []


@pytest.fixture
def box(backend, came):
    with backend.open() as box:
        box.send_tools(
            {
                "final_answer": lambda answer: answer,
                "take": came.append,
                "table": lambda: TABLE,
                "array": lambda n=4: np.arange(n * 2.0).reshape(n, 2).T,
                "image": lambda: IMAGE,
                "number": lambda: 1 + 2j,
            }
        )
        yield box


def test_an_array_goes_in_as_a_variable_and_a_result_and_comes_out_three_ways(box, came):
    box.send_variables({"a": np.arange(6, dtype=">i2").reshape(2, 3)})
    assert box("import numpy as np\n(str(a.dtype), a.sum(), a.flags.writeable)").output == (">i2", 15, True)
    assert box("array().shape").output == (2, 4)
    for output in (box("a * 2.5").output, box("take(a * 2.5)") and came[-1], box("final_answer(a * 2.5)").output):
        np.testing.assert_array_equal(output, np.arange(6).reshape(2, 3) * 2.5)


def test_a_table_goes_in_as_a_variable_and_a_result_and_comes_out_three_ways(box, came):
    box.send_variables({"df": TABLE, "column": TABLE["n"]})
    assert box("table().equals(df), df.loc['q', 'n'], column.sum()").output == (True, 2, 6)
    assert box("str(df.t.dt.tz), df.c.cat.ordered, str(df.i.dtype), df.index.name").output == (
        "Europe/Berlin", True, "Int64", "key",
    )  # fmt: skip
    for output in (box("df").output, box("take(df)") and came[-1], box("final_answer(df)").output):
        # The image's pandas is of another time: its text is in columns of objects, its moments are nanoseconds.
        same = output.astype({"s": TABLE.dtypes["s"], "t": TABLE.dtypes["t"]})
        same.index = same.index.astype(TABLE.index.dtype)
        pd.testing.assert_frame_equal(same, TABLE, check_column_type=False)


def test_a_table_that_the_code_made_is_one_here(box):
    code = "import pandas as pd\nsales = pd.DataFrame({'city': ['Ulm', 'Bonn', 'Ulm'], 'n': [1, 2, 3]})\n"
    totals = box(code + "sales.groupby('city').n.sum()").output
    assert totals.to_dict() == {"Bonn": 2, "Ulm": 4}
    assert box("sales.describe()").output.loc["max", "n"] == 3
    assert box("sales.pivot_table(index='city', columns='n', aggfunc='size')").output.shape == (2, 3)
    assert box("pd.Timestamp('2024-02-29', tz='UTC'), pd.NaT, pd.Timedelta('1h')").output == (
        pd.Timestamp("2024-02-29", tz="UTC"), pd.NaT, pd.Timedelta("1h"),
    )  # fmt: skip


def test_an_image_goes_in_as_a_variable_and_a_result_and_comes_out_three_ways(box, came):
    box.send_variables({"im": IMAGE})
    assert box("im.size, im.mode, image().getpixel((0, 4)) == im.getpixel((0, 4))").output == ((6, 5), "RGB", True)
    turned = IMAGE.transpose(Image.Transpose.ROTATE_90)
    code = "from PIL import Image\nturned = im.transpose(Image.ROTATE_90)\n"
    for output in (box(code + "turned").output, box("take(turned)") and came[-1], box("final_answer(turned)").output):
        assert (output.size, output.tobytes()) == (turned.size, turned.tobytes())


def test_they_cross_inside_of_other_values(box, came):
    box.send_variables({"all": {"a": [np.ones(2)], "t": (TABLE, IMAGE), 3: 2j}})
    assert box("all[3] * 2, all['a'][0].sum(), all['t'][0].n.max(), all['t'][1].size").output == (4j, 2.0, 3, (6, 5))
    box("take(all)")
    assert came[0][3] == 2j
    assert came[0]["t"][1].size == (6, 5)


def test_scalars_arrive_as_numbers(box):
    code = "import numpy as np\n"
    values = box(
        code + "[np.int64(3), np.float32(1.5), np.bool_(True), np.complex64(1j), np.str_('a'), number()]"
    ).output
    assert values == [3, 1.5, True, 1j, "a", 1 + 2j]
    assert [type(value) for value in values] == [int, float, bool, complex, str, complex]
    assert box("{np.int64(3): np.float64(2)}").output == {3: 2.0}


@pytest.fixture(scope="module")
def loaded(backend):
    """One box for all that is refused: to import pandas again and again takes seconds."""
    with backend.open() as box:
        box.send_tools({"take": lambda value: pytest.fail(f"it got {value!r}")})
        box("import numpy as np, pandas as pd\nfrom PIL import Image")
        yield box


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("np.array([object()])", "object.*tolist"),
        ("np.zeros(10**6)", "8,000,000 bytes"),
        ("np.broadcast_to(1, (10**6, 10**6))", "bytes"),
        ("pd.Series(pd.period_range('2024', periods=2, freq='M'))", "period.*astype"),
        ("pd.DataFrame(index=pd.RangeIndex(10**12))", "rows"),
        ("Image.new('F', (2, 2))", "asarray"),
        ("Image.new('1', (9000, 9000))", "resize"),
        ("pd.Index([1])", "Index.*turn it into"),
        ("object()", "object.*turn it into"),
    ],
)
def test_what_cannot_cross_is_an_error_that_names_it_and_a_text_as_output(loaded, make, says):
    with pytest.raises(CodeError, match=f"TypeError: take.*{says}"):
        loaded(f"v = {make}\ntake(v)")
    assert isinstance(loaded("v").output, str)
    assert loaded("1").output == 1


FORGED = """\
import json, os
step = next(held._step for held in (cell.cell_contents for cell in take.__closure__) if hasattr(held, "_step"))
def forge(value):
    frame = json.dumps({"step": step, "call": 1, "name": "take", "args": [value], "kwargs": {}}).encode()
    os.write(3, len(frame).to_bytes(4, "big") + b"c" + frame)
    return os.read(3, int.from_bytes(os.read(3, 5)[:4], "big")).decode()
"""


@pytest.mark.parametrize(
    "value",
    [
        {"$": "array", "v": {"type": "<f8", "shape": [10**12], "octets": {"$": "bytes", "v": ""}}},
        {"$": "array", "v": {"type": "|O", "shape": [1], "octets": {"$": "bytes", "v": "AAAAAAAAAAA="}}},
        {"$": "image", "v": {"$": "bytes", "v": "R0lGODlh"}},
        {"$": "table", "v": {"is": "__init__"}},
    ],
)
def test_a_forged_value_is_refused_to_the_code_and_the_session_goes_on(box, came, value):
    answer = box(f"kept = 1\n{FORGED}\nforge({value!r})").output
    assert "TypeError" in answer
    assert "can't cross" in answer
    assert came == []
    assert box("take([kept])\nkept").output == 1
    assert came == [[1]]


def test_a_table_is_a_text_and_an_error_when_the_host_has_no_pandas(sandbox_image, monkeypatch):
    monkeypatch.setattr(codecs, "here", lambda: ["numpy", "PIL"])
    monkeypatch.setattr("sandbox.docker.launch.here", codecs.here)
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    try:
        with backend.open() as box:
            box.send_tools({"take": lambda value: value})
            assert "city" in box("import pandas as pd\ndf = pd.DataFrame({'city': ['Ulm']})\ndf").output
            with pytest.raises(CodeError, match="DataFrame.*turn it into"):
                box("take(df)")
            assert box("take(df.to_dict('list'))").output == {"city": ["Ulm"]}
            assert box("pd.Timestamp('2024-02-29')").output == "2024-02-29T00:00:00"
    finally:
        backend.close()


# Code that can't import what the image has, as in an image that hasn't got it.
WITHOUT = "import sys\nsys.path = [place for place in sys.path if 'dist-packages' not in place]\n"


def test_a_variable_for_an_image_without_the_package_is_an_error_that_says_what_to_do(box):
    box(WITHOUT)
    box.send_variables({"df": TABLE, "plain": 7, "a": np.ones(2)})
    with pytest.raises(CodeError, match="'df' can't be set.*no numpy.*--with numpy.*'a' can't be set.*no numpy"):
        box("print('never')")
    assert box.state["_print_outputs"] == ""
    assert box("plain").output == 7


def test_a_result_for_an_image_without_the_package_is_an_error_in_the_code(box):
    box(WITHOUT)
    code = "try:\n    image()\nexcept TypeError as error:\n    said = str(error)\nsaid"
    assert "no PIL" in box(code).output
    assert "--with pillow" in box("said").output


def test_variables_are_there_again_after_the_worker_was_replaced(box):
    box.send_variables({"a": np.arange(3), "df": TABLE})
    with pytest.raises(CodeError, match="gone"):
        box("import os\nos._exit(0)")
    assert box("(a.sum(), len(df))").output == (3, 3)


def test_what_the_host_changes_after_sending_does_not_reach_the_code(box):
    array = np.zeros(2)
    box.send_variables({"a": array})
    array[:] = 9
    assert box("a.sum()").output == 0


def test_a_variable_that_is_too_large_is_refused_when_it_is_sent(box):
    with pytest.raises(ValueRefused, match="'a'.*8,000,000 bytes"):
        box.send_variables({"a": np.zeros(10**6)})


def test_the_guest_loads_no_package_before_such_a_value_occurs(box):
    box("import sys")
    assert box("[name for name in ('numpy', 'pandas', 'PIL') if name in sys.modules]").output == []
    assert "pandas" in sys.modules
