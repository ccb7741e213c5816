"""Settings from a file in the working folder: `aip.toml`, or `[tool.aip]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from aip_pipeline._errors import ConfigError

SECRET = re.compile(r"api_?key|^key$|secret|password|credential|^token$", re.IGNORECASE)


class SettingsFile(NamedTuple):
    """Hold the settings of one file: its name as users know it, values by option.

    `keys` has, by option, how the file writes it: with hyphens or underscores.
    """

    name: str
    values: Mapping[str, object]
    keys: Mapping[str, str]


def load_settings(folder: Path) -> SettingsFile:
    """Read the folder's `aip.toml`, else `[tool.aip]` of its `pyproject.toml`.

    Keys are the options' names, with hyphens or underscores; where there is no file,
    there are no values. Whether each key is an option is for the caller to say.

    Raises:
        ConfigError: the file is not TOML, or a key holds a secret or stands twice.
    """
    own, project = folder / "aip.toml", folder / "pyproject.toml"
    if own.is_file():
        return _settings("aip.toml", _parsed(own))
    if project.is_file():
        tool = _parsed(project).get("tool", {})
        table = tool.get("aip", {}) if isinstance(tool, dict) else {}
        if isinstance(table, dict):
            return _settings("pyproject.toml [tool.aip]", table)
    return SettingsFile("", {}, {})


def _parsed(path: Path) -> dict[str, object]:
    import tomllib  # noqa: PLC0415  # only where there is a file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not TOML: {error}: mend it") from error
    except OSError as error:
        raise ConfigError(
            f"{path.name} cannot be read ({error.strerror}): check its rights"
        ) from error


def _settings(name: str, table: Mapping[str, object]) -> SettingsFile:
    values: dict[str, object] = {}
    keys: dict[str, str] = {}
    for key, value in table.items():
        option = key.replace("-", "_")
        if SECRET.search(option):
            safe = "PINECONE_API_KEY" if "pinecone" in option else "AIP_API_KEY"
            raise ConfigError(
                f"{name} holds a key, {key!r}, and files are copied and committed: "
                f"take it out, and set the variable {safe} instead"
            )
        if option in values:
            raise ConfigError(f"{name} sets {key!r} twice: keep one of them")
        values[option], keys[option] = value, key
    return SettingsFile(name, values, keys)


def refuse_unknown(file: SettingsFile, known: set[str]) -> None:
    """Refuse a key that is no option of any command.

    Raises:
        ConfigError: names the file, the key, and the option that comes nearest.
    """
    for option, value in file.values.items():
        if option not in known:
            key = file.keys[option]
            if isinstance(value, dict):
                raise ConfigError(
                    f"{file.name} has a table {key!r}: write settings without tables"
                )
            from difflib import get_close_matches  # noqa: PLC0415  # only to fail

            near = get_close_matches(option, known, n=1)
            if near and "_" not in key:
                near = [near[0].replace("_", "-")]
            hint = f"did you mean {near[0]!r}?" if near else "see `aip config`"
            raise ConfigError(f"{file.name} sets {key!r}, which is no setting: {hint}")


def refuse_type(file: SettingsFile, option: str, *, wanted: str) -> NoReturn:
    """Refuse a value of a wrong type; it is not repeated, since it may be secret.

    Raises:
        ConfigError: always.
    """
    kind = type(file.values[option]).__name__
    given = _TOML_NAMES.get(kind, kind)
    raise ConfigError(
        f"{file.name} sets {file.keys[option]!r} to {given}: write {wanted}"
    )


_TOML_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a float",
    "bool": "a boolean",
    "dict": "a table",
    "list": "an array",
}
