"""Access tokens: each has a name, a scope and what it may do. Only digests are kept, so the file gives none away.

A token is 32 random bytes, so one plain SHA-256 is enough: there is nothing to guess that a slow hash would protect.
"""

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dionysus_mcp.errors import MemoryStoreError

PREFIX = "dmem_"
"""Lets people and scanners for leaked secrets see what it is."""


class Token(BaseModel):
    """One access token, without its secret.

    Attributes:
        name: What the audit log calls its bearer.
        digest: SHA-256 of the secret, in hexadecimal.
        tenant: First half of the only scope that it reaches.
        project: Second half.
        user: Whose memories it reaches beside those that the project shares; None the shared ones alone.
        session: The only session that it reaches; None all.
        read_only: Whether it may only read.
        created_at: When it was made.
        expires_at: From then on it is refused; None never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    tenant: str = Field(default="local", min_length=1)
    project: str = Field(default="default", min_length=1)
    user: str | None = Field(default=None, min_length=1)
    session: str | None = Field(default=None, min_length=1)
    read_only: bool = False
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether it is refused by `now`."""
        return self.expires_at is not None and self.expires_at <= now


_FILE = TypeAdapter(list[Token])


class TokenFile:
    """The tokens that a server accepts. Read anew whenever the file has changed, so a revoked one is refused at once.

    Args:
        path: A JSON file with rights for its owner alone; there need not be one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def tokens(self) -> list[Token]:
        """All tokens, by name.

        Raises:
            MemoryStoreError: if the file can't be read, or isn't one of tokens.
        """
        self._refresh()
        return sorted(self._tokens.values(), key=lambda token: token.name)

    def verified(self, secret: str) -> Token | None:
        """The token of this secret; None if there is none, or it has expired.

        Looked up by digest: how long that takes says nothing about the secret.

        Raises:
            MemoryStoreError: as `tokens`.
        """
        self._refresh()
        found = self._tokens.get(_digest(secret))
        return None if found is None or found.is_expired(datetime.now(UTC)) else found

    def add(
        self,
        name: str,
        *,
        tenant: str = "local",
        project: str = "default",
        user: str | None = None,
        session: str | None = None,
        read_only: bool = False,
        expires_at: datetime | None = None,
    ) -> str:
        """Make a token and return its secret, which is shown nowhere else and can't be had again.

        Raises:
            MemoryStoreError: if the name is taken or not a name, or the file can't be written.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        try:
            token = Token(
                name=name,
                digest=_digest(secret),
                tenant=tenant,
                project=project,
                user=user,
                session=session,
                read_only=read_only,
                created_at=datetime.now(UTC),
                expires_at=expires_at,
            )
        except ValidationError as error:
            wrong = error.errors(include_input=False)[0]
            raise MemoryStoreError(f"A token's {wrong['loc'][0]} is wrong: {wrong['msg']}.") from error
        with self._locked():
            if any(one.name == name for one in self.tokens()):
                raise MemoryStoreError(
                    f"There is a token {name!r} already; choose another name, or revoke it: "
                    f"`dionysus memory token revoke {name}`."
                )
            self._write([*self._tokens.values(), token])
        return secret

    def revoke(self, name: str) -> None:
        """Refuse a token from now on.

        Raises:
            MemoryStoreError: if there is none of that name, or the file can't be written.
        """
        with self._locked():
            kept = [token for token in self.tokens() if token.name != name]
            if len(kept) == len(self._tokens):
                known = ", ".join(token.name for token in kept) or "none"
                raise MemoryStoreError(f"There is no token {name!r}; there are: {known}.")
            self._write(kept)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """One change at a time, so that two administrators lose none of their tokens."""
        import fcntl

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            if status.st_mode & 0o077:
                raise MemoryStoreError(
                    f"The token file {self.path} can be read or written by others; `chmod 600 {self.path}` and revoke "
                    "what they may have seen."
                )
            tokens = _FILE.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            self._tokens, self._seen = {}, None
            return
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a list of tokens"
            raise MemoryStoreError(
                f"The token file {self.path} can't be used: {reason}. Correct it, or remove it and make tokens anew "
                "with `dionysus memory token add NAME`."
            ) from error
        self._tokens = {token.digest: token for token in tokens}
        self._seen = seen

    def _write(self, tokens: list[Token]) -> None:
        """Replace the file at once: a server that reads it meanwhile sees the old one or the new one, whole."""
        text = json.dumps(_FILE.dump_python(tokens, mode="json"), indent=1) + "\n"
        try:
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)  # rights: 0600
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unwritable(error) from error
        self._seen = None

    def _unwritable(self, error: OSError) -> MemoryStoreError:
        return MemoryStoreError(
            f"The token file {self.path} can't be written: {error.strerror}. Choose another place with "
            "DIONYSUS_SERVER__TOKENS."
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
