"""From a credential to a recipient, and the making of credentials. Pure: no HTTP, no database.

A key decides which algorithms it may be used with, never the token: a secret checks HS256 alone, a public key only
the algorithm of its own type. So a token "signed" with the text of a public key is nothing but a wrong signature.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from belfry import errors
from belfry.config import Config

LEEWAY_SECONDS = 5.0
"""How far the clock of who signs may run ahead. There is none at the end: a token is over when it says so."""

MAX_TOKEN_BYTES = 8192
REMEMBERED_TOKENS, REMEMBERED_BYTES = 20_000, 1024
"""How many tokens a verifier knows again, and up to which length. Who comes back brings the one they had, and after a
fault of the network all come back at once."""

MAX_EXPIRY = 2**53  # past that a float is no second anymore
MAX_NAME_CHARACTERS = 255
MIN_RSA_BITS = 2048
KEY_PREFIX = "bf_"
TICKET = "ticket"
NO_TENANT = "/"
"""No tenant has this name: asked for one that the token does not allow."""

_NAME = re.compile(r"[^/\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}\Z")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credential:
    """Who a token speaks for, until when (seconds since 1970), and what it narrows them to."""

    recipient: str
    expires_at: float
    topics: frozenset[str] | None = None
    tenant: str | None = None

    def narrowed(self, topics: Iterable[str] | None, tenant: str | None) -> Credential:
        """The same person seeing less: what a request asks for, as far as the token allows it."""
        asked = None if topics is None else frozenset(filter(valid_name, topics))
        both = asked if self.topics is None else self.topics if asked is None else self.topics & asked
        return dataclasses.replace(self, topics=both, tenant=_one_of(self.tenant, tenant))


def _one_of(granted: str | None, asked: str | None) -> str | None:
    """The tenant of the token; a request can only name the same one, any other has no rows."""
    tenant = granted if asked is None else asked
    possible = not tenant or valid_name(tenant)
    return NO_TENANT if not possible or (granted is not None and tenant != granted) else tenant


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    """One key and the only algorithm it is good for."""

    algorithm: str
    material: Any
    id: str | None = None


def valid_name(name: str) -> bool:
    """Whether this may name a recipient or a topic."""
    return _NAME.match(name) is not None


# --- checking ----------------------------------------------------------------------------------------------


class Verifier:
    """Checks tokens with the keys of one configuration; several keys are valid at once, for rotation."""

    def __init__(self, config: Config) -> None:
        """Read the keys. Raises ConfigError for a file without a usable public key."""
        self._keys = list(_keys(config))
        self._meant = _meant(config)
        self._known: dict[tuple[bytes, bool], Credential] = {}  # by hash, to keep no secret; last used last

    def recipient(self, token: str, *, ticket: bool = False) -> Credential:
        """The credential of a token from a header or the cookie, or of a ticket from the query. Raises Unauthorized.

        Each is refused in the place of the other: a URL is written down in more places than a header. Whose signature
        and claims were found good once is known again, for the keys do not change: then only its end is asked.
        """
        if not token or len(token) > MAX_TOKEN_BYTES:
            raise errors.Unauthorized("The token is malformed: get a new one.")
        mark = hashlib.sha256(token.encode(errors="surrogatepass")).digest(), ticket
        credential = self._known.pop(mark, None) or self._checked(token, ticket=ticket)
        if credential.expires_at <= time.time():
            raise errors.Unauthorized("The token has expired: get a new one.")
        if len(token) <= REMEMBERED_BYTES:
            self._known[mark] = credential
            if len(self._known) > REMEMBERED_TOKENS:
                del self._known[next(iter(self._known))]
        return credential

    def _checked(self, token: str, *, ticket: bool) -> Credential:
        claims = self._claims(token)
        use = claims.get("use")
        if ticket and use != TICKET:
            raise errors.Unauthorized("This is no ticket: send a token in a header, or get a ticket.")
        if not ticket and use == TICKET:
            raise errors.Unauthorized("This is a ticket: send it as `?ticket=`, or get a token.")
        if not ticket and use is not None:
            _refuse("use", f"left out, or `{TICKET}` for a ticket")
        for claim, wanted in self._meant.items():
            held: Any = claims.get(claim)
            if wanted not in (held if claim == "aud" and isinstance(held, list) else [held]):
                raise errors.Unauthorized(f"The token's `{claim}` is not what Belfry is told to take: get another one.")
        return _credential(claims)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise errors.Unauthorized("The token is malformed: get a new one.") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        keys = [key for key in self._keys if key.algorithm == algorithm]
        if not keys:
            raise errors.Unauthorized("The token's algorithm is not accepted: sign it with a key that Belfry knows.")
        named = [key for key in keys if key_id is not None and key.id == key_id]
        for key in named or keys:
            try:
                return _decode(token, key)
            except jwt.InvalidSignatureError:
                continue
        raise errors.Unauthorized("The token is signed with a key that Belfry does not know: get a new one.")


def _meant(config: Config) -> dict[str, str]:
    """The claims that every token must have: by whom it was made (RFC 7519, 4.1.1) and for whom (4.1.3)."""
    wanted = {"iss": config.token_issuer, "aud": config.token_audience}
    return {claim: value for claim, value in wanted.items() if value is not None}


def _decode(token: str, key: _Key) -> dict[str, Any]:
    """The claims. Raises InvalidSignatureError for a foreign key, Unauthorized for what else is wrong."""
    options: Any = {
        "require": ["exp", "sub"],
        "verify_exp": False,
        "verify_aud": False,
        "verify_iat": False,
        "verify_sub": False,
    }
    try:
        return jwt.decode(token, key.material, algorithms=[key.algorithm], leeway=LEEWAY_SECONDS, options=options)
    except jwt.InvalidSignatureError:
        raise
    except jwt.ImmatureSignatureError:
        raise errors.Unauthorized("The token is not valid yet: check the clocks.") from None
    except jwt.MissingRequiredClaimError as missing:
        raise errors.Unauthorized(f"The token has no `{missing.claim}`: it is required.") from None
    except (jwt.PyJWTError, ValueError, OverflowError):
        raise errors.Unauthorized("The token is malformed: get a new one.") from None


def _expiry(claims: Mapping[str, Any]) -> float:
    expiry = claims["exp"]
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 <= expiry <= MAX_EXPIRY:
        _refuse("exp", "a time in seconds since 1970")
    return float(expiry)


def _credential(claims: Mapping[str, Any]) -> Credential:
    subject, topics, tenant = claims.get("sub"), claims.get("topics"), claims.get("tenant")
    if not isinstance(subject, str) or not valid_name(subject):
        _refuse("sub", f"a recipient of 1 to {MAX_NAME_CHARACTERS} characters without `/` or control characters")
    if topics is not None and not _is_names(topics):
        _refuse("topics", "a list of topics")
    if tenant is not None and not (isinstance(tenant, str) and (tenant == "" or valid_name(tenant))):
        _refuse("tenant", "the name of a tenant")
    return Credential(
        recipient=subject,
        expires_at=_expiry(claims),
        topics=None if topics is None else frozenset(cast(list[str], topics)),
        tenant=tenant,
    )


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and valid_name(name) for name in cast(list[object], value)
    )


def _refuse(claim: str, expected: str) -> NoReturn:
    raise errors.Unauthorized(f"The token's `{claim}` must be {expected}.")


# --- keys --------------------------------------------------------------------------------------------------


def _keys(config: Config) -> Iterable[_Key]:
    for secret in (config.secret, config.previous_secret):
        if secret:
            yield _Key("HS256", secret)
    if config.public_key_file:
        yield from _pem_keys(config.public_key_file)
    if config.jwks_file:
        yield from _jwks_keys(config.jwks_file)


def _pem_keys(path: Path) -> list[_Key]:
    blocks = list(_PEM.finditer(_read(path)))
    if not blocks:
        raise errors.ConfigError(f"{path} holds no PEM public key (-----BEGIN PUBLIC KEY-----).")
    return [_pem_key(path, block) for block in blocks]


def _pem_key(path: Path, block: re.Match[str]) -> _Key:
    if "PRIVATE" in block.group(1):
        raise errors.ConfigError(f"{path} holds a private key: give Belfry the public one only.")
    try:
        public = load_pem_public_key(block.group(0).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise errors.ConfigError(f"{path} holds a PEM block that is no public key.") from None
    return _Key(_algorithm(public, path), public)


def _jwks_keys(path: Path) -> list[_Key]:
    try:
        document = json.loads(_read(path))
        entries = cast(list[dict[str, Any]], document["keys"])
        keys = [_jwk(entry, path) for entry in entries if entry.get("use", "sig") == "sig"]
    except (KeyError, TypeError, AttributeError, ValueError, jwt.PyJWTError):
        raise errors.ConfigError(f'{path} is no JWKS document ({{"keys": [...]}}) of public keys.') from None
    if not keys:
        raise errors.ConfigError(f"{path} holds no key for signatures.")
    return keys


def _jwk(entry: dict[str, Any], path: Path) -> _Key:
    if entry.get("kty") == "oct" or "d" in entry:
        raise errors.ConfigError(f"{path} holds a secret key: give Belfry public keys only.")
    public = jwt.PyJWK.from_dict(entry).key
    algorithm = _algorithm(public, path)
    if entry.get("alg", algorithm) != algorithm:
        raise errors.ConfigError(f"{path} holds a key for another algorithm than RS256, ES256 or EdDSA.")
    return _Key(algorithm, public, entry.get("kid"))


def _algorithm(public: object, path: Path) -> str:
    match public:
        case rsa.RSAPublicKey() if public.key_size >= MIN_RSA_BITS:
            return "RS256"
        case ec.EllipticCurvePublicKey() if isinstance(public.curve, ec.SECP256R1):
            return "ES256"
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "EdDSA"
        case _:
            raise errors.ConfigError(
                f"{path} holds a key that fits none of RS256 ({MIN_RSA_BITS} bits or more), ES256 (P-256) and EdDSA."
            )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise errors.ConfigError(f"{path} cannot be read: {type(fault).__name__}.") from None


# --- making ------------------------------------------------------------------------------------------------


def mint(
    config: Config,
    recipient: str,
    ttl_seconds: float,
    ticket: bool = False,
    topics: Collection[str] | None = None,
    tenant: str | None = None,
) -> str:
    """A token (or a ticket, for `?ticket=` alone) signed with the secret. Raises SecretMissing, BadRequest."""
    if not config.secret:
        raise errors.SecretMissing("There is no secret to sign with: set BELFRY_SECRET to 32 bytes or more.")
    for name in (recipient, *(topics or ())):
        if not valid_name(name):
            raise errors.BadRequest(
                f"{name[:40]!r} is no name: 1 to {MAX_NAME_CHARACTERS} characters without `/` or control characters."
            )
    now = int(time.time())
    claims: dict[str, Any] = {"sub": recipient, "iat": now, "exp": now + max(1, round(ttl_seconds)), **_meant(config)}
    if ticket:
        claims["use"] = TICKET
    if topics is not None:
        claims["topics"] = sorted(topics)
    if tenant is not None:
        claims["tenant"] = tenant
    return jwt.encode(claims, config.secret, algorithm="HS256")


def make_key() -> str:
    """A new API key: 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What the database keeps of an API key. The key is random, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()
