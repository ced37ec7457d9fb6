"""A Chromium that runs headless, the one that is there or Debian's, and the driver that tests steer it by."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision.host import PartUnavailableError, apt_install, run

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_PLAYWRIGHTS_OWN = (
    (".cache/ms-playwright", "chromium-*/chrome-linux*/chrome"),
    ("Library/Caches/ms-playwright", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*"),
)
_DRIVER = (sys.executable, "-m", "playwright", "--version")
_BY_HAND = (
    "no Chromium or Chrome that runs. Install one (Debian: `apt install chromium` as root; macOS: Google Chrome;"
    " anywhere: `.venv/bin/playwright install chromium`) or set CHROMIUM to its path"
)


def provide() -> None:
    """Find one that runs, or install Debian's; and see to it that the driver of playwright runs too."""
    if _found() is None:
        apt_install("chromium", otherwise=_BY_HAND)
    if _found() is None:  # Ubuntu's package of this name only points at a snap
        raise PartUnavailableError(_BY_HAND)
    try:
        run(*_DRIVER)
    except PartUnavailableError as error:
        # Its node is linked against a library that a bare Debian doesn't have.
        apt_install("libatomic1", otherwise=f"playwright's driver doesn't run: {error}")
        run(*_DRIVER)


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield its path; tests start their own, so there's nothing to run here."""
    path = _found()
    if path is None:
        raise PartUnavailableError(_BY_HAND)
    yield {"TEST_CHROMIUM": path}


def _found() -> str | None:
    by_name = [path for path in map(shutil.which, _NAMES) if path]
    downloaded = [str(path) for place, pattern in _PLAYWRIGHTS_OWN for path in (Path.home() / place).glob(pattern)]
    candidates = [os.environ.get("CHROMIUM", ""), *by_name, *_PLACES, *downloaded]
    return next((path for path in candidates if path and Path(path).exists() and _runs(path)), None)


def _runs(path: str) -> bool:
    try:
        return "Chrom" in run(path, "--version", timeout=60)
    except PartUnavailableError:
        return False
