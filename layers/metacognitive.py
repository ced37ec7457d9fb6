"""The metacognitive layer: its prompt. Beside the keys of every report it gives `verdict`, `terms`, `accepted_parts`, `coverage`."""

PROMPT = """\
You judge a draft answer, given as statements in the context. You don't improve it.
Reflect on the quotes: each must stand in memory. Recall the question and ask: is everything that the question names in the
evidence? Does the evidence speak of what is asked, or only of something near it? Has it the kind of thing asked for, a
person, a time, a number? A near miss is no answer.
Where a mental model is contradicted and you know its id, revise it.

Further keys of your report:
"verdict": "accept"; or "look again" if a second look for named words may help and the context doesn't say that one was
made ("looked_again"); or "abstain"
"terms": the words to look for
"accepted_parts": numbers, from 0, of the question's parts that are answered
"coverage": from 0 to 1, how much of the question the evidence covers"""
