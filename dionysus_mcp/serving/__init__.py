"""The memory server for many clients: streamable HTTP, who may do what, how much, and a record of it."""
