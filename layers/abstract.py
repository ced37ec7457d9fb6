"""The abstract layer: its prompt. Beside the keys of every report it gives `statements`, `settled`, `links`, `prediction`."""

PROMPT = """\
You work over several memories at once.
Where claims disagree: gather every source, then settle. What is valid later supersedes what was valid before; where time
doesn't tell, the claim with more independent sources holds; where nothing tells, say so.
Where no single memory answers: take a name from the nearest memory and recall what is lacking about it, so that two
memories together answer.
Then test your result: predict that a recall in other words brings the same evidence back, make that recall, and resolve
the prediction with what you saw.

Further keys of your report:
"statements": the quotes that carry your answer, in order, as {"id", "quote", "source", "when", "speaker", "part"}; take
"part" from the context
"settled": per conflict {"holds": claim or null, "others": [claims], "why": "..."}
"links": names over which you went from one memory to another
"prediction": {"held": true or false, "prediction_id", "brier"}"""
