"""basicauth and bearertokenauth: who comes in, what is sent, what is never shown."""

import base64
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from heliograph.errors import ConfigError, Reject, Retry
from heliograph.extensions import basicauth, bearertokenauth
from heliograph.pipeline.component import ComponentId, Edge, Kind, Settings


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    import asyncio

    log = logging.getLogger("test")
    edge = Edge(asyncio.get_running_loop(), log)
    yield Settings(ComponentId("auth"), Kind.EXTENSION, log, edge)
    edge.close()


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


BCRYPT = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
HTPASSWD = f"ann:{BCRYPT}\nben:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\ncy:plain\n"


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "open sesame"), ("ben", "password"), ("cy", "plain")]
)
async def test_basicauth_lets_in_who_knows_the_password(
    settings: Settings, user: str, password: str
) -> None:
    config = basicauth.Config.model_validate({"htpasswd": {"inline": HTPASSWD}})
    extension = basicauth.Extension(config, settings)
    await extension.start()
    for _ in range(2):
        assert await extension.authenticate(basic(user, password)) == {"username": user}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("ann", "wrong"),
        basic("nobody", "open sesame"),
        {"authorization": "Bearer x"},
        {"authorization": "Basic !!"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
    ],
)
async def test_basicauth_keeps_out_all_others(settings: Settings, headers: dict[str, str]) -> None:
    config = basicauth.Config.model_validate({"htpasswd": {"inline": HTPASSWD}})
    extension = basicauth.Extension(config, settings)
    await extension.start()
    with pytest.raises(Reject) as raised:
        await extension.authenticate(headers)
    assert raised.value.code == 16
    assert "sesame" not in str(raised.value)


async def test_basicauth_forgets_a_password_when_the_file_changes(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "htpasswd"
    path.write_text("ann:first\n")
    config = basicauth.Config.model_validate({"htpasswd": {"file": str(path)}})
    extension = basicauth.Extension(config, settings)
    await extension.start()
    await extension.authenticate(basic("ann", "first"))
    replace(path, "ann:second\n")
    await extension.authenticate(basic("ann", "second"))
    with pytest.raises(Reject):
        await extension.authenticate(basic("ann", "first"))


async def test_basicauth_sends_what_the_files_say_now(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("one\n")
    config = basicauth.Config.model_validate(
        {"client_auth": {"username": "ann", "password_file": str(path)}}
    )
    extension = basicauth.Extension(config, settings)
    await extension.start()
    assert extension.headers() == basic("ann", "one")
    replace(path, "two\n")
    assert extension.headers() == basic("ann", "two")


async def test_a_missing_file_is_named(settings: Settings, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    basic_config = basicauth.Config.model_validate({"htpasswd": {"file": missing}})
    with pytest.raises(ConfigError, match="missing: No such file"):
        await basicauth.Extension(basic_config, settings).start()
    token_config = bearertokenauth.Config.model_validate({"filename": missing})
    with pytest.raises(ConfigError, match="filename: cannot be read: No such file"):
        await bearertokenauth.Extension(token_config, settings).start()


async def test_bearertokenauth_takes_every_token_of_the_file(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    path.write_text("one\n\ntwo\n")
    config = bearertokenauth.Config.model_validate({"filename": str(path)})
    extension = bearertokenauth.Extension(config, settings)
    await extension.start()
    assert extension.headers() == {"authorization": "Bearer one"}
    for token in ("one", "two"):
        assert await extension.authenticate({"authorization": f"Bearer {token}"}) == {}
    for headers in ({}, {"authorization": "Bearer three"}, {"authorization": "one"}):
        with pytest.raises(Reject) as raised:
            await extension.authenticate(headers)
        assert raised.value.code == 16


async def test_bearertokenauth_with_another_header_and_no_scheme(settings: Settings) -> None:
    config = bearertokenauth.Config.model_validate(
        {"token": "t0p", "header": "X-Api-Key", "scheme": ""}
    )
    extension = bearertokenauth.Extension(config, settings)
    await extension.start()
    assert extension.headers() == {"x-api-key": "t0p"}
    await extension.authenticate({"x-api-key": "t0p"})


@pytest.mark.parametrize(
    ("module", "config", "path"),
    [
        (basicauth, {}, ""),
        (basicauth, {"htpasswd": {}}, "htpasswd"),
        (basicauth, {"client_auth": {"password": "p"}}, "client_auth.username"),
        (basicauth, {"client_auth": {"username": "u"}}, "client_auth.password"),
        (bearertokenauth, {}, "token"),
        (bearertokenauth, {"token": "a", "filename": "b"}, "filename"),
    ],
)
def test_incomplete_settings_are_named(module: Any, config: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in module.Config.model_validate(config).check()] == [path]


def test_secrets_do_not_show() -> None:
    configs = [
        basicauth.Config.model_validate({"client_auth": {"username": "u", "password": "hush"}}),
        bearertokenauth.Config.model_validate({"token": "hush"}),
    ]
    assert all("hush" not in repr(config) + str(config.model_dump()) for config in configs)


# Credentials in files, and how long a look at them takes.


def tokens_of(settings: Settings, path: Path) -> bearertokenauth.Extension:
    return bearertokenauth.Extension(
        bearertokenauth.Config.model_validate({"filename": str(path)}), settings
    )


def users_of(settings: Settings, **htpasswd: str) -> basicauth.Extension:
    config = basicauth.Config.model_validate({"htpasswd": htpasswd})
    return basicauth.Extension(config, settings)


async def comes_in(extension: Any, headers: dict[str, str]) -> bool:
    try:
        await extension.authenticate(headers)
    except Reject as error:
        return error.code != 16
    return True


async def test_a_swapped_link_is_a_new_file(settings: Settings, tmp_path: Path) -> None:
    """As Kubernetes mounts secrets: token -> ..data/token, and ..data is swapped."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
        os.utime(tmp_path / name / "token", (1, 1))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")
    extension = tokens_of(settings, tmp_path / "token")
    await extension.start()
    assert await comes_in(extension, {"authorization": "Bearer one"})
    (tmp_path / "..next").symlink_to("two")
    os.replace(tmp_path / "..next", tmp_path / "..data")
    assert await comes_in(extension, {"authorization": "Bearer two"})
    assert not await comes_in(extension, {"authorization": "Bearer one"})


async def test_two_changes_in_the_same_instant_are_seen(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    now = path.stat().st_mtime_ns
    extension = tokens_of(settings, path)
    assert await comes_in(extension, {"authorization": "Bearer one"})
    path.write_text("two")
    os.utime(path, ns=(now, now))
    assert await comes_in(extension, {"authorization": "Bearer two"})


@pytest.mark.parametrize("damage", ["missing", "bytes", "directory"])
async def test_a_broken_file_keeps_the_old_tokens_and_says_so(
    settings: Settings, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    extension = tokens_of(settings, path)
    await extension.start()
    path.unlink()
    if damage == "bytes":
        path.write_bytes(b"hush\xff")
    elif damage == "directory":
        path.mkdir()
    for _ in range(3):
        assert await comes_in(extension, {"authorization": "Bearer one"})
    (record,) = caplog.records
    assert str(path) in record.message
    assert "stays in use" in record.message
    assert "hush" not in caplog.text


async def test_broken_users_keep_the_old_ones_and_that_is_said(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "htpasswd"
    path.write_text("ann:one\n")
    extension = users_of(settings, file=str(path))
    await extension.start()
    replace(path, "hush without a colon\n")
    for _ in range(2):
        assert await comes_in(extension, basic("ann", "one"))
    (record,) = caplog.records
    assert "is not in htpasswd's form; the old users stay" in record.message
    assert "hush" not in caplog.text
    replace(path, "ann:two\n")
    assert await comes_in(extension, basic("ann", "two"))


async def test_a_file_without_a_token_lets_nobody_in_and_sends_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    extension = tokens_of(settings, path)
    await extension.start()
    replace(path, "\n")
    for shown in ("Bearer one", "Bearer ", "Bearer", ""):
        assert not await comes_in(extension, {"authorization": shown})
    with pytest.raises(Retry, match="has no token"):
        extension.headers()


async def test_an_empty_password_file_sends_nothing(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("one")
    written = {"client_auth": {"username": "ann", "password_file": str(path)}}
    extension = basicauth.Extension(basicauth.Config.model_validate(written), settings)
    await extension.start()
    replace(path, "")
    with pytest.raises(Retry, match="is empty"):
        extension.headers()
    with pytest.raises(ConfigError, match="is empty"):
        await basicauth.Extension(basicauth.Config.model_validate(written), settings).start()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hush\xff", "is not UTF-8 text"),
        ("first\nhush\u00e9".encode(), "has characters in token 2 that a header cannot carry"),
        (b"\n \n", "has no token in it"),
    ],
)
async def test_a_file_that_cannot_be_sent_is_a_problem(
    settings: Settings, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        await tokens_of(settings, path).start()
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_every_token_is_compared_whichever_fits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {"tokens": ["first", "the second", "third"]}
    extension = bearertokenauth.Extension(bearertokenauth.Config.model_validate(written), settings)
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for shown, right in (("first", True), ("third", True), ("thirx", False), ("", False)):
        compared.clear()
        assert await comes_in(extension, {"authorization": f"Bearer {shown}"}) is right
        assert len(compared) == 3
        assert {len(side) for pair in compared for side in pair} == {32}


async def test_a_name_that_does_not_exist_takes_as_long_as_one_that_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    strong = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(9)).decode()
    extension = users_of(settings, inline=f"ann:{strong}\nben:{strong}\n")
    spent = 0.0

    def timed(stored: str, password: str) -> bool:
        nonlocal spent
        start = time.thread_time()
        try:
            return verify(stored, password)
        finally:
            spent = time.thread_time() - start

    verify = basicauth.verify
    monkeypatch.setattr(basicauth, "verify", timed)

    async def cost(name: str) -> float:
        found = []
        for _ in range(3):
            assert not await comes_in(extension, basic(name, "wrong"))
            found.append(spent)
        return min(found)

    known = await cost("ann")
    assert known > 0.005
    for name in ("nobody", "", "ann\n", "x" * 300):
        assert 0.5 * known < await cost(name) < 2 * known


async def test_the_stand_in_of_a_name_is_always_the_same(settings: Settings) -> None:
    """Otherwise asking twice would tell: a file may mix slow hashes and fast ones."""
    inline = "".join(f"u{number}:h{number}\n" for number in range(20))
    users = users_of(settings, inline=inline)._users
    assert users is not None
    hashes = users.load()
    chosen = {name: users._stand_in(hashes, name) for name in map(str, range(50))}
    assert all(users._stand_in(hashes, name) == stored for name, stored in chosen.items())
    assert len(set(chosen.values())) > 5


async def test_passwords_that_bcrypt_cannot_take(settings: Settings) -> None:
    long = "p" * 100
    stored = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    extension = users_of(settings, inline=f"ann:{stored}\n")
    assert await comes_in(extension, basic("ann", long))
    for password in ("p" * 71, "a\0b", "x" * 5000, "", "x" * 73):
        assert not await comes_in(extension, basic("ann", password))
