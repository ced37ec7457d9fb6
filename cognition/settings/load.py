"""From keywords, environment and file to `Settings`, or to one message that says all that is wrong."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cognition.settings.complaints import complaint, complaints, nearest
from cognition.settings.errors import SettingsError
from cognition.settings.model import Settings
from cognition.settings.sources import FILE_NAME, EnvironmentSource, FileSource, KeywordSource, Source, Tree, merged
from layers.spec import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layers.spec import LayerSpec

BUILT_IN_TIERS = ("fast", "balanced", "deep", "offline")


def load_settings(path: str | Path | None = None, **keywords: Any) -> Settings:
    """Return the settings: keywords over environment over file over defaults, key by key.

    Args:
        path: the TOML file; without it `$DIONYSUS_CONFIG`, else the nearest `dionysus.toml` (see `find_file`).
        keywords: tables by name, each a mapping or the table's model: `memory={"url": "sqlite:///notes.db"}`, for which
            `memory="sqlite:///notes.db"` is short, as `sandbox="monty"` is; `tier=` names one tier for all layers, and
            among `tiers` there may be smolagents `Model` objects. `None` is the same as not given.

    Raises:
        SettingsError: a key is unknown, a value is wrong, or the file can't be read; the message names every one.
    """
    found = find_file(path)
    file = FileSource(found) if found else None
    below: Tree = file.tree if file else {}
    environment = EnvironmentSource(Settings, merged({"layers": {name: {} for name in DEFAULTS}}, below))
    given = KeywordSource(keywords)
    sources: list[Source] = [given, environment, *([file] if file else [])]
    tree = merged(merged(below, environment.tree), given.tree)
    try:
        settings = Settings.read(tree, found)
    except ValidationError as error:
        raise SettingsError("\n".join(complaints(Settings, error, tree, sources))) from None
    unknown = _unknown_names(settings, sources)
    if unknown:
        raise SettingsError("\n".join(unknown))
    return settings


def find_file(path: str | Path | None = None) -> Path | None:
    """Return the settings file: the one given, else `$DIONYSUS_CONFIG`, else the nearest `dionysus.toml`.

    The nearest is looked for in the working directory and its parents up to the top of the git repository or the home
    folder, never above: a file may start programs, so one that somebody left in `/tmp` must not be picked up.

    Raises:
        SettingsError: the file that was named does not exist.
    """
    named = path or os.environ.get("DIONYSUS_CONFIG")
    if named:
        chosen = Path(named).expanduser()
        if not chosen.is_file():
            where = "" if path else " (named by DIONYSUS_CONFIG)"
            raise SettingsError(f"There is no settings file {str(chosen)!r}{where}.")
        return chosen
    folders = _folders_to_search(_working_directory())
    return next((_short(folder / FILE_NAME) for folder in folders if (folder / FILE_NAME).is_file()), None)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise SettingsError("The working directory is gone: change to a folder that exists.") from None


def _folders_to_search(start: Path) -> Sequence[Path]:
    upward = [start, *start.parents]
    home = Path.home()
    for index, folder in enumerate(upward):
        if folder == home or (folder / ".git").exists():
            return upward[: index + 1]
    return upward[:1]


def _short(path: Path) -> Path:
    """A path below the working directory reads better without it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _unknown_names(settings: Settings, sources: Sequence[Source]) -> list[str]:
    """Return a line for each layer or tier that a layer names and that isn't there."""
    layers = {name for name in {*DEFAULTS, *settings.layers} if _enabled(settings, name)}
    tiers = {*BUILT_IN_TIERS, *settings.tiers}
    if settings.tier is not None and settings.tier not in tiers:
        sentence = f"there is no tier {settings.tier!r}; {nearest(settings.tier, tiers)}"
        return [complaint(("tier",), sentence, sources)]
    lines = [_unknown_layer(name, sources) for name, spec in settings.layers.items() if _is_misnamed(name, spec)]
    lines += [_unknown_tier(name, sources) for name in settings.tiers if _is_misnamed_tier(name, settings)]
    for name, spec in settings.layers.items():
        if spec.enabled and spec.tier not in tiers:
            sentence = f"tier: there is no tier {spec.tier!r}; {nearest(spec.tier, tiers)}"
            lines.append(complaint(("layers", name, "tier"), sentence, sources))
        for member in spec.team or () if spec.enabled else ():
            if member not in layers:
                sentence = f"team: there is no layer {member!r}; {nearest(member, layers)}"
                lines.append(complaint(("layers", name, "team"), sentence, sources))
    return lines


def _is_misnamed(name: str, spec: LayerSpec) -> bool:
    """Whether a table that would add a layer rather means one that is there: by its name, and by saying so little."""
    return name not in DEFAULTS and not spec.description and bool(get_close_matches(name, DEFAULTS, n=1, cutoff=0.75))


def _unknown_layer(name: str, sources: Sequence[Source]) -> str:
    meant = nearest(name, DEFAULTS)
    return complaint(("layers", name), f"there is no layer {name!r}; {meant} A new one needs a description.", sources)


def _is_misnamed_tier(name: str, settings: Settings) -> bool:
    """Whether a tier rather means a built-in one: nothing uses it, and its name is nearly the other's."""
    used = {settings.tier, *(spec.tier for spec in settings.layers.values())}
    others = [str(model) for tier in settings.tiers.values() for model in getattr(tier, "models", ())]
    near = get_close_matches(name, BUILT_IN_TIERS, n=1, cutoff=0.75)
    return name not in BUILT_IN_TIERS and name not in used and name not in others and bool(near)


def _unknown_tier(name: str, sources: Sequence[Source]) -> str:
    sentence = f"there is no tier {name!r}, and no layer names one; {nearest(name, BUILT_IN_TIERS)}"
    return complaint(("tiers", name), sentence, sources)


def _enabled(settings: Settings, name: str) -> bool:
    return settings.layers[name].enabled if name in settings.layers else True
