"""Wrong settings: each is named with its place and the nearest right name, all in one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from cognition.settings import SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("clean_environment")


def complaint(text: str | None = None, **keywords: object) -> str:
    if text is not None:
        Path("dionysus.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(**keywords)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[memory]\nulr = "x"', "dionysus.toml:2: [memory] unknown key 'ulr'; did you mean 'url'?"),
        ("\n[memroy]\nx = 1", "dionysus.toml:2: unknown table 'memroy'; did you mean 'memory'?"),
        ('memory.tennant = "x"', "dionysus.toml:1: [memory] unknown key 'tennant'; did you mean 'tenant'?"),
        (
            '[tiers.fast]\nmodels = ["a/b"]\n\ntemprature = 1',
            "dionysus.toml:4: [tiers.fast] unknown key 'temprature'; did you mean 'temperature'?",
        ),
        (
            '[tiers.fast]\nmodels = [\n  {model = "a/b"},\n  {modle = "c/d"},\n]',
            "dionysus.toml:4: [tiers.fast] unknown key 'modle'; did you mean 'model'?",
        ),
        ('[tiers."very.fast"]\nmodels = [1]', "dionysus.toml:2: [tiers.very.fast] models[0] = 1:"),
        ("[[tiers.fast.models]]\n[[tiers.fast.models]]\nmdel = 1", "dionysus.toml:3: [tiers.fast] unknown key 'mdel'"),
        ('[sandbox]\nbackend = "dokcer"', "dionysus.toml:2: [sandbox] backend: there is no sandbox backend 'dokcer'"),
        (
            '[sandbox]\nstep_timeout = "soon"',
            "dionysus.toml:2: [sandbox] step_timeout = 'soon': input should be a valid",
        ),
        (
            '[layers.legal]\nagent = "tol_calling"',
            "dionysus.toml:2: [layers.legal] agent = 'tol_calling': input should be 'code' or 'tool_calling';"
            " did you mean 'tool_calling'?",
        ),
        (
            "[layers.abstract]\nmax_steps = 0",
            "dionysus.toml:2: [layers.abstract] max_steps = 0: input should be greater",
        ),
        (
            '[layers.abstract]\ntier = "fats"',
            "dionysus.toml:2: [layers.abstract] tier: there is no tier 'fats'; did you mean 'fast'?",
        ),
        (
            '[layers.abstract]\nteam = ["perceptul"]',
            "dionysus.toml:2: [layers.abstract] team: there is no layer 'perceptul'; did you mean 'perceptual'?",
        ),
        (
            "[layers.abstrakt]\nmax_steps = 3",
            "dionysus.toml:1: [layers.abstrakt] there is no layer 'abstrakt'; did you mean 'abstract'? A new one needs",
        ),
        ("[budget]\nusd = -1", "dionysus.toml:2: [budget] usd = -1: input should be greater than 0"),
        ('[mcp.x]\ncommand = "a"\nurl = "b"', "dionysus.toml:1: [mcp.x] set either `command`"),
        ('[trace]\nredact = ["("]', "dionysus.toml:2: [trace] redact"),
        ('[memory]\nurl = "a"\nurl = "b"', "dionysus.toml:3: this is not valid TOML"),
        ('[memory]\nurl = "a', "dionysus.toml:2: this is not valid TOML"),
        ("[memory\n", "dionysus.toml:1: this is not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, said: str) -> None:
    assert said in complaint(text)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DIONYSUS_MEMORY__ULR", "x", "[memory] there is no such setting; did you mean DIONYSUS_MEMORY__URL?"),
        ("DIONYSUS_MEMORY_URL", "x", "there is no such setting; did you mean DIONYSUS_MEMORY__URL?"),
        ("DIONYSUS_MEMROY__URL", "x", "there is no such setting; did you mean DIONYSUS_MEMORY__URL?"),
        (
            "DIONYSUS_LAYERS__ABSTRACT__MAXSTEPS",
            "3",
            "DIONYSUS_LAYERS__ABSTRACT__MAXSTEPS: [layers.abstract] there is no such setting;"
            " did you mean DIONYSUS_LAYERS__ABSTRACT__MAX_STEPS?",
        ),
        ("DIONYSUS_SANDBOX__STEP_TIMEOUT", "soon", "DIONYSUS_SANDBOX__STEP_TIMEOUT: [sandbox] step_timeout = 'soon'"),
        ("DIONYSUS_LAYERS__ABSTRACT__TOOLS", "recall", "a variable gives it as JSON"),
        ("DIONYSUS_ANYTHING", "x", "DIONYSUS_ANYTHING: there is no such setting"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(
    clean_environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    clean_environment.setenv(name, value)
    message = complaint()
    assert message.startswith(f"{name}: ")
    assert said in message


def test_a_mistake_in_a_keyword_is_named_with_the_keyword() -> None:
    assert complaint(trace={"pth": 1}) == "keyword trace: [trace] unknown key 'pth'; did you mean 'path'?"
    assert complaint(tier="ofline") == "keyword tier: there is no tier 'ofline'; did you mean 'offline'?"
    assert complaint(memroy="x").startswith("keyword memroy: unknown table 'memroy'; did you mean 'memory'?")


def test_the_place_with_precedence_is_the_one_that_is_blamed(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("DIONYSUS_BUDGET__STEPS", "-2")
    said = complaint("[budget]\nsteps = -1\ntokens = -1")
    assert "DIONYSUS_BUDGET__STEPS: [budget] steps = '-2'" in said
    assert "dionysus.toml:3: [budget] tokens = -1" in said
    assert "dionysus.toml:2" not in said


def test_all_mistakes_are_in_one_message_in_the_order_of_the_lines() -> None:
    said = complaint('[memory]\nulr = "x"\n[budget]\nusd = -1\n[nonsense]\n[sandbox]\nmemory = "much"').splitlines()
    assert [line.split(": ")[0] for line in said] == [f"dionysus.toml:{number}" for number in (2, 4, 5, 7)]


@pytest.mark.parametrize(
    "text",
    [
        '[tiers.fast]\nmodels = ["a/b"]\napi_key = ["sk-very-secret"]',
        '[mcp.x]\nurl = ["https://sk-very-secret@host"]',
        '[mcp.x]\ncommand = "c"\nenv = {TOKEN = ["sk-very-secret"]}',
        '[trace]\notlp_headers = {Authorization = ["sk-very-secret"]}',
    ],
)
def test_a_wrong_value_is_not_shown_where_it_may_be_secret(text: str) -> None:
    assert "sk-very-secret" not in complaint(text)


def test_a_file_that_is_not_text_is_an_error() -> None:
    Path("dionysus.toml").write_bytes(b"\xff\xfe\x00")
    assert "can't be read: it is not UTF-8 text" in complaint()


def test_a_layer_name_that_code_could_not_call_is_an_error() -> None:
    assert "dionysus.toml:1: [layers.two words] 'two words': string should match" in complaint(
        '[layers."two words"]\nmax_steps = 3'
    )


def test_a_value_where_a_table_belongs_is_an_error() -> None:
    assert "dionysus.toml:1: memory" in complaint("memory = 3")
    assert "dionysus.toml:2: [layers.abstract]" in complaint("[layers]\nabstract = 3")


def test_a_misspelt_tier_is_named_with_its_line_and_the_right_name(tmp_path, clean_environment):
    path = tmp_path / "dionysus.toml"
    path.write_text('[tiers.fats]\nmodels = ["openai/gpt-6-luna"]\n')
    with pytest.raises(SettingsError, match=r"dionysus\.toml:1:.*'fats'.*did you mean 'fast'"):
        load_settings(path)


def test_a_tier_of_ones_own_that_a_layer_names_may_be_called_nearly_as_another(tmp_path, clean_environment):
    path = tmp_path / "dionysus.toml"
    path.write_text('[tiers.faster]\nmodels = ["openai/gpt-6-luna"]\n[layers.abstract]\ntier = "faster"\n')
    assert "faster" in load_settings(path).tiers
