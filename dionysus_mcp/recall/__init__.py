"""How memories are found: `keywords` by words, `index` by meaning; `features` and `weights` rank, `search` joins."""
