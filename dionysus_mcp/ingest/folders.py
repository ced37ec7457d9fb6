"""Which files of a folder are worth remembering: not the hidden, the generated and what version control ignores."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages", "dist", "build", "target"})
_SKIPPED_NAMES = frozenset({"package-lock.json", "pnpm-lock.yaml", "go.sum"})
_SKIPPED_ENDS = (
    *(".lock", ".min.js", ".min.css", ".map", ".pyc", ".so", ".o", ".a", ".dll", ".exe", ".whl", ".class", ".jar"),
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".zip", ".gz", ".bz2", ".xz", ".zst", ".tar", ".7z"),
    *(".woff", ".woff2", ".ttf", ".otf", ".mp3", ".mp4", ".mov", ".wav", ".onnx", ".safetensors", ".bin"),
    *(".db", ".sqlite", ".sqlite3", ".db-wal", ".db-shm"),
)
_GIT_SECONDS = 60


def files_under(folder: Path) -> list[Path]:
    """The files to take in, sorted; links are not followed."""
    listed = _tracked(folder)
    found = _walked(folder) if listed is None else iter(listed)
    return sorted(path for path in found if _wanted(path, folder))


def _wanted(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return (
        not any(part.startswith(".") for part in parts)
        and not _SKIPPED_FOLDERS.intersection(parts[:-1])
        and path.name not in _SKIPPED_NAMES
        and not path.name.lower().endswith(_SKIPPED_ENDS)
        and not path.is_symlink()
        and path.is_file()
    )


def _tracked(folder: Path) -> list[Path] | None:
    """What git knows of, tracked or new but not ignored; None where there is no git or no repository."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603 -- no shell
    except (OSError, subprocess.SubprocessError):
        return None
    # A folder that its own repository ignores lists nothing, but was named by the user: walk it.
    names = {name for name in os.fsdecode(listed.stdout).split("\0") if name}
    return [folder / name for name in names] or None


def _walked(folder: Path) -> Iterator[Path]:
    for root, names, files in os.walk(folder):
        # Changed in place: that is how os.walk is told where not to go.
        names[:] = [
            name
            for name in names
            if not name.startswith(".")
            and name not in _SKIPPED_FOLDERS
            and not (Path(root) / name / "pyvenv.cfg").exists()
        ]
        yield from (Path(root) / name for name in files)
