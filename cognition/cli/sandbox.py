"""`dionysus sandbox`: make the image that generated code runs in, and see which engine and image are there."""

import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    import docker

    from sandbox.docker.image import Image

BUILD_EXAMPLES = examples(
    "dionysus sandbox build",
    "dionysus sandbox build --with numpy pandas pillow",
    "dionysus sandbox build --with numpy==2.3.1 --no-node --tag lab:1",
)
STATUS_EXAMPLES = examples("dionysus sandbox status", "dionysus sandbox status --json")
_BUILDING = 900  # seconds that the engine may be silent during a build
_ANSWER = 10  # seconds that it has for one answer otherwise
sandbox = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Build the sandbox's image; see what is there.")


class From(StrEnum):
    """Where the base of the image comes from."""

    AUTO = "auto"
    DOCKERFILE = "dockerfile"
    DEBOOTSTRAP = "debootstrap"


@sandbox.command("build", epilog=BUILD_EXAMPLES)
def build(
    more: Annotated[list[str] | None, typer.Argument(metavar="[PACKAGE]...", hidden=True)] = None,
    packages: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PACKAGE...", help="Packages of PyPI, such as numpy pandas==3.0.1."),
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="NAME", help="Name of it; else that of [sandbox].")
    ] = None,
    no_node: Annotated[bool, typer.Option("--no-node", help="Without Node: smaller, and no JavaScript.")] = False,
    source: Annotated[
        From, typer.Option("--from", help="dockerfile: a registry's Python; debootstrap: Debian's, as root.")
    ] = From.AUTO,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Build the image for containers and give it its name; what had the name before is removed.

    A build that fails or is interrupted leaves all as it was.
    """
    from cognition.cli.output import emit

    if more and not packages:
        raise typer.BadParameter(f"{more[0]!r} needs --with before it: --with {' '.join(more)}", param_hint="--with")
    settings = options.settings_from(config).sandbox
    recipe, name = _checked([*(packages or ()), *(more or ())], tag or settings.image, node=not no_node)
    from sandbox.docker.build import build as build_image
    from sandbox.docker.detect import connect
    from sandbox.docker.settings import build_cache

    with closing(connect(settings, timeout=_BUILDING)) as api, _told(silent=quiet or as_json) as progress:
        image = build_image(api, recipe, name, cache=build_cache(), source=source.value, progress=progress)
    if as_json:
        emit(_plain(image))
    elif not quiet:
        _show(image)
    return ExitCode.DONE


@sandbox.command("status", epilog=STATUS_EXAMPLES)
def status(config: options.Config = None, as_json: options.Json = False, debug: options.Debug = False) -> int:
    """Show the Docker engine, the image and our containers; exit code 6 if engine or image is missing."""
    from dataclasses import asdict

    from cognition.cli.containers import engine_check, image_check, runtime_check
    from cognition.cli.output import emit, render
    from sandbox import SandboxUnavailable
    from sandbox.docker.detect import choose_runtime, connect, facts
    from sandbox.docker.image import find

    settings = options.settings_from(config).sandbox
    with closing(connect(settings, timeout=_ANSWER)) as api:
        engine, containers = facts(api), _containers(api)
        image, runtime, lack = None, None, ""
        try:
            runtime = choose_runtime(engine, settings.runtime)
            image = find(api, settings.image)
        except SandboxUnavailable as error:
            lack = str(error)
    if as_json:
        found = None if image is None else _plain(image)
        told = {"engine": asdict(engine), "runtime": runtime or engine.default_runtime, "image": found}
        emit({**told, "missing": lack or None, "containers": containers})
    else:
        said = engine_check(engine)
        render(said.finding, *([said.advice] if said.advice else []))
        render(*([runtime_check(runtime, engine).finding, image_check(image).finding] if image else [lack]))
        render(*[f"{each['name']}: {each['state']}, {each['created']}" for each in containers] or ["No containers."])
    return ExitCode.DONE if image else ExitCode.PART


def _checked(packages: list[str], name: str, *, node: bool) -> Any:
    from sandbox.docker.build.recipe import Recipe, checked_tag

    try:
        recipe = Recipe.of(packages, node=node)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--with") from error
    try:
        return recipe, checked_tag(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--tag") from error


def _containers(api: "docker.APIClient") -> list[dict[str, str]]:
    """Those that we started, by labels of ours; labels of the image, which any container of it has, don't count."""
    from sandbox.docker.image import LABEL

    ours = [
        each
        for each in api.containers(all=True)
        if any(name.startswith("dionysus.") and not name.startswith(LABEL) for name in each.get("Labels") or {})
    ]
    return [{"name": each["Names"][0].lstrip("/"), "state": each["State"], "created": each["Status"]} for each in ours]


def _plain(image: "Image") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(image)


def _show(image: "Image") -> None:
    from cognition.cli.containers import image_check
    from cognition.cli.output import render

    render(image_check(image).finding)


@contextmanager
def _told(*, silent: bool) -> "Generator[Callable[[str], None]]":
    """Show what happens: one line that changes in a terminal, lines elsewhere."""
    from cognition.cli.output import notice, one_line, printable

    if silent:
        yield lambda line: None
    elif not sys.stderr.isatty():
        yield lambda line: notice(one_line(line, 200))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True)
        with console.status("building") as shown:
            yield lambda line: shown.update(Text(printable(one_line(line, max(20, console.width - 4)))))
