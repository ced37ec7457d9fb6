"""The tiers of one `Mind`: from settings, keys and a user's own objects to models, each made once."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from layers.errors import LayerError, UnknownTier
from layers.tiers.gateway import Gateway
from layers.tiers.limits import Limits, Window
from layers.tiers.router import RouterModel
from layers.tiers.settings import (
    TEMPERATURES,
    Deployment,
    DeploymentSettings,
    ProviderKeys,
    TierSettings,
    default_tiers,
    resolve,
)
from observability.settings import home

if TYPE_CHECKING:
    from smolagents.models import Model

    from layers.run.loop import LoopThread
    from layers.tiers.base import ChatModel

    Served = TierSettings | Model | ChatModel

OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One deployment as `dionysus doctor` shows it.

    Attributes:
        model: LiteLLM's name.
        api_base: where it is asked for, `None` for the provider's own address.
        key: `present`, `missing`, `not needed`, or `unknown` where LiteLLM finds credentials in a way of its own.
        key_setting: what to set when the key is missing.
        price_known: whether a budget in USD can be kept.
    """

    model: str
    api_base: str | None
    key: str
    key_setting: str
    price_known: bool


@dataclass(frozen=True, slots=True)
class TierRow:
    """One tier as `dionysus doctor` shows it.

    Attributes:
        tier: its name.
        deployments: in order of failover; empty for `offline` and a user's own object.
        temperature: `None` where the tier has none.
        note: what else there is to say, in a few words.
    """

    tier: str
    deployments: tuple[DeploymentRow, ...]
    temperature: float | None
    note: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models in order of failover."""
        return tuple(row.model for row in self.deployments)


class Tiers:
    """The tiers by name. `fast`, `balanced`, `deep` and `offline` are always there.

    A standard tier that the settings leave out takes the defaults of the providers whose key is there; without such
    a key, a tier that is configured serves it; without any, `offline` does, and `notice` says so.

    Args:
        settings: per tier its settings, a smolagents `Model` object or a `ChatModel`.
        loop: where calls of LiteLLM run; not closed here.
        keys: keys of the environment.
        window: the file in which calls of limited tiers are counted; by default one in the home folder.

    Raises:
        LayerError: a tier is named `offline`, names itself or one that isn't there, or mixes `offline` with
            deployments.
    """

    def __init__(
        self,
        settings: Mapping[str, Served],
        loop: LoopThread,
        *,
        keys: ProviderKeys | None = None,
        window: Path | None = None,
    ) -> None:
        self._keys = ProviderKeys() if keys is None else keys
        self._loop = loop
        self._gateway = Gateway()
        self._window = Window(window or home() / "limits.db")
        self._lock = threading.Lock()
        self._models: dict[str, ChatModel] = {}
        if OFFLINE in settings:
            raise LayerError("The tier 'offline' is built in and takes no settings; give your tier another name.")
        self._served: dict[str, Served] = {**default_tiers(self._keys), **settings}
        self._stands_in = self._stand_ins()
        self._deployments = {
            name: self._expand(name, served) for name, served in self._served.items() if _is_settings(served)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a layer may use."""
        return tuple(dict.fromkeys([*TEMPERATURES, *self._served, OFFLINE]))

    @property
    def notice(self) -> str | None:
        """What the user should know of tiers that something else serves; `None` if there is nothing."""
        if not self._stands_in:
            return None
        if set(self._stands_in.values()) == {OFFLINE}:
            return (
                "No model is configured, so the offline tier answers: a deterministic policy over your memory, not a "
                "language model. Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or write [tiers.balanced] in dionysus.toml."
            )
        pairs = ", ".join(f"{name!r} by {by!r}" for name, by in self._stands_in.items())
        return f"Some tiers are not configured and are served by others: {pairs}. Write [tiers.NAME] to change that."

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values of all keys in use, for redaction."""
        known = [d.api_key.get_secret_value() for row in self._deployments.values() for d in row if d.api_key]
        return tuple(dict.fromkeys(known))

    def model(self, name: str) -> ChatModel:
        """Return a tier's model, made at its first use and then the same for every caller and thread.

        Raises:
            UnknownTier: no tier has that name.
        """
        with self._lock:
            if name not in self._models:
                self._models[name] = self._make(name)
            return self._models[name]

    def warm(self) -> None:
        """Begin to load what the configured tiers need, in the background; the first call waits less then."""
        if any(self._deployments.values()):
            self._gateway.warm()

    def describe(self) -> tuple[TierRow, ...]:
        """Return a row per tier; makes no call and loads no provider's code."""
        return tuple(self._row(name) for name in self.names)

    def close(self, timeout: float = 5.0) -> None:
        """Close the connections to providers, within `timeout` seconds; the loop must still run. Idempotent."""
        self._loop.submit(self._close()).result(timeout)

    async def _close(self) -> None:
        self._window.close()
        await self._gateway.close()

    def _make(self, name: str) -> ChatModel:
        name = self._stands_in.get(name, name)
        if name != OFFLINE and name not in self._served:
            raise self._unknown(name)
        deployments = self._deployments.get(name, ())
        served = self._served.get(name)
        if served is None or (isinstance(served, TierSettings) and not deployments):
            from layers.tiers.offline import OfflineModel

            return OfflineModel()
        if isinstance(served, TierSettings):
            return RouterModel(
                name,
                deployments,
                temperature=served.temperature_of(name),
                gateway=self._gateway,
                loop=self._loop,
                retries=served.retries,
                window=self._window,
                limits=Limits(served.requests_per_minute, served.tokens_per_minute),
                cooldown=served.cooldown,
            )
        return _as_chat_model(name, served)

    def _stand_ins(self) -> dict[str, str]:
        """Return which tier serves each standard tier that has nothing of its own."""
        missing = [name for name in TEMPERATURES if name not in self._served]
        nearest = ["balanced", "deep", "fast", *self._served]
        by = next((name for name in nearest if name in self._served), OFFLINE)
        return dict.fromkeys(missing, by)

    def _expand(self, name: str, settings: Served, path: tuple[str, ...] = ()) -> tuple[Deployment, ...]:
        """Return a tier's deployments, names of other tiers replaced by theirs; none for `["offline"]`."""
        if name in path:
            way = " → ".join([*path[path.index(name) :], name])
            raise LayerError(f"The tier {name!r} names itself ({way}); list models in [tiers.{name}] instead.")
        if not isinstance(settings, TierSettings):
            raise LayerError(f"The tier {path[-1]!r} lists {name!r}, which is an object; use its model names instead.")
        if settings.models == (OFFLINE,):
            return ()
        found: list[Deployment] = []
        for entry in settings.models:
            if entry == OFFLINE:
                raise LayerError(f'The tier {name!r} mixes "offline" with models; offline can only stand alone.')
            other = self._tier_named(entry)
            if entry in TEMPERATURES and other is None:
                raise LayerError(
                    f"The tier {name!r} names the tier {entry!r}, which has no models; write [tiers.{entry}]."
                )
            if other is not None:
                found += self._expand(other, self._served[other], (*path, name))
            else:
                found.append(resolve(name, settings, entry, self._keys))
        return tuple(found)

    def _tier_named(self, entry: str | DeploymentSettings) -> str | None:
        return entry if isinstance(entry, str) and entry in self._served else None

    def _row(self, name: str) -> TierRow:
        by = self._stands_in.get(name)
        if by is not None:
            return TierRow(name, (), None, f"not configured; served by {by!r}")
        served = self._served.get(name)
        if served is None or (isinstance(served, TierSettings) and not self._deployments[name]):
            return TierRow(name, (), None, "no network, no key, not a language model")
        if isinstance(served, TierSettings):
            rows = tuple(_deployment_row(deployment) for deployment in self._deployments[name])
            return TierRow(name, rows, served.temperature_of(name))
        return TierRow(name, (), None, f"your own object {type(served).__name__}")

    def _unknown(self, name: str) -> UnknownTier:
        near = difflib.get_close_matches(name, self.names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.names)}."
        return UnknownTier(f"There is no tier {name!r}. {hint} Or write [tiers.{name}] in dionysus.toml.")


def _is_settings(served: Any) -> bool:
    return isinstance(served, TierSettings)


def _as_chat_model(name: str, served: Any) -> ChatModel:
    from smolagents.models import Model

    if isinstance(served, Model):
        from layers.tiers.smolagents_model import SmolagentsModel

        return SmolagentsModel(name, served)
    if callable(getattr(served, "chat", None)) and callable(getattr(served, "bound", None)):
        return cast("ChatModel", served)
    raise LayerError(
        f"The tier {name!r} is a {type(served).__name__}; it must be a [tiers.{name}] table, a smolagents Model or a "
        f"ChatModel."
    )


def _deployment_row(deployment: Deployment) -> DeploymentRow:
    if deployment.api_key is not None:
        key = "present"
    elif deployment.key_needed:
        key = "missing"
    else:
        key = "not needed" if deployment.keyless else "unknown"
    return DeploymentRow(
        deployment.model, deployment.api_base, key, deployment.key_setting, deployment.price is not None
    )
