"""Reports: whatever a model gives as its final answer can be read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from layers.report import Report

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(JSON | st.dictionaries(st.sampled_from(["answer", "evidence", "open_questions", "layer", "x"]), JSON))
def test_any_final_answer_can_be_read(output):
    report = Report.parse("layer", output)
    assert report.layer == "layer"
    report.as_json()


def test_json_text_is_read_fenced_or_not():
    for text in ('{"answer": "a", "more": 1}', '```json\n{"answer": "a", "more": 1}\n```'):
        report = Report.parse("layer", text)
        assert (report.answer, report.findings) == ("a", {"more": 1})


def test_plain_text_is_the_answer():
    assert Report.parse("layer", "It is blue.").answer == "It is blue."


def test_evidence_may_be_ids_or_objects():
    report = Report.parse("layer", {"answer": "", "evidence": ["m1", {"id": "m2", "quote": "q"}, {"no": "id"}, 3]})
    assert [(piece.id, piece.quote) for piece in report.evidence] == [("m1", ""), ("m2", "q")]


def test_findings_can_not_pass_for_the_layer():
    assert Report.parse("layer", {"answer": "", "layer": "other"}).as_json()["layer"] == "layer"


def test_text_nested_without_end_is_plain_text():
    deep = "[" * 200_000
    assert Report.parse("layer", deep).answer == deep


VALUES = st.none() | st.floats() | st.binary() | st.text(st.characters(exclude_categories=()))


@given(st.recursive(VALUES, lambda x: st.lists(x) | st.tuples(x)))
def test_any_value_of_code_becomes_json_that_can_be_sent_and_stored(value):
    report = Report.parse("layer", {"answer": value, "found": value})
    json.dumps(report.as_json(), allow_nan=False).encode()
    report.model_dump_json().encode()


def test_half_a_character_does_not_get_into_an_answer():
    report = Report.parse("layer", {"answer": "a\ud800b", "evidence": ["m\udfff"], "x\ud800": 1})
    assert report.answer == "a\ufffdb"
    json.dumps(report.as_json(), ensure_ascii=False).encode()


def test_an_object_without_end_is_cut():
    endless = []
    endless.append(endless)
    json.dumps(Report.parse("layer", {"answer": endless}).as_json())
