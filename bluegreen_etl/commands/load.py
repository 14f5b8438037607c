"""Load: files into a new release, from the plan until it is ready; any failure leaves live as it was."""

from collections.abc import Sequence

from bluegreen_etl import model
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.build import build, without_address
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, complete, failing_cleanly, open_release
from bluegreen_etl.releases.plan import LoadPlan, plan_load
from bluegreen_etl.releases.progress import Stages


def load(context: Context, paths: Sequence[str], *, dry_run: bool = False, promote: bool = False) -> Loaded:
    """Fill a new release from files and make it ready.

    Args:
        paths: files, directories, globs; none means those of bluegreen.toml.
        dry_run: look at everything, write nothing.
        promote: the caller goes on with promote, so protection is asked about now.

    Raises:
        BadSource, BadRow, ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    found = matching.find_files(context, paths)
    with context.server.connect(f"load {context.schema}") as connection:
        plan = plan_load(context, connection, found)
        matching.refuse_nonconforming(context, found)
        if dry_run:
            context.watcher.say(_in_words(plan))
            context.watcher.say("dry run: nothing was written")
            return Loaded(schema=plan.schema, release=None, structure=plan.structure, files=_files(plan))
        if promote:
            refuse_if_protected(context, connection, "promote")
        release = open_release(context, connection, plan)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            built = build(context, connection, plan, release, stages)
            return complete(context, connection, plan, built, stages)


def _in_words(plan: LoadPlan) -> str:
    """Say what a load would do, in the order in which it would."""
    files = sum(len(item.files) for item in plan.found)
    steps = [
        f"structure from {plan.structure}",
        f"copy {_count(files, 'file')} into {_count(len(plan.found), 'table')}",
    ]
    steps += [f"transform by {_count(len(plan.transforms), 'file')}"] if plan.transforms else []
    own = ", ".join(check.name for check in plan.checks)
    steps.append(f"check {own}" if own else "check only what comes with every load")
    return f"a load of {plan.schema} would do this: {'; '.join(steps)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _files(plan: LoadPlan) -> tuple[model.SourceFile, ...]:
    return tuple(without_address(file) for item in plan.found for file in item.files)
