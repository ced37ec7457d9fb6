"""The revisions. Each is frozen once it was released: it speaks of the tables as they were then, not of `schema`."""
