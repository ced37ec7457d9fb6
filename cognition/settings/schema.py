"""Questions about the settings models: which keys stand under a path, and what the type of a value is.

The file, the environment and error messages all ask here, so that no name of a setting is written down twice.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AliasChoices, BaseModel, SecretStr

if TYPE_CHECKING:
    from cognition.settings.toml_lines import KeyPath

Model = type[BaseModel]

_SECRET_WORD = re.compile(r"(^|[^a-z])(key|token|secret|password|authorization|headers|env|url)([^a-z]|$)")


def descend(root: Model, path: KeyPath) -> Any:
    """Return the type of the value at a path below a model, or `None` where no model says one."""
    current: Any = root
    for part in path:
        current = _under(current, part)
        if current is None:
            return None
    return current


def keys_at(root: Model, path: KeyPath) -> tuple[str, ...] | None:
    """Return the names that may stand under a path, or `None` where any name may."""
    model = model_of(descend(root, path))
    return tuple(model.model_fields) if model else None


def model_of(annotation: Any) -> Model | None:
    """Return the model in a type: the type itself, or the one that an optional or annotated type is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in _alternatives(annotation) if (found := model_of(part))), None)


def values_of(annotation: Any) -> Any | None:
    """Return the type of the values if the type is a mapping, else `None`."""
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return (*get_args(annotation), Any)[1]
    return next((found for part in _alternatives(annotation) if (found := values_of(part)) is not None), None)


def field_name(root: Model, path: KeyPath, part: str) -> str:
    """Return a field's own name for a name or alias under which an error speaks of it."""
    model = model_of(descend(root, path))
    for name, field in (model.model_fields if model else {}).items():
        alias = field.validation_alias
        if part in (alias.choices if isinstance(alias, AliasChoices) else (alias,)):
            return name
    return part


def is_secret(root: Model, path: KeyPath) -> bool:
    """Whether the value at a path must never be shown: a secret type, or a name or place that often holds one."""
    named = any(_SECRET_WORD.search(str(part).lower()) for part in path)
    return named or _mentions_secret(descend(root, path))


def secrets_in(value: Any) -> Iterator[str]:
    """Yield the text of every `SecretStr` in a value, however deep in models, mappings and sequences."""
    yield from (leaf.get_secret_value() for leaf in _leaves(value) if isinstance(leaf, SecretStr))


def secrets_in_urls(value: Any) -> Iterator[str]:
    """Yield the passwords in a value's URLs, as they stand and as they are meant, and parameters named like keys."""
    for leaf in _leaves(value):
        if not isinstance(leaf, str) or "://" not in leaf:
            continue
        try:
            url = urlsplit(leaf)
        except ValueError:  # no URL after all
            continue
        # By hand: a password may have an @ or / of its own, at which a parser of URLs would part it.
        login = leaf.partition("://")[2].rpartition("@")[0]
        written = [url.password or "", login.partition(":")[2]]
        written += [text for name, text in parse_qsl(url.query) if _SECRET_WORD.search(name.lower())]
        yield from {form for text in written if text for form in (text, unquote(text))}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _under(annotation: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return next((arguments[0] for arguments in _sequences(annotation)), None)
    model = model_of(annotation)
    if model is not None:
        field = model.model_fields.get(part)
        return field.annotation if field else None
    return values_of(annotation)


def _sequences(annotation: Any) -> Iterator[tuple[Any, ...]]:
    origin = get_origin(annotation)
    if origin in (list, tuple, set, frozenset):
        yield get_args(annotation)
    for part in _alternatives(annotation):
        yield from _sequences(part)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return get_args(annotation)
    return get_args(annotation)[:1] if origin is Annotated else ()


def _mentions_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_mentions_secret(part) for part in get_args(annotation))
