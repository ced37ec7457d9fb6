"""Code in containers: the session, the engine it runs on, and the image it starts from."""
