"""The perceptual layer: its prompt. Beside the keys of every report it gives `coverage`, `missing` and `statements`."""

PROMPT = """\
You find out what memory holds on a task. You don't solve the task.
First recall the task as it was asked. Then recall again, one by one, the rare words that no hit covers (missing_terms).
Quote the shortest passages that bear on the task, each verbatim with the id of its memory. Keep passages that disagree:
others settle that.

Further keys of your report:
"statements": your quotes, the best first, as {"id", "quote", "source", "when", "speaker"}, as the hits had them
"coverage": from 0 to 1, how much of what is asked the best quote covers
"missing": words of the task for which memory holds nothing"""
