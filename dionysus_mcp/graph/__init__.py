"""The knowledge graph: entities, what memories tell of them, and where that is kept besides the store."""
