"""Where memories are kept: `sqlite` opens a store, `schema` is its tables, `memories` and `vectors` use them."""
