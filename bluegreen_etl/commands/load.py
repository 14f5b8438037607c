"""Load: files into a new release; any failure leaves live unchanged."""

from collections.abc import Sequence
from typing import Literal, overload

import msgspec

from bluegreen_etl import model
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import StructureFrom
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.build import hide_address
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.lifecycle import Loaded, check_built, make_ready, open_build
from bluegreen_etl.releases.plan import LoadPlan, plan_load
from bluegreen_etl.wording import counted


class LoadPreview(model.Record, frozen=True, kw_only=True):
    """What a load would do. It has the keys of Loaded, so that one reader of the JSON can read both."""

    schema: str
    release: None = None
    structure: StructureFrom
    files: tuple[model.SourceFile, ...]
    tables: tuple[model.TableLoad, ...] = ()
    checks: tuple[model.CheckResult, ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


@overload
def load(context: Context, paths: Sequence[str], *, dry_run: Literal[False] = False) -> Loaded: ...
@overload
def load(context: Context, paths: Sequence[str], *, dry_run: bool) -> Loaded | LoadPreview: ...
@guarded
def load(context: Context, paths: Sequence[str], *, dry_run: bool = False) -> Loaded | LoadPreview:
    """Fill a new release from files and make it ready; a dry run plans the same load and writes nothing.

    Args:
        paths: files, directories, globs; none means the paths of bluegreen.toml.

    Raises:
        BadSource, BadRow, ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    found = matching.find_files(context, paths)
    with context.server.connect(f"load {context.schema}") as connection:
        plan = plan_load(context, connection, found)
        matching.refuse_nonconforming(context, found)
        if dry_run:
            return _preview(context, plan)
        with open_build(context, connection, plan) as build:
            build.create_structure()
            build.defer_indexes()
            build.copy_files()
            built = build.finish()
            checks = check_built(build, built)
            return make_ready(build, built, checks)


def _preview(context: Context, plan: LoadPlan) -> LoadPreview:
    context.watcher.say(_describe(plan))
    context.watcher.say("dry run: nothing was written")
    files = tuple(hide_address(file) for item in plan.found for file in item.files)
    return LoadPreview(schema=plan.schema, structure=plan.structure, files=files)


def _describe(plan: LoadPlan) -> str:
    """Return one line about the steps of a load, in their order."""
    files = sum(len(item.files) for item in plan.found)
    steps = [
        f"structure from {plan.structure}",
        f"copy {counted(files, 'file')} into {counted(len(plan.found), 'table')}",
    ]
    steps += [f"transform by {counted(len(plan.transforms), 'file')}"] if plan.transforms else []
    custom = ", ".join(check.name for check in plan.checks)
    steps.append(f"check {custom}" if custom else "run the built-in checks only")
    return f"a load of {plan.schema} would do this: {'; '.join(steps)}"
