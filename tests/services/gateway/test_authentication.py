"""API keys and tokens over a real channel; other tenants' jobs do not exist."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import job_pb2, model_pb2
from seqway.v1 import translation_pb2 as pb
from typer.testing import CliRunner

from services.gateway.authentication.command import app
from services.gateway.authentication.errors import InvalidCredentialsError
from services.gateway.authentication.jwks import KeySet
from services.gateway.authentication.key_ring import KeyRing
from services.gateway.authentication.keys import KeyFile, KeyFileError

PEPPER = "a pepper of the tests"
ISSUER, AUDIENCE = "https://id.example", "seqway"
REQUEST = pb.TranslateRequest(
    contents=["Hello."], source_language_code="en", target_language_code="fr"
)
NO_JOB = job_pb2.GetJobRequest(id="a" * 26)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`seqway-keys` over a file of the test; returns what it prints."""
    monkeypatch.setenv("SEQWAY_API_KEY_PEPPER", PEPPER)
    monkeypatch.setenv("SEQWAY_API_KEYS_FILE", str(tmp_path / "keys.json"))

    def run(*arguments: str, fails: bool = False) -> str:
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        assert result.exit_code == int(fails), result.output
        return result.output.strip()

    return run


@pytest.fixture
def settings(tmp_path: Path, keys: Callable[..., str]) -> dict[str, Any]:
    keys("create", "--tenant", "someone")
    return {"api_keys_file": tmp_path / "keys.json", "api_key_pepper": PEPPER}


def bearer(key: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}")]


async def refusal(stack: Stack, *metadata: tuple[str, str]) -> tuple[str, str]:
    code, reason, _ = await failure(stack.translation.Translate(REQUEST, metadata=metadata))
    return code, reason


async def test_calls_without_a_good_key_are_refused(
    make_stack: MakeStack, settings: dict[str, Any], keys: Callable[..., str]
) -> None:
    good = keys("create", "--tenant", "acme")
    mark, prefix, secret = good.split("_", 2)
    stack = await make_stack(**settings)
    assert await refusal(stack) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    wrong = [
        f"Bearer {mark}_{prefix}_{secret[:-1]}",
        f"Bearer {mark}_{prefix}_",
        f"Bearer {mark}_aaaaaaaa_{secret}",
        f"Bearer {good}x",
        "Bearer",
        "Bearer a.b.c",
        f"Basic {good}",
        good,
        "Bearer " + "x" * 7000,
    ]
    for value in wrong:
        answer = await refusal(stack, ("authorization", value))
        assert answer == ("UNAUTHENTICATED", "CREDENTIALS_INVALID"), value
    response = await stack.translation.Translate(REQUEST, metadata=bearer(good))
    assert response.translations[0].text
    lower = [("authorization", f"bearer {good}")]
    assert await stack.models.ListModels(model_pb2.ListModelsRequest(), metadata=lower)
    assert await stack.serves(), "health needs no key"


async def test_a_refused_call_is_not_read(make_stack: MakeStack, settings: dict[str, Any]) -> None:
    """The refusal comes while the request is still on its way."""
    stack = await make_stack(**settings)
    call = stack.channel.stream_unary("/seqway.v1.TranslationService/Translate")()
    await call.write(b"\xff not a message")
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_key_expires_is_rotated_and_revoked_while_the_gateway_runs(
    make_stack: MakeStack, settings: dict[str, Any], keys: Callable[..., str]
) -> None:
    stack = await make_stack(**settings)
    first = keys("create", "--tenant", "acme", "--name", "shop")

    async def answers(key: str) -> str:
        try:
            await stack.translation.Translate(REQUEST, metadata=bearer(key))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def becomes(key: str, expected: str) -> None:
        async def is_so() -> bool:
            return await answers(key) == expected

        await wait_until(is_so)

    await becomes(first, "OK")
    prefix = first.split("_")[1]
    second = keys("rotate", prefix, "--overlap", "1h")
    await becomes(second, "OK")
    assert await answers(first) == "OK"
    assert "shop" in keys("list")
    assert keys("list").count("acme") == 2
    keys("revoke", prefix)
    await becomes(first, "UNAUTHENTICATED")
    file = settings["api_keys_file"]
    known = json.loads(file.read_text())
    known["keys"][-1]["expires"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(known))
    await becomes(second, "UNAUTHENTICATED")
    assert await refusal(stack, *bearer(second)) == ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")
    file.write_text("{")
    await asyncio.sleep(1.1)  # the gateway looks once a second; a broken file changes nothing
    assert await refusal(stack, *bearer(second)) == ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")


async def test_scopes_bound_what_a_key_may_do(
    make_stack: MakeStack, settings: dict[str, Any], keys: Callable[..., str], tmp_path: Path
) -> None:
    reader = keys("create", "--tenant", "acme", "--scope", "jobs.read", "--scope", "models")
    stack = await make_stack(**settings, job_store=f"file://{tmp_path}/store")
    metadata = bearer(reader)
    assert await refusal(stack, *metadata) == ("PERMISSION_DENIED", "SCOPE_MISSING")
    assert await stack.models.ListModels(model_pb2.ListModelsRequest(), metadata=metadata)
    assert (await failure(stack.jobs.GetJob(NO_JOB, metadata=metadata)))[0] == "NOT_FOUND"
    cancel = stack.jobs.CancelJob(job_pb2.CancelJobRequest(id="a"), metadata=metadata)
    assert (await failure(cancel))[:2] == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_the_tenant_is_the_key_s_whatever_the_metadata_say(
    make_stack: MakeStack, settings: dict[str, Any], keys: Callable[..., str], tmp_path: Path
) -> None:
    ours, theirs = (keys("create", "--tenant", name) for name in ("acme", "other"))
    stack = await make_stack(
        **settings, job_store=f"file://{tmp_path}/store", redis_url="redis://127.0.0.1:1/0"
    )
    task = pb.TranslateRequest(source_language_code="en", target_language_code="fr")
    spec = job_pb2.JobSpec(translate=task, input=job_pb2.JobInput(format="JOB_INPUT_FORMAT_TEXT"))

    async def upload() -> Any:
        yield job_pb2.CreateJobRequest(spec=spec)
        yield job_pb2.CreateJobRequest(data=b"Hello.\n")

    created = await stack.jobs.CreateJob(upload(), metadata=bearer(ours))
    request = job_pb2.GetJobRequest(id=created.job.id)
    assert (await stack.jobs.GetJob(request, metadata=bearer(ours))).job.id == created.job.id
    posing = [*bearer(theirs), ("x-seqway-tenant", "acme")]
    no_such = job_pb2.GetJobRequest(id=created.job.id[::-1])
    answers = []
    for each in (request, no_such):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.jobs.GetJob(each, metadata=posing)
        answers.append((caught.value.code(), caught.value.details()))
    assert answers[0] == answers[1], "a job of others looks like none"
    listed = await stack.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=posing)
    assert not listed.jobs


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def jwks(private_key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    algorithm = jwt.algorithms.RSAAlgorithm
    key = json.loads(algorithm.to_jwk(private_key.public_key())) | {"kid": "one", "alg": "RS256"}
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [key]}))
    return path


def token(key: Any, *, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    known = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "someone",
        "exp": now + 600,
        "tenant": "acme",
        "scope": "openid seqway:translate seqway:models",
    }
    claims = {name: value for name, value in (known | claims).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


async def test_tokens_of_the_issuer_are_taken_and_others_refused(
    make_stack: MakeStack, jwks: Path, private_key: rsa.RSAPrivateKey
) -> None:
    stack = await make_stack(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(jwks))
    good = token(private_key)
    assert await stack.translation.Translate(REQUEST, metadata=bearer(good))
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong = {
        "another key": token(stranger),
        "another issuer": token(private_key, iss="https://evil.example"),
        "another audience": token(private_key, aud="shop"),
        "no expiry": token(private_key, exp=None),
        "no tenant": token(private_key, tenant=None),
        "not yet": token(private_key, nbf=int(time.time()) + 600),
        "unknown key id": token(private_key, kid="two"),
        "symmetric": token("s" * 64, algorithm="HS256"),
        "unsigned": token(None, algorithm="none"),
        "cut": good[:-4],
        "a key": "sqw_aaaaaaaa_bbbb",
    }
    for what, each in wrong.items():
        answer = await refusal(stack, *bearer(each))
        assert answer == ("UNAUTHENTICATED", "CREDENTIALS_INVALID"), what
    expired = token(private_key, exp=int(time.time()) - 60)
    assert await refusal(stack, *bearer(expired)) == ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")
    other = token(private_key, scope="seqway:classify translate")
    assert await refusal(stack, *bearer(other)) == ("PERMISSION_DENIED", "SCOPE_MISSING")


@pytest.mark.parametrize("scope", [5, {"seqway:translate": 1}, None, [["seqway:translate"]]])
async def test_scopes_of_another_shape_allow_nothing(
    make_stack: MakeStack, jwks: Path, private_key: rsa.RSAPrivateKey, scope: Any
) -> None:
    stack = await make_stack(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(jwks))
    answer = await refusal(stack, *bearer(token(private_key, scope=scope)))
    assert answer == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_known_keys_do_not_wait_for_an_issuer_that_hangs(
    jwks: Path, private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeySet(ISSUER, str(jwks))
    known = await keys.key("one")
    hangs = threading.Event()
    monkeypatch.setattr(keys, "_read", hangs.wait)
    monkeypatch.setattr(keys, "_read_at", keys._read_at - 1000)
    monkeypatch.setattr(keys, "_tried_at", keys._tried_at - 1000)
    try:
        async with asyncio.timeout(5):
            for _ in range(3):
                assert await keys.key("one") is known
    finally:
        hangs.set()


async def test_an_issuer_that_is_away_is_not_the_caller_s_fault(
    make_stack: MakeStack, private_key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    stack = await make_stack(
        jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(tmp_path / "missing.json")
    )
    answer = await refusal(stack, *bearer(token(private_key)))
    assert answer == ("UNAVAILABLE", "ISSUER_UNAVAILABLE")


async def test_a_file_of_keys_that_cannot_be_used_stops_the_gateway(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"keys": [{"prefix": "UPPER"}]}')
    with pytest.raises(KeyFileError, match=r"broken.json is not a key file: keys\.0\.prefix"):
        await make_stack(api_keys_file=tmp_path / "broken.json", api_key_pepper=PEPPER)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("create", "--tenant", "a", "--scope", "fly"),
            "unknown scope fly; the scopes are:",
        ),
        (("create", "--tenant", "a", "--expires-in", "soon"), "'soon' is not a duration"),
        (("create", "--tenant", "a", "--expires-in", "0d"), "'0d' is not a duration"),
        (("create", "--tenant", "a\nb"), "tenant: String should match pattern"),
        (("create", "--tenant", ""), "tenant: String should have at least 1 character"),
        (("rotate", "aaaaaaaa"), "no key has the prefix 'aaaaaaaa'"),
        (("revoke", "aaaaaaaa"), "no key has the prefix 'aaaaaaaa'"),
        (("list",), "cannot be read (No such file or directory)"),
    ],
)
def test_wrong_commands_are_one_sentence(
    keys: Callable[..., str], arguments: tuple[str, ...], message: str
) -> None:
    said = keys(*arguments, fails=True)
    assert message in said
    assert said.startswith("seqway-keys: ")
    assert len(said.splitlines()) == 1


def test_keys_that_are_made_at_once_are_all_kept(keys: Callable[..., str], tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("seqway-keys")
    makers = [
        subprocess.Popen([program, "create", "--tenant", f"t{n}"], stdout=subprocess.DEVNULL)
        for n in range(5)
    ]
    assert [maker.wait() for maker in makers] == [0] * 5
    assert len(json.loads((tmp_path / "keys.json").read_text())["keys"]) == 5


def test_a_link_to_the_file_stays_a_link_and_the_mode_stays(
    keys: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("create", "--tenant", "acme")
    (tmp_path / "keys.json").chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "keys.json")
    monkeypatch.setenv("SEQWAY_API_KEYS_FILE", str(link))
    keys("create", "--tenant", "other")
    assert link.is_symlink()
    assert keys("list").count("all") == 2
    assert link.stat().st_mode & 0o777 == 0o640


def test_a_file_that_could_not_be_read_is_read_when_it_can_be(
    keys: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keys("create", "--tenant", "acme")
    ring = KeyRing(tmp_path / "keys.json", PEPPER)
    assert ring.identify(first).tenant == "acme"
    keys("revoke", first.split("_")[1])
    read = KeyFile.read
    monkeypatch.setattr(ring, "_next_look", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(KeyFile, "read", _cannot_be_read)
        assert ring.identify(first).tenant == "acme"
    monkeypatch.setattr(ring, "_next_look", 0.0)
    assert KeyFile.read == read
    with pytest.raises(InvalidCredentialsError):
        ring.identify(first)


def _cannot_be_read(path: Path) -> KeyFile:
    raise KeyFileError(f"{path} cannot be read (Permission denied)")


def test_the_file_of_keys_holds_no_key_and_is_its_owner_s(
    keys: Callable[..., str], tmp_path: Path
) -> None:
    key = keys("create", "--tenant", "acme")
    file = tmp_path / "keys.json"
    assert key.split("_", 2)[2] not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_key_needs_a_pepper(keys: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQWAY_API_KEY_PEPPER", "short")
    assert "SEQWAY_API_KEY_PEPPER" in keys("create", "--tenant", "acme", fails=True)
