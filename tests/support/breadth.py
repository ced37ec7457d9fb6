"""What runs when: `make test` runs all but what is marked `exhaustive`, and the promises of time last and alone.

`make test-all` runs everything (`--exhaustive`). docs/testing.md says what each covers.
"""

import os
from pathlib import Path

import pytest

_PROMISES = Path("tests") / "promises"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("breadth")
    group.addoption(
        "--exhaustive",
        action="store_true",
        help="also what is marked so: the same contract under further engines, more examples, longer fuzzing",
    )
    group.addoption(
        "--promises",
        choices=("with", "without", "only"),
        default="with",
        help="tests in tests/promises, which measure real time: with all others, left out, or alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("hypothesispytest"):
        return  # a small pytest that a test starts: it has no properties, and to import hypothesis takes long
    from hypothesis import HealthCheck, settings

    # Machines are shared: no example is timed. In CI the same examples every time: a red run is about the change.
    settings.register_profile(
        "house", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.register_profile("exhaustive", settings.get_profile("house"), max_examples=500)
    settings.load_profile("exhaustive" if config.getoption("exhaustive") else "house")


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether this run is to try everything: for tests that take more examples, or fuzz longer, then."""
    return request.config.getoption("exhaustive")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import only what this run may choose from."""
    promises = config.rootpath / _PROMISES
    above = promises.is_relative_to(collection_path)
    return True if not above and _is_left_out(collection_path, config) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another part of the run, or only `make test-all`, runs."""
    left_out = [item for item in items if _is_left_out(item.path, config)]
    if not config.getoption("exhaustive"):
        left_out += [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        chosen = {*left_out}
        items[:] = [item for item in items if item not in chosen]


def _is_left_out(path: Path, config: pytest.Config) -> bool:
    inside = path.is_relative_to(config.rootpath / _PROMISES)
    return {"with": False, "without": inside, "only": not inside}[config.getoption("promises")]
