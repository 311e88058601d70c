"""Our merge of Freqtrade's configs, against Freqtrade's own code on the same files."""

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.configuration.environment_vars import _flat_vars_to_nested_dict
from freqtrade.configuration.load_config import load_from_files
from freqtrade.misc import deep_merge_dicts
from hypothesis import given, settings
from hypothesis import strategies as st

from bitopro_margin_ext.cli.freqtrade_config import (
    ConfigurationError,
    load_configuration,
    read_variables,
)

WITH_COMMENTS = """
// a comment, with a "quote"
{
  "exchange": {           /* more
                             than one line */
    "name": "bitopromargin",
    "key": "https://not//a//comment",
    "secret": "a,] \\" // b /* c */",
    "pair_whitelist": ["BTC/USDT", "ETH/USDT",],   // a last comma
  },
  "stake_amount": 10.50,
}
"""


def as_freqtrade(files: list[str], variables: dict[str, str]) -> dict[str, Any]:
    config = load_from_files(files)
    config.pop("config_files")
    return deep_merge_dicts(_flat_vars_to_nested_dict(variables, "FREQTRADE__"), config)


def test_comments_and_last_commas(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(WITH_COMMENTS)
    ours = load_configuration([str(path)], {})
    assert ours == as_freqtrade([str(path)], {})
    assert ours["exchange"]["secret"] == 'a,] " // b /* c */'


def test_several_files_and_the_files_that_they_add(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "keys.json").write_text('{"exchange": {"key": "added", "secret": "s"}}')
    (tmp_path / "sub" / "more.json").write_text('{"exchange": {"key": "more"}, "a": {"b": 1}}')
    (tmp_path / "one.json").write_text(
        '{"add_config_files": ["sub/keys.json", "sub/more.json"],'
        ' "exchange": {"name": "x", "key": "own"}, "a": {"c": 2}}'
    )
    (tmp_path / "two.json").write_text('{"exchange": {"name": "y", "key": null}, "a": {"c": 3}}')
    files = [str(tmp_path / "one.json"), str(tmp_path / "two.json")]
    variables = {"FREQTRADE__EXCHANGE__SECRET": "from-env", "FREQTRADE__A__D": "true"}
    for order in (files, files[::-1], files[:1]):
        assert load_configuration(order, variables) == as_freqtrade(order, variables)


@pytest.mark.parametrize(
    "variables",
    [
        {"FREQTRADE__EXCHANGE__KEY": "abc", "FREQTRADE__EXCHANGE__SECRET": "0123"},
        {"FREQTRADE__TELEGRAM__CHAT_ID": "123", "FREQTRADE__API_SERVER__PASSWORD": "1e5"},
        {"FREQTRADE__EXCHANGE__CCXT_CONFIG__apiKey": "x", "FREQTRADE__STAKE_AMOUNT": "1.5"},
        {"FREQTRADE__EXCHANGE__PAIR_WHITELIST": '["BTC/USDT"]', "FREQTRADE__X": '{"a": 1}'},
        {"FREQTRADE__DRY_RUN": "f", "FREQTRADE__A__B": "t", "OTHER": "1"},
    ],
)
def test_variables_are_typed_and_nested_alike(variables: dict[str, str]) -> None:
    assert read_variables(variables) == _flat_vars_to_nested_dict(variables, "FREQTRADE__")


_names = st.sampled_from(["exchange", "key", "secret", "ccxt_config", "name", "a"])
_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))


def _sections(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    # Freqtrade cannot merge a section into a value either: each name is one or the other.
    values = _leaves if depth == 0 else None
    if values is not None:
        return st.dictionaries(st.sampled_from(["key", "secret", "name"]), values)
    return st.fixed_dictionaries(
        {},
        optional={
            "exchange": _sections(depth - 1),
            "a": _sections(depth - 1),
            "key": _leaves,
            "name": _leaves,
        },
    )


@settings(max_examples=60, deadline=None)
@given(
    configs=st.lists(_sections(2), min_size=1, max_size=4),
    variables=st.dictionaries(
        st.sampled_from(["FREQTRADE__EXCHANGE__KEY", "FREQTRADE__NAME", "FREQTRADE__A__KEY"]),
        st.text("abc019.[]tf", max_size=6),
    ),
)
def test_any_files_merge_alike(
    configs: list[dict[str, Any]],
    variables: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("configs")
    files = []
    for number, config in enumerate(configs):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(config))
        files.append(str(path))
    # {"exchange": {"key": ...}} under a variable FREQTRADE__EXCHANGE__KEY, and so on.
    assert load_configuration(files, variables) == as_freqtrade(files, variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,, "b": 2}', "line 1"),
        ('{\n"secret": "hunter22"\n"b": 2}', "line 3"),
        ("[1]", "no object"),
        ("", "line 1"),
    ],
)
def test_a_broken_file_is_one_line_without_its_content(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration([str(path)], {})
    assert expected in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_circle_of_files_is_found(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"add_config_files": ["config.json"]}')
    with pytest.raises(ConfigurationError, match="circle"):
        load_configuration([str(path)], {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_configuration([str(tmp_path / "none.json")], {})
