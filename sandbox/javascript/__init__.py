"""Code in JavaScript: Node as the worker of a container, with the limits, the wire and the clean-up that Python has."""
