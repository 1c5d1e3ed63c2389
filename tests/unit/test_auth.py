"""Credentials: what is accepted, and each way of being refused, in one line that does not repeat the token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from belfry import auth, errors
from belfry.auth import Verifier
from belfry.config import Config

SECRET = "a-secret-of-more-than-thirty-two-bytes"
OTHER = "another-secret-of-more-than-thirty-two"
CONFIG = Config(secret=SECRET)

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PAIRS: list[tuple[str, Any]] = [("RS256", RSA), ("ES256", EC), ("EdDSA", ED)]


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "u1", "exp": int(time.time()) + 60, **more}


def signed(content: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(content, key, algorithm=algorithm, headers=header or None)


def raw(header: object, content: object, signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(content).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def pem(private: Any) -> str:
    kinds = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(*kinds).decode()


def jwk(algorithm: str, private: Any, **more: Any) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "RS256": jwt.algorithms.RSAAlgorithm,
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
    }
    return {**json.loads(kinds[algorithm].to_jwk(private.public_key())), **more}


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refusal(token: str, config: Config = CONFIG, *, ticket: bool = False) -> str:
    """The message with which a token is refused."""
    with pytest.raises(errors.Unauthorized) as refused:
        Verifier(config).recipient(token, ticket=ticket)
    message = str(refused.value)
    assert "\n" not in message
    assert not token or token not in message
    assert SECRET not in message
    assert refused.value.status == 401
    return message


# --- what is accepted ----------------------------------------------------------------------------------------


def test_a_minted_token_names_its_recipient_and_its_end() -> None:
    before = int(time.time())
    credential = Verifier(CONFIG).recipient(auth.mint(CONFIG, "u1", 60))
    assert credential.recipient == "u1"
    assert before + 60 <= credential.expires_at <= time.time() + 60
    assert credential.topics is None
    assert credential.tenant is None


def test_topics_and_tenant_narrow() -> None:
    credential = Verifier(CONFIG).recipient(auth.mint(CONFIG, "u1", 60, topics=["team:7", "*"], tenant="acme"))
    assert credential.topics == {"team:7", "*"}
    assert credential.tenant == "acme"


def test_no_topic_is_not_the_same_as_all_topics() -> None:
    assert Verifier(CONFIG).recipient(auth.mint(CONFIG, "u1", 60, topics=[])).topics == frozenset()


def test_an_old_secret_stays_good_while_it_is_the_previous_one() -> None:
    old = auth.mint(Config(secret=OTHER), "u1", 60)
    assert Verifier(Config(secret=SECRET, previous_secret=OTHER)).recipient(old).recipient == "u1"
    assert "does not know" in refusal(old)


@pytest.mark.parametrize(("algorithm", "private"), PAIRS)
def test_a_token_of_a_key_pair_is_accepted_by_its_public_key(tmp_path: Path, algorithm: str, private: Any) -> None:
    config = Config(public_key_file=file(tmp_path / "key.pem", pem(private)))
    assert Verifier(config).recipient(signed(claims(), private, algorithm)).recipient == "u1"


def test_one_pem_file_may_hold_keys_of_all_kinds_at_once(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    text = "# a comment\n" + "\n".join(pem(private) for private in (RSA, other, EC, ED))
    verifier = Verifier(Config(secret=SECRET, public_key_file=file(tmp_path / "keys.pem", text)))
    for algorithm, private in [*PAIRS, ("ES256", other), ("HS256", SECRET)]:
        assert verifier.recipient(signed(claims(), private, algorithm)).recipient == "u1"


@pytest.mark.parametrize("kid", [{}, {"kid": "the-name"}])
def test_a_jwks_file_holds_keys_with_and_without_a_name(tmp_path: Path, kid: dict[str, str]) -> None:
    keys = [jwk("ES256", ec.generate_private_key(ec.SECP256R1()), kid="older")]
    keys += [jwk(algorithm, private, **kid) for algorithm, private in PAIRS]
    verifier = Verifier(Config(jwks_file=file(tmp_path / "jwks.json", json.dumps({"keys": keys}))))
    for algorithm, private in PAIRS:
        assert verifier.recipient(signed(claims(), private, algorithm, **kid)).recipient == "u1"


def test_claims_that_are_not_ours_are_no_fault() -> None:
    token = signed(claims(aud="someone", iss="https://id.example.com", iat=int(time.time()) + 30, roles=["x"]))
    assert Verifier(CONFIG).recipient(token).recipient == "u1"


@pytest.mark.parametrize("name", ["u1", "ü" * 255, "a b", "user@example.com", "*", "urn:x:1", "😀"])
def test_a_name_is_any_text_of_1_to_255_characters(name: str) -> None:
    assert Verifier(CONFIG).recipient(auth.mint(CONFIG, name, 60)).recipient == name


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["HS256"], 7])
def test_an_unsigned_token_is_refused(algorithm: object) -> None:
    refusal(raw({"alg": algorithm, "typ": "JWT"}, claims()))
    refusal(raw({"typ": "JWT"}, claims()))


def test_a_token_of_another_key_is_refused() -> None:
    assert "does not know" in refusal(signed(claims(), OTHER))


def test_a_token_whose_claims_were_changed_is_refused() -> None:
    header, _, signature = auth.mint(CONFIG, "u1", 60).split(".")
    forged = raw({}, claims(sub="admin")).split(".")[1]
    assert "does not know" in refusal(f"{header}.{forged}.{signature}")


def test_an_expired_token_is_refused_at_once() -> None:
    assert "expired" in refusal(signed(claims(exp=int(time.time()))))
    assert "expired" in refusal(signed(claims(exp=1)))


def test_a_token_that_is_not_valid_yet_is_refused_but_for_a_small_difference_of_clocks() -> None:
    assert "not valid yet" in refusal(signed(claims(nbf=int(time.time()) + 30)))
    assert Verifier(CONFIG).recipient(signed(claims(nbf=int(time.time()) + 2))).recipient == "u1"


@pytest.mark.parametrize("missing", ["exp", "sub"])
def test_a_token_without_what_is_required_is_refused_by_its_name(missing: str) -> None:
    content = claims()
    del content[missing]
    assert f"`{missing}`" in refusal(signed(content))
    assert f"`{missing}`" in refusal(signed({**content, missing: None}))


@pytest.mark.parametrize("exp", ["soon", True, [1], {}, float("inf"), float("nan"), 10**400])
def test_an_end_that_is_no_time_is_refused(exp: object) -> None:
    body = json.dumps({"sub": "u1", "exp": exp}).encode()
    refusal(hs256({"alg": "HS256"}, body, SECRET.encode()))


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "a\0b", "\x7f", "\x85", "\ud800", "x" * 256, 7, ["u1"], {"a": 1}])
def test_a_subject_that_is_no_recipient_is_refused(name: object) -> None:
    assert "`sub`" in refusal(signed_raw(claims(sub=name)))


MEANT = Config(secret=SECRET, token_issuer="https://id.example.com", token_audience="belfry")


@pytest.mark.parametrize("audience", ["belfry", ["other", "belfry"]])
def test_a_token_that_is_meant_for_belfry_is_taken(audience: object) -> None:
    token = signed(claims(iss="https://id.example.com", aud=audience))
    assert Verifier(MEANT).recipient(token).recipient == "u1"


@pytest.mark.parametrize(
    ("named", "given"),
    [
        ("iss", {"aud": "belfry"}),
        ("iss", {"aud": "belfry", "iss": "https://id.example.com.evil.example"}),
        ("iss", {"aud": "belfry", "iss": ["https://id.example.com"]}),
        ("aud", {"iss": "https://id.example.com"}),
        ("aud", {"iss": "https://id.example.com", "aud": "belfry-admin"}),
        ("aud", {"iss": "https://id.example.com", "aud": ["other", None, 7]}),
        ("aud", {"iss": "https://id.example.com", "aud": {"belfry": True}}),
    ],
)
def test_a_token_of_the_same_key_that_is_meant_for_another_is_refused(named: str, given: dict[str, Any]) -> None:
    for use in ({}, {"use": "ticket"}):
        with pytest.raises(errors.Unauthorized, match=f"`{named}`"):
            Verifier(MEANT).recipient(signed_raw(claims(**given, **use)), ticket=bool(use))


def test_what_belfry_makes_itself_is_meant_for_it() -> None:
    for ticket in (False, True):
        assert Verifier(MEANT).recipient(auth.mint(MEANT, "u1", 60, ticket=ticket), ticket=ticket).recipient == "u1"


def test_a_use_that_belfry_does_not_know_is_refused_by_its_name() -> None:
    assert "`use`" in refusal(signed(claims(use="refresh")))


@pytest.mark.parametrize("topics", ["team:7", ["a/b"], [7], {"a": 1}, [""]])
def test_topics_that_are_no_list_of_topics_are_refused(topics: object) -> None:
    assert "`topics`" in refusal(signed(claims(topics=topics)))


@pytest.mark.parametrize("tenant", [7, "a/b", "\0", "t" * 256])
def test_a_tenant_that_is_none_is_refused(tenant: object) -> None:
    assert "`tenant`" in refusal(signed(claims(tenant=tenant)))


def test_a_token_may_be_for_what_is_of_no_tenant() -> None:
    assert Verifier(CONFIG).recipient(auth.mint(CONFIG, "u1", 60, tenant="")).tenant == ""


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJ.eyJ.x", "\x00", "ü.ü.ü", ".." * 3, "a" * 9000])
def test_what_is_no_token_is_refused(token: str) -> None:
    refusal(token)


def test_a_token_of_absurd_size_is_refused_before_it_is_read() -> None:
    assert "malformed" in refusal(signed(claims(padding="x" * 9000)))


def test_without_keys_every_token_is_refused() -> None:
    refusal(signed(claims()), Config())


# --- algorithm confusion ------------------------------------------------------------------------------------


def hs256(header: object, body: bytes, key: bytes) -> str:
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    text = head + b"." + base64.urlsafe_b64encode(body).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.new(key, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + signature).decode()


def signed_raw(content: object) -> str:
    """Signed without the checks of a library that would refuse to write it."""
    return hs256({"alg": "HS256", "typ": "JWT"}, json.dumps(content).encode(), SECRET.encode())


def test_the_text_of_a_public_key_is_no_secret(tmp_path: Path) -> None:
    text = pem(RSA)
    body = json.dumps(claims()).encode()
    with_secret = Config(secret=SECRET, public_key_file=file(tmp_path / "key.pem", text))
    for config in (with_secret, with_secret.replace(secret=None)):
        for key in (text, text.strip(), text + "\n"):
            refusal(hs256({"alg": "HS256"}, body, key.encode()), config)
            refusal(hs256({"alg": "RS256"}, body, key.encode()), config)


def test_a_key_that_came_inside_the_token_is_not_used(tmp_path: Path) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    config = Config(public_key_file=file(tmp_path / "key.pem", pem(EC)))
    refusal(signed(claims(), mine, "ES256", jwk=jwk("ES256", mine)), config)
    refusal(signed(claims(), mine, "ES256", jku="https://example.com/jwks.json", kid="../../key"), config)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS512", "PS256"])
def test_no_other_algorithm_is_accepted_even_with_the_right_key(tmp_path: Path, algorithm: str) -> None:
    config = Config(secret=SECRET * 2, public_key_file=file(tmp_path / "key.pem", pem(RSA)))
    key = SECRET * 2 if algorithm.startswith("HS") else RSA
    assert "algorithm" in refusal(signed(claims(), key, algorithm), config)


# --- what is known again -------------------------------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were checked, one by one."""
    checked: list[str] = []
    decode = jwt.decode

    def counted(token: str, *args: Any, **options: Any) -> Any:
        checked.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    return checked


def test_a_token_that_comes_again_is_not_checked_again(checks: list[str]) -> None:
    verifier = Verifier(CONFIG)
    token = auth.mint(CONFIG, "u1", 60, topics=["team:7"])
    assert verifier.recipient(token) == verifier.recipient(token)
    assert checks == [token]


def test_a_token_that_comes_again_is_over_when_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(CONFIG)
    token = auth.mint(CONFIG, "u1", 60)
    end = verifier.recipient(token).expires_at
    monkeypatch.setattr(time, "time", lambda: end)
    with pytest.raises(errors.Unauthorized, match="expired"):
        verifier.recipient(token)


def test_who_was_let_in_by_a_ticket_is_not_let_in_by_it_elsewhere() -> None:
    verifier = Verifier(CONFIG)
    ticket, token = auth.mint(CONFIG, "u1", 60, ticket=True), auth.mint(CONFIG, "u1", 60)
    verifier.recipient(ticket, ticket=True)
    verifier.recipient(token)
    with pytest.raises(errors.Unauthorized, match="This is a ticket"):
        verifier.recipient(ticket)
    with pytest.raises(errors.Unauthorized, match="no ticket"):
        verifier.recipient(token, ticket=True)


def test_a_token_that_was_refused_is_checked_and_refused_again(checks: list[str]) -> None:
    verifier = Verifier(CONFIG)
    for _ in range(2):
        with pytest.raises(errors.Unauthorized, match="does not know"):
            verifier.recipient(auth.mint(Config(secret=OTHER), "u1", 60))
    assert len(checks) == 2


def test_of_very_many_tokens_those_not_used_for_long_are_checked_again(
    monkeypatch: pytest.MonkeyPatch, checks: list[str]
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_TOKENS", 2)
    verifier = Verifier(CONFIG)
    first, second, third = (auth.mint(CONFIG, name, 60) for name in ("u1", "u2", "u3"))
    for token in (first, second, first, third, first, second):
        verifier.recipient(token)
    assert checks == [first, second, third, second]


def test_a_token_that_would_take_much_memory_is_not_kept(checks: list[str]) -> None:
    verifier = Verifier(CONFIG)
    token = auth.mint(CONFIG, "u1", 60, topics=[f"team:{number}" for number in range(100)])
    assert verifier.recipient(token) == verifier.recipient(token)
    assert checks == [token, token]


# --- tickets -------------------------------------------------------------------------------------------------


def test_a_ticket_is_good_as_a_ticket_and_nowhere_else() -> None:
    ticket = auth.mint(CONFIG, "u1", 60, ticket=True)
    assert Verifier(CONFIG).recipient(ticket, ticket=True).recipient == "u1"
    assert "?ticket=" in refusal(ticket)


def test_a_token_is_no_ticket() -> None:
    assert "no ticket" in refusal(auth.mint(CONFIG, "u1", 60), ticket=True)


def test_a_token_for_some_other_use_is_neither() -> None:
    token = signed(claims(use="refresh"))
    refusal(token)
    refusal(token, ticket=True)


# --- key files -----------------------------------------------------------------------------------------------


def _private_pem() -> str:
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return EC.private_bytes(*kinds).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no PEM"),
        ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", "no public key"),
        (_private_pem(), "private"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "ES256"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048"),
    ],
)
def test_a_pem_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(errors.ConfigError, match=told) as refused:
        Verifier(Config(public_key_file=file(tmp_path / "key.pem", text)))
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "[]",
        '{"keys": []}',
        '{"keys": [{"kty": "XY"}]}',
        '{"keys": "x"}',
        json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()}]}),
        json.dumps({"keys": [jwk("RS256", RSA, alg="RS512")]}),
    ],
)
def test_a_jwks_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, document: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"jwks\.json"):
        Verifier(Config(jwks_file=file(tmp_path / "jwks.json", document)))


# --- making --------------------------------------------------------------------------------------------------


def test_without_a_secret_there_is_no_minting() -> None:
    with pytest.raises(errors.SecretMissing, match="BELFRY_SECRET"):
        auth.mint(Config(), "u1", 60)


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "x" * 256])
def test_nothing_is_minted_for_what_is_no_name(name: str) -> None:
    with pytest.raises(errors.BadRequest, match="no name"):
        auth.mint(CONFIG, name, 60)
    with pytest.raises(errors.BadRequest, match="no name"):
        auth.mint(CONFIG, "u1", 60, topics=[name])


def test_an_api_key_is_long_random_and_stored_as_a_hash() -> None:
    key = auth.make_key()
    assert re.fullmatch(r"bf_[\w-]{43}", key)
    assert key != auth.make_key()
    assert re.fullmatch(r"[0-9a-f]{64}", auth.hash_key(key))
    assert auth.hash_key(key) == auth.hash_key(key) != auth.hash_key(key + "x")
