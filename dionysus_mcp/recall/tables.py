"""The table of word pieces; `store.tables` adds it to the others."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table

from dionysus_mcp.store.schema import metadata

piece = Table(
    "piece",
    metadata,
    Column(
        "memory_seq",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("memory.seq", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("model", String, primary_key=True),
    # How many have content, in one byte; then one bit a number of each piece's vector, one piece after the other.
    Column("signs", LargeBinary, nullable=False),
)
