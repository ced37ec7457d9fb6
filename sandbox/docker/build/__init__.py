"""Makes the image that containers start from: with what a recipe asks for, and without what nobody needs in a box.

`dionysus sandbox build` and the tests' provisioning call `build`; sessions only ever use an image that is there.
"""

from sandbox.docker.build.making import build
from sandbox.docker.build.recipe import Recipe, Source

__all__ = ["Recipe", "Source", "build"]
