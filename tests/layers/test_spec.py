"""Layers as configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from layers import DEFAULTS, LayerError, LayerSpec, resolve_layers


def test_the_defaults_are_the_five_layers_with_their_limits():
    limits = {name: (spec.agent, spec.tier, spec.max_steps) for name, spec in resolve_layers({}).items()}
    assert limits == {
        "perceptual": ("tool_calling", "fast", 3),
        "conceptual": ("code", "balanced", 5),
        "abstract": ("code", "balanced", 7),
        "metacognitive": ("code", "balanced", 7),
        "consciousness": ("code", "balanced", 10),
    }


def test_the_manager_may_call_every_other_layer_and_nobody_else_may():
    layers = resolve_layers({"legal": {"call_as": "counsel"}})
    assert set(layers["consciousness"].members(layers)) == set(layers) - {"consciousness"}
    assert layers["legal"].members(layers) == ()


def test_a_change_keeps_the_other_fields():
    changed = resolve_layers({"abstract": {"max_steps": 2}})["abstract"]
    assert (changed.max_steps, changed.call_as) == (2, DEFAULTS["abstract"].call_as)


def test_a_layer_can_be_taken_out_but_not_the_manager():
    assert "abstract" not in resolve_layers({"abstract": {"enabled": False}})
    with pytest.raises(LayerError, match="leads the others"):
        resolve_layers({"consciousness": {"enabled": False}})


def test_a_team_with_an_unknown_layer_names_the_nearest():
    with pytest.raises(LayerError, match="Did you mean 'perceptual'"):
        resolve_layers({"abstract": {"team": ["perceptal"]}})


@pytest.mark.parametrize(
    "wrong", [{"max_steps": 0}, {"agent": "cod"}, {"tols": []}, {"call_as": "no name"}, {"max_steps": 201}]
)
def test_a_wrong_field_is_refused(wrong):
    with pytest.raises(ValidationError):
        LayerSpec(name="x", **wrong)
