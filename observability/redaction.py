"""Takes secrets out of text before it reaches a queue, a file or a collector.

Called on the thread that ends a span, so each rule is guarded by a literal that must occur: a plain search over 8 kB
costs a microsecond, a regular expression a hundred. No rule may backtrack without bound: the text is hostile.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from observability.secrets import REDACTED, Secrets

_VALUE_WINDOW = 131_072
_EDGE = 4096


class _Rule(NamedTuple):
    hint: str  # lower case; the rule can match only where this occurs
    pattern: re.Pattern[str]
    replacement: str = REDACTED


def _key(hint: str, pattern: str) -> _Rule:
    return _Rule(hint.lower(), re.compile(r"(?<![A-Za-z0-9])" + pattern))


_FIELD = (
    r"""(?i)((?:{name})\\{{0,3}}["']?\s{{0,8}}[:=]\s{{0,8}})"""
    r"""(?:(\\{{0,3}}["'])[^"'\\\n]{{1,8000}}"""  # a quoted value, or a bare one that has a digit: prose and code stay
    r"""|(?=[^\s"',;)&]{{0,200}}\d)[^\s"',;)&({{\[]{{8,8000}})"""
)


def _field(hint: str, name: str) -> _Rule:
    return _Rule(hint, re.compile(_FIELD.format(name=name)), rf"\g<1>\g<2>{REDACTED}")


_RULES = (
    _Rule(
        "private key",
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"),
    ),
    _Rule(
        "authorization",
        re.compile(
            r"""(?i)(authorization\\{0,3}["']?\s{0,8}[:=]\s{0,8}\\{0,3}["']?)"""
            r"""(?:(?:basic|bearer|token|digest|apikey|negotiate)\s{1,8})?[^\s"'\\,;]{1,8000}"""
        ),
        rf"\g<1>{REDACTED}",
    ),
    _Rule("bearer", re.compile(r"(?i)(bearer\s{1,8})(?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{8,8000}"), rf"\g<1>{REDACTED}"),
    _Rule(
        "cookie",
        re.compile(r"""(?i)(cookie\\{0,3}["']?:\s{0,8}\\{0,3}["']?[^\s=;"']{1,64}=)[^"'\\\n]{1,4000}"""),
        rf"\g<1>{REDACTED}",
    ),
    _Rule("://", re.compile(r"(://[^\s/:@\"']{0,256}:)[^\s/@\"']{1,256}(?=@)"), rf"\g<1>{REDACTED}"),
    _Rule("eyj", re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{8,8000}\.[\w-]{8,8000}\.[\w-]{0,8000}")),
    _key("sk-", r"sk-[\w-]{16,400}"),
    _key("sk_", r"sk_(?:live|test)_\w{10,200}"),
    _key("rk_", r"rk_(?:live|test)_\w{10,200}"),
    _key("ghp_", r"ghp_\w{20,255}"),
    _key("gho_", r"gho_\w{20,255}"),
    _key("ghu_", r"ghu_\w{20,255}"),
    _key("ghs_", r"ghs_\w{20,255}"),
    _key("ghr_", r"ghr_\w{20,255}"),
    _key("github_pat_", r"github_pat_\w{20,255}"),
    _key("glpat-", r"glpat-[\w-]{16,255}"),
    _key("xox", r"xox[abeoprs]-[\w-]{10,255}"),
    _key("akia", r"AKIA[A-Z0-9]{16}"),
    _key("asia", r"ASIA[A-Z0-9]{16}"),
    _key("aiza", r"AIza[\w-]{30,60}"),
    _key("ya29.", r"ya29\.[\w.-]{16,2000}"),
    _key("hf_", r"hf_[A-Za-z0-9]{20,100}"),
    _key("gsk_", r"gsk_[A-Za-z0-9]{20,200}"),
    _key("xai-", r"xai-[A-Za-z0-9]{20,200}"),
    _key("pplx-", r"pplx-[A-Za-z0-9]{20,200}"),
    _key("tvly-", r"tvly-[\w-]{16,200}"),
    _key("r8_", r"r8_[A-Za-z0-9]{20,100}"),
    _key("npm_", r"npm_[A-Za-z0-9]{20,100}"),
    _key("pypi-", r"pypi-[\w-]{16,1000}"),
    _key("sg.", r"SG\.[\w-]{16,64}\.[\w-]{16,64}"),
    _field("key", r"api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|account[_-]?key"),
    _field("token", r"token"),
    _field("secret", r"secret"),
    _field("passw", r"password|passwd"),
    _field("passphrase", r"passphrase"),
    _field("credential", r"credentials?"),
)
_SENSITIVE_NAME = re.compile(
    r"(?i)(?:^|[._-])(?:authorization|cookie|api[_-]?key|access[_-]?key|secret(?:[_-]?key)?|private[_-]?key|password|passwd"
    r"|passphrase|(?:access|auth|refresh|bearer|id|api)[_-]?token|token|credentials?)$"
)


class Redactor:
    """Replaces secrets in text by `[redacted]`: keys of the common shapes, tokens, Authorization, and what it was told.

    Args:
        secrets: values that must never appear, such as those of environment variables; also found where JSON or a URL
            has escaped them.
        patterns: regular expressions of the user's own.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._secrets = Secrets(secrets)
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def redact(self, text: str) -> tuple[str, int]:
        """Return the text without secrets, and how many were taken out.

        Of a text longer than 128 k characters only both ends are kept, less 4 k at each cut: a key that the cut halves
        would no longer look like one.
        """
        if len(text) > _VALUE_WINDOW:
            half = _VALUE_WINDOW // 4
            head, first = self.redact(text[:half])
            tail, second = self.redact(text[-half:])
            left_out = len(text) - 2 * (half - _EDGE)
            return f"{head[:-_EDGE]} … [{left_out} characters left out] … {tail[_EDGE:]}", first + second
        return self._redact(text)

    def names_a_secret(self, attribute: str) -> bool:
        """Whether an attribute's own name says that its value is secret, as in `http.request.header.authorization`."""
        return _SENSITIVE_NAME.search(attribute) is not None

    def _redact(self, text: str) -> tuple[str, int]:
        text, count = self._secrets.redact(text)
        lowered = text.lower()
        for rule in _RULES:
            if rule.hint in lowered:
                text, found = rule.pattern.subn(rule.replacement, text)
                count += found
        for pattern in self._patterns:
            text, found = pattern.subn(lambda match: REDACTED if match.group() else "", text)
            count += found
        return text, count
