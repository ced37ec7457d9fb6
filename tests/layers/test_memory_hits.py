"""What a layer is shown of a memory that it recalled."""

from dionysus_mcp.records import Hit
from layers.memory_tools import _hit


def test_of_metadata_that_are_too_long_the_beginning_is_shown():
    hit = Hit(id="m-1", content="Tea.", score=0.5, metadata_part='{"notes": "steeped for')
    assert _hit(hit)["metadata_part"] == '{"notes": "steeped for'
    assert _hit(hit)["metadata"] == {}


def test_of_other_metadata_there_is_no_part():
    hit = Hit(id="m-1", content="Tea.", score=0.5, metadata={"notes": "short"})
    assert _hit(hit)["metadata"] == {"notes": "short"}
    assert "metadata_part" not in _hit(hit)
