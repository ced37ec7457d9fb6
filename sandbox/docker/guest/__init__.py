"""Source that runs inside of a container; `wire` and `tags` are used on both sides."""
