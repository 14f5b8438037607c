"""Hooks: the project's own commands at the turns of a release, which learn of it by JSON on standard input."""

from bluegreen_etl import child_process, errors, model
from bluegreen_etl.model import Release
from bluegreen_etl.releases.context import Context


class Occasion(model.Record, frozen=True, kw_only=True):
    """What a hook reads: `event` is the hook's own name, `replaces` the release that is or was live before."""

    event: str
    schema: str
    release: Release
    replaces: int | None
    reason: str | None


def before_promote(context: Context, release: Release, live: Release | None) -> None:
    """Ask the project whether a release may go live.

    Raises:
        CommandFailed: its command ended with another exit code than 0.
    """
    code = _call(context, context.settings.hooks.before_promote, "before_promote", release, replaces=live)
    if code:
        raise errors.CommandFailed(
            f"hook before_promote ended with exit code {code}: release {release.number} stays {release.status}",
            hint="Its own output above says why; promote it again when that is mended.",
        )


def after_promote(context: Context, release: Release, live: Release | None) -> None:
    """Tell the project that a release is live."""
    _tell(context, context.settings.hooks.after_promote, "after_promote", release, replaces=live)


def after_load(context: Context, release: Release) -> None:
    """Tell the project that a release is ready."""
    _tell(context, context.settings.hooks.after_load, "after_load", release)


def after_failure(context: Context, release: Release, reason: str) -> None:
    """Tell the project that a release has failed."""
    _tell(context, context.settings.hooks.after_failure, "after_failure", release, reason=reason)


def _tell(
    context: Context,
    command: str | None,
    event: str,
    release: Release,
    *,
    replaces: Release | None = None,
    reason: str | None = None,
) -> None:
    """Run a hook whose failure changes nothing any more."""
    code = _call(context, command, event, release, replaces=replaces, reason=reason)
    if code:
        context.watcher.say(f"hook {event} ended with exit code {code}")


def _call(
    context: Context,
    command: str | None,
    event: str,
    release: Release,
    *,
    replaces: Release | None = None,
    reason: str | None = None,
) -> int:
    if command is None:
        return 0
    number = replaces.number if replaces else None
    occasion = Occasion(event=event, schema=release.live_schema, release=release, replaces=number, reason=reason)
    own = {"BLUEGREEN_EVENT": event, "BLUEGREEN_SCHEMA": release.live_schema, "BLUEGREEN_RELEASE": str(release.number)}
    given = model.to_json(occasion).encode()
    return child_process.run_attached(
        ["sh", "-c", command], environment=own, given=given, directory=context.resolved.directory
    )
