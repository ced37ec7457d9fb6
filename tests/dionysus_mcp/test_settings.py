import os

import pytest
from pydantic import SecretStr, ValidationError

from dionysus_mcp.client import HttpServer, StdioServer, memory_server
from dionysus_mcp.settings import McpServerSettings, MemorySettings, as_environment
from observability import TraceSettings


def test_without_a_setting_memory_lives_in_the_data_folder(home):
    assert MemorySettings().url == f"sqlite:///{home / 'memory.db'}"


def test_database_url_names_the_store_and_our_own_variable_wins(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///a.db")
    assert MemorySettings().url == "sqlite:///a.db"
    monkeypatch.setenv("DIONYSUS_MEMORY__URL", "sqlite:///b.db")
    assert MemorySettings().url == "sqlite:///b.db"
    assert MemorySettings(url="sqlite:///c.db").url == "sqlite:///c.db"


def test_a_foreign_variable_named_url_means_nothing(monkeypatch, home):
    monkeypatch.setenv("URL", "sqlite:///wrong.db")
    assert "wrong" not in MemorySettings().url


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="embeder"):
        MemorySettings(embeder="none")


def test_settings_are_the_same_in_another_process(monkeypatch, tmp_path):
    memory = MemorySettings(url=f"sqlite:///{tmp_path}/x.db", embedder="none", project="p", token_budget=500)
    trace = TraceSettings(path=tmp_path / "t.db", redact=("abc+",), otlp_headers={"key": SecretStr("very-secret")})
    for name, value in (as_environment(memory) | as_environment(trace)).items():
        monkeypatch.setenv(name, value)
    assert MemorySettings() == memory
    assert TraceSettings() == trace
    assert TraceSettings().otlp_headers["key"].get_secret_value() == "very-secret"


def test_our_server_is_started_without_the_working_directory_on_its_path(settings, trace):
    server = memory_server(settings, trace)
    assert server.args == ("-P", "-m", "dionysus_mcp.server")
    assert server.env["DIONYSUS_MEMORY__URL"] == settings.url
    assert server.env["DIONYSUS_TRACE__PATH"] == str(trace.path)


def test_the_python_path_is_handed_on(settings, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    assert "/somewhere/else" in memory_server(settings).env["PYTHONPATH"].split(os.pathsep)


def test_a_server_is_named_by_command_or_by_url():
    assert McpServerSettings(command="git-mcp", args=("-v",)).target() == StdioServer(command="git-mcp", args=("-v",))
    assert McpServerSettings(url="http://x/mcp").target() == HttpServer(url="http://x/mcp")


@pytest.mark.parametrize("both_or_none", [{}, {"command": "x", "url": "http://x"}])
def test_a_server_with_both_or_neither_is_refused(both_or_none):
    with pytest.raises(ValidationError, match="either `command`"):
        McpServerSettings(**both_or_none)


def test_neither_secrets_nor_passwords_show_in_an_address():
    http = HttpServer(url="https://me:pass@host.org/mcp?x=1", headers={"Authorization": "Bearer s3cret"})
    assert http.address == "https://host.org/mcp?x=1"
    assert "s3cret" not in repr(http)
    assert "s3cret" not in repr(StdioServer(command="x", env={"KEY": "s3cret"}))
