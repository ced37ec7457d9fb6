"""Tools that look at mental models: all of them page by page, and one with its whole history."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dionysus_mcp.paging import page, place_of, versions_within
from dionysus_mcp.quoting import ABOUT
from dionysus_mcp.records import MentalModel, MentalModels
from observability import Kind

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from dionysus_mcp.service import Service

_MOST = 1000
"""Models that are looked through; nobody holds more."""


class BeliefTools:
    """The tools that read mental models.

    Args:
        traced: Gives the service and the span of one call, as `Tools` does for its own.
    """

    def __init__(self, traced: "Callable[..., AbstractContextManager[tuple[Service, Span]]]") -> None:
        self._traced = traced

    def list_mental_models(
        self, cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None
    ) -> MentalModels:
        """The beliefs that are held, those that need revision first; each with the latest of its versions."""
        with self._traced(Kind.MEMORY, "list_mental_models") as (service, _):
            held = [brief(one) for one in service.models.held(_MOST)]
            kept, following = page(held, service.settings.token_budget, place_of(cursor)[0])
            return MentalModels(about=ABOUT, models=kept, next_cursor=following)

    def get_mental_model(
        self,
        model_id: Annotated[str, Field(min_length=1, description="Of the belief.")],
        cursor: Annotated[str | None, Field(description="next_cursor of the result before.")] = None,
    ) -> MentalModel:
        """One belief with all its versions, and how each had fared when it was left."""
        with self._traced(Kind.MEMORY, "get_mental_model") as (service, _):
            return versions_within(service.models.get(model_id), service.settings.token_budget, cursor)


def brief(model: MentalModel) -> MentalModel:
    """A model with the latest of its versions alone."""
    return model.model_copy(update={"history": model.history[-1:]})
