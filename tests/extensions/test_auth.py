"""basicauth and bearertokenauth: who comes in, what is sent, what is never shown."""

import base64
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from heliograph.errors import ConfigError, Reject
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
