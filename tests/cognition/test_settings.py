"""Where settings come from, and which of them wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cognition.settings import Settings, SettingsError, find_file, load_settings
from layers.spec import LayerSpec, resolve_layers

pytestmark = pytest.mark.usefixtures("clean_environment")


def write(text: str, path: str = "dionysus.toml") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.file is None
    assert settings.memory.url == f"sqlite:///{tmp_path / 'home' / 'memory.db'}"
    assert settings.trace.path == tmp_path / "home" / "trace.db"
    assert settings.sandbox.backend == "auto"
    assert settings.budget.model_dump(exclude_none=True) == {}
    assert resolve_layers(settings.layers)["perceptual"].max_steps == 3


def test_every_table_of_the_file_is_read() -> None:
    write("""
        [memory]
        url = "sqlite:///notes.db"
        [sandbox]
        backend = "monty"
        step_timeout = 5
        [trace]
        enabled = false
        [budget]
        usd = 0.5
        steps = 40
        [layers.abstract]
        max_steps = 2
        [layers.legal]
        call_as = "counsel"
        tier = "local"
        [tiers.local]
        models = [{model = "openai/x", api_base = "http://localhost:1234/v1"}]
        [mcp.github]
        command = "github-mcp"
        env = {GITHUB_TOKEN = "ghp_0123456789"}
    """)
    settings = load_settings()
    assert settings.file == Path("dionysus.toml")
    assert settings.memory.url == "sqlite:///notes.db"
    assert (settings.sandbox.backend, settings.sandbox.step_timeout) == ("monty", 5.0)
    assert settings.trace.enabled is False
    assert (settings.budget.usd, settings.budget.steps) == (0.5, 40)
    assert settings.layers["abstract"].tools == resolve_layers({})["abstract"].tools  # what wasn't named is kept
    assert settings.layers["abstract"].max_steps == 2
    assert resolve_layers(settings.layers)["legal"].call_as == "counsel"
    assert settings.tiers["local"].models
    assert settings.mcp["github"].env == {"GITHUB_TOKEN": "ghp_0123456789"}


@pytest.mark.parametrize("places", range(1, 16))
def test_keywords_beat_the_environment_which_beats_the_file(clean_environment: pytest.MonkeyPatch, places: int) -> None:
    """Each of the four places either says a URL or not; the highest that does wins."""
    keyword, variable, database_url, file = (bool(places & bit) for bit in (8, 4, 2, 1))
    if file:
        write('[memory]\nurl = "sqlite:///file.db"')
    if database_url:
        clean_environment.setenv("DATABASE_URL", "sqlite:///database_url.db")
    if variable:
        clean_environment.setenv("DIONYSUS_MEMORY__URL", "sqlite:///variable.db")
    given: dict[str, Any] = {"memory": {"url": "sqlite:///keyword.db"}} if keyword else {}
    said = [(keyword, "keyword"), (variable, "variable"), (database_url, "database_url"), (file, "file")]
    winner = next(name for is_there, name in said if is_there)
    assert load_settings(**given).memory.url == f"sqlite:///{winner}.db"


@given(
    st.tuples(*[st.fixed_dictionaries({}, optional={"steps": st.integers(1, 99), "tokens": st.integers(1, 99)})] * 3)
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_precedence_holds_key_by_key(
    clean_environment: pytest.MonkeyPatch, places: tuple[dict[str, int], dict[str, int], dict[str, int]]
) -> None:
    file, environment, keywords = places
    write("[budget]\n" + "".join(f"{key} = {value}\n" for key, value in file.items()))
    with clean_environment.context() as patch:
        for key, value in environment.items():
            patch.setenv(f"DIONYSUS_BUDGET__{key.upper()}", str(value))
        budget = load_settings(budget=keywords).budget
    assert budget.model_dump(exclude_none=True) == {**file, **environment, **keywords}


def test_a_nested_variable_changes_one_key_of_one_tier(clean_environment: pytest.MonkeyPatch) -> None:
    write('[tiers.Local]\nmodels = ["openai/x"]\ntemperature = 0.5')
    clean_environment.setenv("DIONYSUS_TIERS__LOCAL__TEMPERATURE", "0.7")
    tiers = load_settings().tiers
    assert list(tiers) == ["Local"]
    assert tiers["Local"].temperature == 0.7


def test_a_variable_gives_lists_and_tables_as_json(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("DIONYSUS_LAYERS__ABSTRACT__TOOLS", '["recall"]')
    clean_environment.setenv("DIONYSUS_MCP__GIT__COMMAND", "git-mcp")
    clean_environment.setenv("DIONYSUS_MCP__GIT__ENV", '{"TOKEN": "t-123"}')
    settings = load_settings()
    assert settings.layers["abstract"].tools == ("recall",)
    assert settings.mcp["git"].env == {"TOKEN": "t-123"}


def test_names_in_a_servers_own_environment_keep_their_case(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("DIONYSUS_MCP__GIT__COMMAND", "git-mcp")
    clean_environment.setenv("DIONYSUS_MCP__GIT__ENV__GITHUB__Token", "t-123")
    assert load_settings().mcp["git"].env == {"GITHUB__Token": "t-123"}


def test_short_keywords_mean_the_key_that_matters_most() -> None:
    settings = load_settings(memory="sqlite:///k.db", sandbox="monty", tiers=None, layers=None)
    assert (settings.memory.url, settings.sandbox.backend) == ("sqlite:///k.db", "monty")


def test_one_tier_can_serve_all_layers() -> None:
    write('[layers.legal]\ntier = "fast"')
    layers = resolve_layers(load_settings(tier="offline").layers)
    assert {spec.tier for spec in layers.values()} == {"offline"}
    assert "legal" in layers
    assert len(layers) == 6


def test_a_whole_layer_given_as_a_keyword_replaces_the_one_in_the_file() -> None:
    write("[layers.abstract]\nmax_steps = 2\nprompt = 'short'")
    spec = LayerSpec(name="abstract", max_steps=4)
    assert load_settings(layers={"abstract": spec}).layers["abstract"] == spec


def test_some_keys_of_a_layer_given_as_keywords_leave_the_others_of_the_file() -> None:
    write("[layers.abstract]\nmax_steps = 2\nprompt = 'short'")
    layer = load_settings(layers={"abstract": {"max_steps": 4}}).layers["abstract"]
    assert (layer.max_steps, layer.prompt) == (4, "short")


def test_a_model_object_can_be_a_tier() -> None:
    model = object()
    settings = load_settings(tiers={"mine": model}, layers={"abstract": {"tier": "mine"}})
    assert settings.tiers["mine"] is model


def test_secrets_are_collected_and_never_shown(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("OPENAI_API_KEY", "sk-from-environment")
    write("""
        [tiers.local]
        models = [{model = "openai/x", api_key = "sk-of-deployment"}]
        api_key = "sk-of-the-tier"
        [mcp.github]
        url = "https://mcp.example"
        headers = {Authorization = "Bearer abcdef"}
        [memory]
        url = "postgresql://me:pass%40word@host/db"
        [trace.otlp_headers]
        x-key = "otlp-secret"
    """)
    settings = load_settings()
    of_tiers = {"sk-from-environment", "sk-of-deployment", "sk-of-the-tier"}
    secrets = of_tiers | {"Bearer abcdef", "pass%40word", "pass@word", "otlp-secret"}
    assert settings.secrets() >= secrets
    shown = repr(settings.tiers) + repr(settings.mcp) + repr(settings.trace)
    assert not [secret for secret in secrets if secret in shown]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().tier = "x"


class TestFindingTheFile:
    def test_the_nearest_file_up_to_the_top_of_the_repository_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("repo/.git").mkdir(parents=True)
        Path("repo/a/b").mkdir(parents=True)
        outer = write("", "repo/dionysus.toml").resolve()
        monkeypatch.chdir("repo/a/b")
        found = find_file()
        assert found is not None
        assert found.resolve() == outer
        inner = write("", "../dionysus.toml").resolve()
        found = find_file()
        assert found is not None
        assert found.resolve() == inner

    def test_a_file_above_the_repository_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("repo/.git").mkdir(parents=True)
        write("")
        monkeypatch.chdir("repo")
        assert find_file() is None

    def test_outside_of_any_repository_and_of_home_only_the_working_directory_counts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("")
        Path("below").mkdir()
        assert find_file() == Path("dionysus.toml")
        monkeypatch.chdir("below")
        assert find_file() is None

    def test_the_variable_beats_the_nearest_and_the_argument_beats_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write("[budget]\nsteps = 1")
        write("[budget]\nsteps = 2", "variable.toml")
        write("[budget]\nsteps = 3", "argument.toml")
        assert load_settings().budget.steps == 1
        monkeypatch.setenv("DIONYSUS_CONFIG", "variable.toml")
        assert load_settings().budget.steps == 2
        assert load_settings("argument.toml").budget.steps == 3

    @pytest.mark.parametrize("how", ["argument", "variable"])
    def test_a_file_that_is_named_but_not_there_is_an_error(self, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        if how == "variable":
            monkeypatch.setenv("DIONYSUS_CONFIG", "nowhere.toml")
        with pytest.raises(SettingsError, match=r"no settings file 'nowhere\.toml'"):
            load_settings("nowhere.toml" if how == "argument" else None)


def test_the_packages_keep_reading_their_own_variables_alone(clean_environment: pytest.MonkeyPatch) -> None:
    """What one process hands to the memory server by variables is what the settings here would say."""
    from dionysus_mcp.settings import MemorySettings, as_environment

    settings = load_settings(memory={"url": "sqlite:///handed.db", "tenant": "acme"})
    for name, value in as_environment(settings.memory).items():
        clean_environment.setenv(name, value)
    assert MemorySettings() == settings.memory == load_settings().memory
    assert isinstance(load_settings(), Settings)
