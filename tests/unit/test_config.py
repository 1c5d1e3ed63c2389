"""The settings: where they come from, which are refused, what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from belfry import errors
from belfry.config import SETTINGS, Config, unknown
from belfry.dotenv import environment, read_env_file

SECRET = "a-secret-of-more-than-thirty-two-bytes"


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    assert Config.from_environ({}).port == 8080
    assert Config.from_environ({"BELFRY_PORT": "81"}).port == 81
    assert Config.from_environ({"BELFRY_PORT": "81"}, port="82").port == 82
    assert Config.from_environ({"BELFRY_PORT": "81"}, port=None).port == 81


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BELFRY_PORT=81\nBELFRY_HOST=0.0.0.0\n")
    config = Config.from_environ(environment({"BELFRY_PORT": "82"}, tmp_path))
    assert (config.host, config.port) == ("0.0.0.0", 82)


def test_an_empty_variable_counts_as_not_set_and_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BELFRY_PORT=81\n")
    assert Config.from_environ(environment({"BELFRY_PORT": ""}, tmp_path)).port == 81


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NAME=value\n", encoding="utf-8-sig")
    assert read_env_file(tmp_path / ".env") == {"NAME": "value"}


def test_no_env_file_is_no_fault(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("export NAME=plain", "plain"),
        ("  NAME = spaced  ", "spaced"),
        ("NAME=value # a comment", "value"),
        ("NAME=a#b", "a#b"),
        ('NAME="quoted # text" # a comment', "quoted # text"),
        ("NAME='single \"quotes\"'", 'single "quotes"'),
        (r'NAME="a \"b\""', 'a "b"'),
        (r'NAME="C:\new \\ \$x"', r"C:\new \ $x"),
        ("NAME=", ""),
        ('NAME=""', ""),
        ("NAME=postgresql://u:p@h/d?a=b", "postgresql://u:p@h/d?a=b"),
    ],
)
def test_a_line_of_the_env_file_is_read_as_shells_read_it(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"# a comment\n\n{line}\n")
    assert read_env_file(tmp_path / ".env") == {"NAME": value}


@pytest.mark.parametrize("line", [SECRET, f'NAME="{SECRET}', f"NAME='{SECRET}", f"NAME='{SECRET}'x"])
def test_a_line_of_the_env_file_that_is_none_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"A=1\n{line}\n")
    with pytest.raises(errors.ConfigError, match="line 2") as refused:
        read_env_file(tmp_path / ".env")
    assert SECRET not in str(refused.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(errors.ConfigError) as refused:
        Config.from_environ({"BELFRY_PORT": "x", "BELFRY_SECRET": "short", "BELFRY_LOG_LEVEL": "loud"}, workers="0")
    for name in ("BELFRY_PORT", "BELFRY_SECRET", "BELFRY_LOG_LEVEL", "--workers"):
        assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_missing_to_serve_is_told_with_what_is_wrong() -> None:
    with pytest.raises(errors.ConfigError, match=r"BELFRY_PORT.*There is no key.*There is no database") as refused:
        Config.from_environ({"BELFRY_PORT": "x"}, serving=True)
    assert refused.value.exit_code == 2
    with pytest.raises(errors.SecretMissing, match=r"There is no key.*There is no database"):
        Config.from_environ({}, serving=True)
    with pytest.raises(errors.DatabaseUrlMissing):
        Config.from_environ({"BELFRY_SECRET": SECRET}, serving=True)
    Config.from_environ({"BELFRY_DEV": "1"}, serving=True)


def test_what_is_wrong_is_not_called_missing_too() -> None:
    with pytest.raises(errors.ConfigError) as refused:
        Config.from_environ({"BELFRY_SECRET": "short", "BELFRY_DATABASE_URL": "mysql://a/b"}, serving=True)
    assert "There is no" not in str(refused.value)


def test_a_variable_that_is_mistyped_is_found_and_those_of_others_are_not() -> None:
    given = dict.fromkeys(
        ["BELFRY_RETENTION_DAY", "BELFRY_PORT", "HOME", "BELFRY_SERVICE_HOST", "BELFRY_PORT_8080_TCP_ADDR",
         "BELFRY_METRICS_SERVICE_PORT_HTTP", "BELFRY_TEST_DATABASE_URL"], "1",
    )  # fmt: skip
    assert unknown(given) == ["BELFRY_RETENTION_DAY"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BELFRY_PORT", "65536"),
        ("BELFRY_PORT", "-1"),
        ("BELFRY_WORKERS", "0"),
        ("BELFRY_WORKERS", "two"),
        ("BELFRY_HEARTBEAT_SECONDS", "0"),
        ("BELFRY_HEARTBEAT_SECONDS", "nan"),
        ("BELFRY_DEV", "perhaps"),
        ("BELFRY_DATABASE_URL", "mysql://host/name"),
        ("BELFRY_CORS_ORIGINS", "*"),
        ("BELFRY_CORS_ORIGINS", "https://a.example.com,b.example.com"),
        ("BELFRY_CORS_ORIGINS", "https://a.example.com/path"),
        ("BELFRY_PUBLIC_KEY_FILE", "/no/such/file"),
        ("BELFRY_SECRET", "-----BEGIN PUBLIC KEY-----" + "x" * 40),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_setting(variable: str, value: str) -> None:
    with pytest.raises(errors.ConfigError, match=variable):
        Config.from_environ({variable: value})


def test_an_empty_variable_is_not_set() -> None:
    assert Config.from_environ({"BELFRY_SECRET": "", "BELFRY_PORT": " "}) == Config()


def test_a_list_of_origins_is_read() -> None:
    config = Config.from_environ({"BELFRY_CORS_ORIGINS": "https://a.example.com/, http://localhost:3000"})
    assert config.cors_origins == ("https://a.example.com", "http://localhost:3000")


def test_a_fault_and_a_repr_show_no_secret() -> None:
    url = "postgresql://app:pa55word@db/app"
    config = Config.from_environ(
        {"BELFRY_SECRET": SECRET, "BELFRY_PREVIOUS_SECRET": SECRET + "2", "BELFRY_DATABASE_URL": url}
    )
    assert SECRET not in repr(config)
    assert "pa55word" not in repr(config)
    with pytest.raises(errors.ConfigError) as refused:
        Config.from_environ({"BELFRY_SECRET": "short-secret", "BELFRY_DIRECT_URL": "app:pa55word@db/app"})
    assert "short-secret" not in str(refused.value)
    assert "pa55word" not in str(refused.value)


@pytest.mark.parametrize("rest", ["app:pa@55word@db/app", "app:pa/55word@db", "app:pa?55word@db", "app:pa#55word@db"])
def test_a_url_is_refused_of_which_postgres_would_tell_a_part_of_the_password(rest: str) -> None:
    with pytest.raises(errors.ConfigError, match="%40") as refused:
        Config.from_environ({"BELFRY_DATABASE_URL": f"postgresql://{rest}"})
    assert "55word" not in str(refused.value)


@pytest.mark.parametrize(
    "rest",
    ["", "h", "/d?host=/run/p&user=a@b", "u@h:5432,[::1]:5433,i/d", "u:p%40@%2Frun%2Fp/d", "u:@/d?host=/run"],
)
def test_any_url_that_libpq_reads_is_taken(rest: str) -> None:
    assert Config.from_environ({"BELFRY_DATABASE_URL": f"postgresql://{rest}"}).database_url == f"postgresql://{rest}"


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="colour"):
        Config.from_environ({}, colour="blue")


def test_without_any_key_there_is_no_serving() -> None:
    with pytest.raises(errors.SecretMissing, match="BELFRY_SECRET"):
        Config().require_key()
    Config(secret=SECRET).require_key()
    Config(public_key_file=Path("key.pem")).require_key()


def test_the_direct_url_falls_back_to_the_database_url() -> None:
    assert Config(database_url="postgresql://a/b").listen_url == "postgresql://a/b"
    assert Config(database_url="postgresql://a/b", direct_url="postgresql://c/d").listen_url == "postgresql://c/d"


def test_every_setting_is_documented_and_its_default_reads_back() -> None:
    for setting in SETTINGS.values():
        assert setting.help
        if setting.default not in (None, ()):
            assert setting.parse(setting.default_text) == setting.default
