"""What values become on their way between JavaScript and Python."""

import math

import pytest

from sandbox import CodeError, ValueRefused

pytestmark = pytest.mark.docker

OUT = {
    "integers": ("[0, -5, 9007199254740991]", [0, -5, 2**53 - 1]),
    "fractions": ("[0.5, 1e21, 1e-7]", [0.5, 1e21, 1e-7]),
    "integral numbers above 2**53": ("[2 ** 60]", [float(2**60)]),
    "bigints": ("[5n, -(10n ** 40n)]", [5, -(10**40)]),
    "undefined and null": ("[undefined, null, {a: undefined}]", [None, None, {"a": None}]),
    "a hole": ("[1, , 3]", [1, None, 3]),
    "booleans and text": ("[true, 'é\\u0000\\n\"\\\\']", [True, 'é\0\n"\\']),
    "dates": ("[new Date(0), new Date(NaN)]", ["1970-01-01T00:00:00.000Z", "Invalid Date"]),
    "maps": ("new Map([['a', [1]], [2, new Map([[null, true]])]])", {"a": [1], 2: {None: True}}),
    "sets": ("[new Set([1, 'a', 2n]), new Set([[1], {a: 1}])]", [{1, "a", 2}, [[1], {"a": 1}]]),
    "octets": (
        (
            "[new Uint8Array([1, 255]), Buffer.from('hi'), new Uint8Array([7]).buffer, new "
            "Uint8Array([1, 2, "
            "3]).subarray(1)]"
        ),
        [b"\x01\xff", b"hi", b"\x07", b"\x02\x03"],
    ),
    "typed arrays": (
        "[new Float64Array([0.5, 2]), new Int16Array([-1]), new BigInt64Array([2n ** 60n])]",
        [[0.5, 2], [-1], [2**60]],
    ),
    "instances of classes": (
        "class P { #hidden = 1; constructor() { this.x = 1 } get y() { return 2 } }; new P()",
        {"x": 1},
    ),
    "toJSON": (
        "class Money { toJSON() { return {eur: 5} } }; [new Money(), new URL('http://a/b')]",
        [{"eur": 5}, "http://a/b"],
    ),
    "objects without a prototype": ("Object.assign(Object.create(null), {a: 1})", {"a": 1}),
    "wrapped primitives": ("[new Number(5), new String('s'), new Boolean(false)]", [5, "s", False]),
    "errors and regular expressions": ("[new TypeError('t'), /a/g]", ["TypeError: t", "/a/g"]),
    "a key that marks tags": ("[{$: 'set', v: [1]}, {$: 1}]", [{"$": "set", "v": [1]}, {"$": 1}]),
    "a key __proto__": ('JSON.parse(\'{"__proto__": {"a": 1}}\')', {"__proto__": {"a": 1}}),
    "symbols as keys": ("({[Symbol('s')]: 1, a: 2})", {"a": 2}),
    "lone surrogates": ("'a\\ud800b'", "a�b"),
    "arguments": ("(function () { return arguments })(1, 2)", {"0": 1, "1": 2}),
}


@pytest.mark.parametrize(("code", "value"), OUT.values(), ids=OUT.keys())
def test_out_of_javascript_come(js, code, value):
    found = js(code).output
    assert found == value
    assert exact(found) == exact(value)


def exact(value):
    """Text that tells 1, 1.0 and True apart; the items of sets are in one order."""
    if isinstance(value, set):
        return f"set({sorted(map(exact, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(exact, value))}]"
    return repr(value)


def test_what_is_no_number_and_a_negative_zero_come_out(js):
    nan, infinity, zero = js("[NaN, -Infinity, -0]").output
    assert math.isnan(nan)
    assert infinity == -math.inf
    assert math.copysign(1, zero) == -1


SHOWN = {
    "a function": ("function f() {}; f", "[Function: f]"),
    "a symbol": ("Symbol('s')", "Symbol(s)"),
    "a class": ("(class A {})", "[class A]"),
    "a promise within a value": ("({p: new Promise(() => {})})", "{ p: Promise { <pending> } }"),
    "a cyclic value": ("const round = {}; round.self = round; round", "<ref *1> { self: [Circular *1] }"),
    "a generator": ("(function* () {})()", "Object [Generator] {}"),
    "a map with objects as keys": ("new Map([[{}, 1]])", "Map(1) { {} => 1 }"),
    "a weak map": ("new WeakMap()", "WeakMap { <items unknown> }"),
}


@pytest.mark.parametrize(("code", "text"), SHOWN.values(), ids=SHOWN.keys())
def test_as_a_text_about_it_comes(js, code, text):
    assert js(code).output == text


def test_a_value_too_deep_or_too_large_comes_as_a_bounded_text(js):
    assert len(js("let deep = []; for (let i = 0; i < 100; i++) deep = [deep]; deep").output) < 20_000
    assert "more characters of a string" in js("'x'.repeat(6e6)").output
    assert "more items" in js("Array(2e6).fill(0)").output


IN = {
    "numbers and text": ([1, -0.5, "é", True, None], '[1,-0.5,"é",true,null]'),
    "a dict": ({"a": {"b": []}}, '{"a":{"b":[]}}'),
    "a tuple": ((1, 2), "[1,2]"),
    "a dict with the key of tags": ({"$": "set", "v": 1}, '{"$":"set","v":1}'),
    "a key __proto__": ({"__proto__": {"a": 1}}, '{"__proto__":{"a":1}}'),
}


@pytest.mark.parametrize(("value", "text"), IN.values(), ids=IN.keys())
def test_into_javascript_goes(js, value, text):
    js.send_variables({"given": value})
    assert js("JSON.stringify(given)").output == text


def test_other_kinds_of_python_become_those_of_javascript(js):
    js.send_variables(
        {
            "given": {
                "octets": b"\x01\xff",
                "set": {1},
                "keys": {1: "a"},
                "nan": math.nan,
                "big": 2**70,
                "inf": -math.inf,
                "safe": 2**53 - 1,
                "above": 2**53,
            }
        }
    )
    assert js(
        "[given.octets instanceof Uint8Array && given.octets[1], given.set instanceof Set, "
        "given.keys instanceof Map "
        "&& given.keys.get(1), Number.isNaN(given.nan), given.big === 2n ** 70n, given.inf "
        "=== -Infinity, typeof "
        "given.safe, typeof given.above]"
    ).output == [255, True, "a", True, True, True, "number", "bigint"]


def test_values_go_there_and_back_unchanged(js):
    value = {"a": [1, 2.5, None, True, "x" * 1000], "b": {1: {2}, None: b"\0" * 100}, "c": 10**100, "d": {"$": 5}}
    js.send_variables({"given": value})
    assert js("given").output == value


def test_arrays_become_lists_and_images_become_octets(js):
    import numpy
    from PIL import Image

    given = {"grid": numpy.arange(4).reshape(2, 2), "half": numpy.float64(0.5), "picture": Image.new("RGB", (2, 1))}
    js.send_variables({"given": given})
    assert js("[given.grid, given.half, given.picture.subarray(1, 4).toString()]").output == [
        [[0, 1], [2, 3]],
        0.5,
        "PNG",
    ]
    with pytest.raises(ValueRefused, match="ndarray is larger"):
        js.send_variables({"given": numpy.zeros(10**6)})


def test_a_table_becomes_its_rows(js):
    import pandas

    js.send_variables({"table": pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})})
    assert js("table.map(({a, b}) => `${a}${b}`)").output == ["1x", "2y"]


def test_a_live_object_of_the_host_never_gets_in(js):
    with pytest.raises(ValueRefused, match="object"):
        js.send_variables({"given": object()})


def test_additions_to_all_objects_don_t_change_what_comes_out(own_js):
    assert own_js("Object.prototype.toJSON = () => 'forged'; Object.prototype.$ = 'set'; ({a: [1]})").output == {
        "a": [1]
    }


def test_a_getter_that_raises_is_an_error_of_the_step(js):
    with pytest.raises(CodeError, match="RangeError: no"):
        js("({get a() { throw new RangeError('no') }})")
