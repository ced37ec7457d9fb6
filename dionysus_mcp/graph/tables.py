"""The tables of the knowledge graph, and the triggers by which a mirror learns of what ended.

What a memory tells is believed for as long as the memory is: a mention has no times of its own, and a relation that was
read from a memory ends with it at the latest. Only what somebody told without a memory ends by itself. So nothing must
be ended here when a memory is forgotten, and a purge takes the rows along by their foreign keys.
"""

from sqlalchemy import DDL, Column, Float, ForeignKey, Index, Integer, String, Table, Text, event

from dionysus_mcp.store.schema import Moment, metadata
from dionysus_mcp.store.scoping import scope_columns

entity = Table(
    "graph_entity",
    metadata,
    # Made of the scope and the key, so that two processes that find the same entity agree without asking.
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("project", String, nullable=False),
    # The name in its normal form; names that are equal in it are the same entity.
    Column("key", String, nullable=False),
    # The first word of the key, by which a person is found who is called by it alone.
    Column("head", String, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
)
Index("graph_entity_key", entity.c.tenant, entity.c.project, entity.c.key, unique=True)
Index("graph_entity_head", entity.c.tenant, entity.c.project, entity.c.head)

mention = Table(
    "graph_mention",
    metadata,
    # The entity first: the latest memories of one entity are what is asked for.
    Column("entity_id", String, ForeignKey("graph_entity.id"), primary_key=True),
    Column("memory_seq", Integer, ForeignKey("memory.seq", ondelete="CASCADE"), primary_key=True),
    # How it was found: as a speaker, by a name, a phrase, a model.
    Column("how", String, nullable=False),
)
Index("graph_mention_memory", mention.c.memory_seq)

relation = Table(
    "graph_relation",
    metadata,
    Column("id", String, primary_key=True),
    # Who may see it: who may see the memory, or whoever told it.
    *scope_columns(),
    Column("subject_id", String, ForeignKey("graph_entity.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("object_id", String, ForeignKey("graph_entity.id"), nullable=False),
    # What it stands on; null where somebody told it without naming a memory.
    Column("memory_seq", Integer, ForeignKey("memory.seq", ondelete="CASCADE")),
    Column("extractor", String, nullable=False),
    Column("told_by", String),
    Column("confidence", Float, nullable=False),
    # Where in the memory's content the sentence stands that says so.
    Column("first", Integer),
    Column("last", Integer),
    Column("valid_from", Moment),
    Column("valid_to", Moment),
    Column("recorded_from", Moment, nullable=False),
    Column("recorded_to", Moment),
    Column("ending_reason", Text),
)
Index("graph_relation_subject", relation.c.subject_id, relation.c.type)
Index("graph_relation_object", relation.c.object_id, relation.c.type)
Index("graph_relation_memory", relation.c.memory_seq)

seen = Table(
    "graph_seen",
    metadata,
    # Which memories were read, and by whom; what lacks a row is read in the background.
    Column("memory_seq", Integer, ForeignKey("memory.seq", ondelete="CASCADE"), primary_key=True),
    Column("reader", String, nullable=False),
)

mirror = Table(
    "graph_mirror",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("project", String, primary_key=True),
    # Names this scope's graph in the mirror, where other stores may have theirs.
    Column("graph", String, nullable=False),
)

# The outbox: what the mirror must be told of. A row says what changed, not how; how it is now is read when it is told.
change = Table(
    "graph_change",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("project", String, nullable=False),
    # "memory" with its id, or "relation" with the id of one that stands on no memory.
    Column("kind", String, nullable=False),
    Column("ref", String, nullable=False),
    sqlite_autoincrement=True,
)
Index("graph_change_scope", change.c.tenant, change.c.project, change.c.seq)

# Memories end in many ways (forgotten, superseded, imported as ended, purged), and each must reach the outbox in the
# same transaction. A trigger can't be forgotten by the next way that is built.
_TELL = (
    "INSERT INTO graph_change(tenant, project, kind, ref) SELECT old.tenant, old.project, 'memory', old.id "
    "WHERE EXISTS (SELECT 1 FROM graph_mirror WHERE tenant = old.tenant AND project = old.project)"
)
_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER graph_memory_closed AFTER UPDATE OF recorded_to ON memory "
        f"WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN {_TELL}; END",
        f"CREATE TRIGGER graph_memory_purged AFTER DELETE ON memory BEGIN {_TELL}; END",
    ),
    "postgresql": (
        f"CREATE FUNCTION graph_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_TELL}; RETURN NULL; END $$",
        "CREATE TRIGGER graph_memory_closed AFTER UPDATE OF recorded_to ON memory FOR EACH ROW "
        "WHEN (old.recorded_to IS NULL AND new.recorded_to IS NOT NULL) EXECUTE FUNCTION graph_tell()",
        "CREATE TRIGGER graph_memory_purged AFTER DELETE ON memory FOR EACH ROW EXECUTE FUNCTION graph_tell()",
    ),
}
for _dialect, _statements in _TRIGGERS.items():
    for _statement in _statements:
        # With `relation`, which refers to `memory` and so is made after it.
        event.listen(relation, "after_create", DDL(_statement).execute_if(dialect=_dialect))
