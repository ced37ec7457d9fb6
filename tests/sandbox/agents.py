"""A smolagents model that plays a script, and agents that have it."""

from smolagents import CodeAgent, Model
from smolagents.models import ChatMessage, ChatMessageStreamDelta, MessageRole
from smolagents.monitoring import LogLevel


class Script(Model):
    """Says one code block after the other, and keeps what it was asked."""

    def __init__(self, *blocks):
        super().__init__(model_id="script")
        self.blocks = iter(blocks)
        self.asked = []
        self.images = []

    def generate(self, messages, **_kwargs):
        parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
        self.asked.append("\n".join(part["text"] for part in parts if part.get("type") == "text"))
        self.images.append([part["image"] for part in parts if part.get("type") == "image"])
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought: go on\n<code>\n{next(self.blocks)}\n</code>")

    def generate_stream(self, messages, **_kwargs):
        for piece in self.generate(messages).content.splitlines(keepends=True):
            yield ChatMessageStreamDelta(content=piece)


def agent(box, model, **options):
    return CodeAgent(
        **{"tools": [], "max_steps": 6, "verbosity_level": LogLevel.OFF, **options}, model=model, executor=box
    )
