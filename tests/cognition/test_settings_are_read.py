"""No setting is documented, accepted and then read by nobody: each field's name, changed, is missed somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from cognition.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cognition", "layers", "dionysus_mcp", "sandbox", "observability")


def models(top: type[BaseModel]) -> dict[type[BaseModel], None]:
    """The models that a model is composed of, itself first."""
    found: dict[type[BaseModel], None] = {}
    left = [top]
    while left:
        model = left.pop()
        if model not in found:
            found[model] = None
            left += [each for field in model.model_fields.values() for each in named_in(field.annotation)]
    return found


def named_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for part in typing.get_args(annotation) for each in named_in(part)]


def own_models() -> list[type[BaseModel]]:
    """All of them that are ours, with the bases that bring fields along."""
    bases = {base for model in models(Settings) for base in model.__mro__ if base not in (BaseModel, object)}
    return [base for base in bases if issubclass(base, BaseModel) and base.__module__.split(".")[0] in PACKAGES]


def leaves(model: type[BaseModel]) -> list[str]:
    """The model's own fields that hold no other model: whoever reads one of these has read the one around it."""
    fields = model.model_fields
    return [name for name in model.__annotations__ if name in fields and not named_in(fields[name].annotation)]


def renamed(text: str, model: type[BaseModel]) -> str:
    """The source with the model's own leaves under other names."""
    head = re.search(rf"^class {model.__name__}\b.*\n", text, re.MULTILINE)
    assert head, model
    body = re.compile(r"(?:^(?:    .*)?\n)*", re.MULTILINE).match(text, head.end())
    assert body
    fields = "|".join(map(re.escape, leaves(model))) or "(?!)"
    changed = re.sub(rf"^(    )({fields})(: )", r"\1\2_renamed\3", body[0], flags=re.MULTILINE)
    return text[: body.start()] + changed + text[body.end() :]


@pytest.fixture(scope="module")
def missed(tmp_path_factory) -> set[tuple[str, str]]:
    """Class and name of each attribute that the type checker misses when all fields have other names."""
    folder = tmp_path_factory.mktemp("renamed")
    for package in PACKAGES:
        left_out = shutil.ignore_patterns("__pycache__", "*.onnx", "embedding_files")
        shutil.copytree(ROOT / package, folder / package, ignore=left_out)
    for model in own_models():
        path = folder / Path(*model.__module__.split(".")).with_suffix(".py")
        path = path if path.exists() else path.with_suffix("") / "__init__.py"
        path.write_text(renamed(path.read_text("utf-8"), model), "utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "basic", "include": [*PACKAGES]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=840, check=False)
    said = [each["message"] for each in json.loads(done.stdout)["generalDiagnostics"]]
    found = [re.search(r'attribute "(\w+)" for class "(?:type\[)?(\w+)[*"\]]', each) for each in said]
    return {(each[2], each[1]) for each in found if each}


@pytest.mark.exhaustive  # a whole run of the type checker
@pytest.mark.timeout(900)
def test_every_field_of_every_settings_model_is_read_somewhere(missed):
    bearers = models(Settings)
    unread = []
    for model in own_models():
        names = {bearer.__name__ for bearer in bearers if issubclass(bearer, model)} | {model.__name__}
        unread += [
            f"{model.__name__}.{field}" for field in leaves(model) if not any((name, field) in missed for name in names)
        ]
    assert unread == []
