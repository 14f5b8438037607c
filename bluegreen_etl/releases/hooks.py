"""Hooks: commands of the project that run when a release changes its status, with JSON on standard input."""

from bluegreen_etl import child_process, errors, model
from bluegreen_etl.model import Release
from bluegreen_etl.releases.context import Context


class Occasion(model.Record, frozen=True, kw_only=True):
    """What a hook reads: `event` is the name of the hook, `replaces` the release that is or was live before."""

    event: str
    schema: str
    release: Release
    replaces: int | None
    reason: str | None


def before_promote(context: Context, release: Release, live: Release | None) -> None:
    """Run the hook that decides whether a release may go live.

    Raises:
        CommandFailed: the hook ended with another exit code than 0.
    """
    code = _run_hook(context, context.settings.hooks.before_promote, "before_promote", release, replaces=live)
    if code:
        raise errors.CommandFailed(
            f"hook before_promote ended with exit code {code}: release {release.number} stays {release.status}",
            hint=f"Read the output of the hook above, fix the cause, then run `bluegreen promote {release.number}`.",
        )


def after_promote(context: Context, release: Release, live: Release | None) -> None:
    """Run the hook for a release that has become live."""
    _run_and_report(context, context.settings.hooks.after_promote, "after_promote", release, replaces=live)


def after_load(context: Context, release: Release) -> None:
    """Run the hook for a release that is ready."""
    _run_and_report(context, context.settings.hooks.after_load, "after_load", release)


def after_failure(context: Context, release: Release, reason: str) -> None:
    """Run the hook for a release that has failed."""
    _run_and_report(context, context.settings.hooks.after_failure, "after_failure", release, reason=reason)


def _run_and_report(
    context: Context,
    command: str | None,
    event: str,
    release: Release,
    *,
    replaces: Release | None = None,
    reason: str | None = None,
) -> None:
    """Run a hook whose failure has no consequence but a message."""
    code = _run_hook(context, command, event, release, replaces=replaces, reason=reason)
    if code:
        context.watcher.say(f"hook {event} ended with exit code {code}")


def _run_hook(
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
