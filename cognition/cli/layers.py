"""`dionysus layers`: who thinks, with which model, tools and limit, as configured."""

from typing import TYPE_CHECKING, Any

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from cognition.settings import Settings
    from layers.spec import LayerSpec
    from layers.tiers.registry import TierRow


EXAMPLES = examples(
    "dionysus layers",
    "dionysus layers --layer abstract.max_steps=3 --layer conceptual.enabled=false",
    "dionysus layers --json",
)


def layers(
    tier: options.Tier = None,
    layer: options.Layers = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Show the layers and tiers as they are configured."""
    from cognition.cli.output import emit, notices, render
    from layers.spec import resolve_layers

    settings = options.settings_from(config, tier=tier, layers=layer)
    specs = resolve_layers(settings.layers)
    tiers, note = tier_rows(settings)
    if as_json:
        emit({"file": settings.file, "layers": _plain_layers(specs), "tiers": _plain_tiers(tiers), "note": note})
        return ExitCode.DONE
    render(_layer_table(specs), _tier_table(tiers), f"\nSettings: {settings.file or 'no dionysus.toml; the defaults'}")
    notices([note] if note else [], quiet=False)
    return ExitCode.DONE


def tier_rows(settings: "Settings") -> "tuple[tuple[TierRow, ...], str | None]":
    """Return a row for each tier, and what the user should know of tiers that others serve.

    Raises:
        LayerError: a tier can't be served as it is configured.
    """
    from layers.run import LoopThread
    from layers.tiers.registry import Tiers

    loop = LoopThread()
    try:
        tiers = Tiers(settings.tiers, loop)
        return tiers.describe(), tiers.notice
    finally:
        loop.close()


def _layer_table(specs: "dict[str, LayerSpec]") -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("layer", "called as", "agent", "tier", "steps", "tools", "may call"):
        table.add_column(heading, justify="right" if heading == "steps" else "left")
    for name, spec in specs.items():
        members = [specs[member].callable_name for member in spec.members(specs)]
        table.add_row(
            name,
            spec.callable_name,
            spec.agent,
            spec.tier,
            str(spec.max_steps),
            ", ".join(spec.tools) or "-",
            ", ".join(members) or "-",
        )
    return table


def _tier_table(tiers: "tuple[TierRow, ...]") -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("\ntier", "\nmodels, in order of failover", "\ntemperature", "\nnote"):
        table.add_column(heading)
    for row in tiers:
        models = ", ".join(f"{each.model} (key {each.key})" for each in row.deployments)
        temperature = "-" if row.temperature is None else f"{row.temperature:g}"
        table.add_row(row.tier, models or "-", temperature, row.note)
    return table


def _plain_layers(specs: "dict[str, LayerSpec]") -> list[dict[str, Any]]:
    return [spec.model_dump(mode="json") | {"team": list(spec.members(specs))} for spec in specs.values()]


def _plain_tiers(tiers: "tuple[TierRow, ...]") -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [asdict(row) for row in tiers]
