"""How files become memories: `folders` finds them, `reading` checks them, the rest splits them into pieces."""
