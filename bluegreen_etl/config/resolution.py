"""Merge flags, environment variables and bluegreen.toml into one frozen record, and find the target."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.config import mistakes
from bluegreen_etl.config.sections import Section, Settings

FILE_NAME = "bluegreen.toml"
EMBEDDED = "embedded"  # the value of dsn that means the embedded server
# Variables in which hosting platforms name the environment; used only if bluegreen.toml has a section of that name.
PLATFORM_VARIABLES = (
    "RAILWAY_ENVIRONMENT_NAME",
    "VERCEL_ENV",
    "HEROKU_APP_NAME",
    "RENDER_SERVICE_NAME",
    "FLY_APP_NAME",
    "GITHUB_REF_NAME",
)
# Variables that exist on a platform, with the section for it; used only if none of the variables above matches.
PLATFORMS = {
    "RAILWAY_PROJECT_ID": "railway",
    "VERCEL": "vercel",
    "DYNO": "heroku",
    "RENDER": "render",
    "FLY_APP_NAME": "fly",
    "GITHUB_ACTIONS": "github",
}
# The words of msgspec for a text that does not match a pattern.
_REGEX = re.compile(r"`str` matching regex '(.*?)'(?= - at )")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Target(Section, frozen=True, kw_only=True):
    """The server to use: `dsn` None means the embedded one; `origin` names the setting that chose it.

    Attributes:
        fallback: no setting chose it.
        unchosen: then, the environments of bluegreen.toml if none of them was chosen.
    """

    dsn: str | None
    origin: str
    fallback: bool = False
    unchosen: tuple[str, ...] = ()

    def refuse_unchosen(self) -> None:
        """Refuse to fall back on the embedded server although there are environments.

        Raises:
            BadConfiguration: none of them was chosen.
        """
        if self.unchosen:
            raise errors.BadConfiguration(
                f"no server was named, and none of the environments was chosen: {', '.join(sorted(self.unchosen))}",
                hint="Give `--environment NAME`, or `--dsn embedded` for the embedded server.",
            )


class Resolved(Section, frozen=True, kw_only=True):
    """Settings with their target and environment."""

    settings: Settings
    target: Target
    environment: str | None
    environment_origin: str | None
    directory: str

    def path(self, text: str) -> Path:
        """Return a path of bluegreen.toml; relative paths start at the directory of the file."""
        return Path(self.directory) / text


def resolve(
    flags: Mapping[str, Any],
    *,
    file: str | None = None,
    environment: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """Merge all settings into one frozen record.

    Args:
        flags: nested as in bluegreen.toml; None means not given.
        file: the configuration file; None means bluegreen.toml in the working directory, if it exists.
        environment: the name given by --environment or BLUEGREEN_ENVIRONMENT.
        environ: the process environment; None means os.environ.

    Raises:
        UsageError: no such file or environment, invalid TOML, an unknown key, or a value of the wrong type.
    """
    environ = os.environ if environ is None else environ
    path, document = _read(file)
    environments = document.pop("environments", {})
    if not isinstance(environments, dict) or not all(isinstance(own, dict) for own in environments.values()):
        raise errors.BadConfiguration(
            f"{path}: `environments` contains a value that is no table", hint="Write `[environments.NAME]` sections."
        )
    for key, own in environments.items():
        # Find a mistake now, even in an environment that this command does not use.
        _convert(_expand(_without_unset(own, environ), environ), f"{path}: [environments.{key}]", path)
    name, name_origin = _environment_name(environment, environments, environ)
    section = environments.get(name, {}) if name else {}
    merged = _merge(_merge(document, section), _without_none(flags))
    settings = _convert(_expand(merged, environ), path or "the command line", path)
    return Resolved(
        settings=settings,
        target=_embedded_by_name(_target(settings, flags, section, environ, path, () if name else tuple(environments))),
        environment=name,
        environment_origin=name_origin,
        directory=str(Path(path).parent) if path else ".",
    )


def embedded_directory() -> Path:
    """Return the data directory of the embedded server: BLUEGREEN_EMBEDDED_DIR, or the platform's default.

    For root the default is below /var/lib: the server runs as another user, who needs access to it.
    """
    if named := os.environ.get("BLUEGREEN_EMBEDDED_DIR"):
        return Path(named)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/bluegreen/embedded-18")
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "bluegreen" / "embedded-18"


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child process: this process's without libpq's variables, plus `extra`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**inherited, **extra}


def _read(file: str | None) -> tuple[str | None, dict[str, Any]]:
    path = Path(file or FILE_NAME)
    try:
        return str(path), tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if file is None:
            return None, {}
        raise errors.BadConfiguration(
            f"no such configuration file: {file}", hint="Check `--config` or `BLUEGREEN_CONFIG`."
        ) from error
    # Not TOML, not UTF-8, a number of thousands of digits, brackets in brackets, or a directory.
    except (ValueError, RecursionError, OSError) as error:
        raise errors.BadConfiguration(
            f"{path} cannot be read: {error}", hint="Fix the file; it must be TOML."
        ) from error


def _environment_name(
    given: str | None, environments: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[str | None, str | None]:
    if given:
        if given not in environments:
            known = ", ".join(sorted(environments)) or "none"
            raise errors.BadConfiguration(
                f'no environment "{given}" in {FILE_NAME}',
                hint=f"Add `[environments.{given}]`, or use one of: {known}.",
            )
        return given, "--environment or BLUEGREEN_ENVIRONMENT"
    for variable in PLATFORM_VARIABLES:
        if environ.get(variable) in environments:
            return environ[variable], variable
    for variable, platform in PLATFORMS.items():
        if environ.get(variable) and platform in environments:
            return platform, variable
    return None, None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def _without_none(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value is not None}


def _expand(value: Any, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - any TOML value
    if isinstance(value, dict):
        return {key: _expand(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, environ) for inner in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match[1], environ), value)
    return value


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise errors.BadConfiguration(
            f"{FILE_NAME} uses ${{{name}}}, which is not set", hint=f"Set the environment variable `{name}`."
        )
    return environ[name]


def _without_unset(section: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the section without the values that use an unset variable."""
    known: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            known[key] = _without_unset(value, environ)
        elif environ.keys() >= set(_VARIABLE.findall(str(value))):
            known[key] = value
    return known


def _convert(document: Mapping[str, Any], where: str, file: str | None) -> Settings:
    if bad := mistakes.find_bad_text(document):
        key, reason = bad
        raise errors.BadConfiguration(
            f"{where}{_line(file, key)}: {'.'.join(key) or 'a key'} {reason}", hint="Write another text."
        )
    try:
        # Not strict, because the value of a variable is always a text, even for a number.
        return msgspec.convert(document, Settings, strict=False)
    except msgspec.ValidationError as error:
        said = _REGEX.sub(lambda found: f"a text such as `{'5 %' if '%' in found[1] else '>10'}`", str(error))
        raise errors.BadConfiguration(
            f"{where}{_line(file, mistakes.reported_key(str(error)))}: {said}".replace("Object contains", "contains"),
            hint="Fix the key or value; docs/settings.md lists every key.",
        ) from error


def _line(file: str | None, key: tuple[str, ...]) -> str:
    line = mistakes.find_line(file, key) if file else None
    return f", line {line}" if line else ""


def _target(
    settings: Settings,
    flags: Mapping[str, Any],
    section: Mapping[str, Any],
    environ: Mapping[str, str],
    path: str | None,
    unchosen: tuple[str, ...],
) -> Target:
    if flags.get("dsn"):
        return Target(dsn=settings.dsn, origin="--dsn or BLUEGREEN_DSN")
    # The chosen environment names its own server: a variable that happens to be set does not override it.
    if section.get("dsn"):
        return Target(dsn=settings.dsn, origin=f"the environment's section of {path}")
    if url := environ.get("DATABASE_URL"):
        return Target(dsn=url, origin="DATABASE_URL")
    if settings.dsn:
        return Target(dsn=settings.dsn, origin=str(path))
    if any(environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")):
        return Target(dsn="", origin="PG* variables")
    origin = "the embedded server, because no connection was given"
    return Target(dsn=None, origin=origin, fallback=True, unchosen=unchosen)


def _embedded_by_name(target: Target) -> Target:
    return msgspec.structs.replace(target, dsn=None) if target.dsn == EMBEDDED else target
