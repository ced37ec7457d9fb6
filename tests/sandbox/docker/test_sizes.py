"""What is small enough by itself may be too much written, or together; then it is said, and nothing is lost."""

import numpy as np
import pytest

from sandbox import CodeError, DockerBackend, DockerSandbox, SandboxSettings, ValueRefused

pytestmark = pytest.mark.docker

ESCAPED = "'\\0' * 4_000_000"  # six bytes each in JSON
WIDE = "chr(0x1F600) * 4_000_000"  # four bytes each in UTF-8


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    yield backend
    backend.close()


@pytest.fixture
def box(backend):
    with backend.open() as box:
        box.send_tools({"size": lambda *values: sum(len(value) for value in values)})
        box("kept = 1")
        yield box
        assert box("kept").output == 1


@pytest.mark.parametrize("value", [ESCAPED, WIDE])
def test_text_that_grows_on_its_way_is_told_as_a_value_and_refused_as_an_argument(box, value):
    assert "bytes on its way" in box(value).output
    with pytest.raises(CodeError, match=r"TypeError: size\(\) can't be given this: .* bytes on its way"):
        box(f"size({value})")


def test_arguments_that_are_too_much_together_are_refused(box):
    with pytest.raises(CodeError, match=r"TypeError: size\(\) can't be given this: .* bytes on its way"):
        box("size(*['x' * 4_000_000] * 3)")
    assert box("size(*['x' * 4_000_000] * 2)").output == 8_000_000


def test_many_long_ints_are_too_large_either_way(box):
    assert box("[10 ** 4000] * 2_000").output.endswith("more than 5,000,000 bytes)")
    with pytest.raises(CodeError, match="TypeError: .* too large"):
        box("size([10 ** 4000] * 100_000)")
    box.send_tools({"many": lambda: [10**4000] * 300_000})
    with pytest.raises(CodeError, match="TypeError: .* larger than 5,000,000 bytes"):
        box("many()")


def test_variables_that_are_too_much_together_are_refused_until_there_are_fewer(box):
    many = {f"a{number}": np.zeros(600_000) for number in range(13)}
    box.send_variables(many)
    for _ in range(2):
        with pytest.raises(ValueRefused, match="send fewer"):
            box("1")
    box.send_variables(dict.fromkeys(many))
    assert box("a0").output is None


def test_no_room_for_files_is_none_at_all(sandbox_image):
    with DockerSandbox(limits=SandboxSettings(image=sandbox_image, files_limit=0)) as box:
        with pytest.raises(CodeError, match="File too large|No space"):
            box("with open('a', 'w') as file: file.write('x')")
        with pytest.raises(CodeError, match="File too large|No space"):
            box("with open('b', 'wb') as file: file.truncate(1)")
        assert box("1 + 1").output == 2


def test_a_step_may_have_more_time_than_the_kernel_counts_at_once(sandbox_image):
    with DockerSandbox(image=sandbox_image, step_timeout=1e12) as box:
        box.send_tools({"size": len})
        assert box("import time\ntime.sleep(0.1)\nsize('abc')").output == 3
