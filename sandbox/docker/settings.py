"""What the environment says about Docker, in the variables that the docker command reads too.

The only module of `sandbox.docker` that reads the environment.
"""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class DockerEnvironment(BaseSettings):
    """Docker's own variables, and the folders of this user. An empty variable counts as one that isn't set."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    docker_host: str | None = None
    docker_context: str | None = None
    docker_tls_verify: str | None = None
    docker_cert_path: str | None = None
    xdg_runtime_dir: Path | None = None


def build_cache() -> Path:
    """Return the folder in which builds keep what is slow to make: `dionysus` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("dionysus")
