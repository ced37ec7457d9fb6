"""What is remembered, how it is recalled, which beliefs hold: a memory server, its client and its administration.

Other packages use `client` (any MCP server, and memory over MCP), `records` (what comes back), `settings`, and, from
the command only, `admin` (ingest, statistics). The rest is the server's own.
"""
