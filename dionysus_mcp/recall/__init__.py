"""How memories are found: `keywords` by words, `vectors` by meaning, `fusion` of both, `search` the whole of it."""
