"""Make a record again from the record alone, in a fresh store, and write beside it what came of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nharness.atomic import write_json
from nharness.cli.output import say, tell
from nharness.errors import NharnessError
from nharness.events import Event, Noted
from nharness.plugins import Plugins
from nharness.record.reproduction import REPRODUCTION_NAME, Reproduction
from nharness.record.specification import specification
from nharness.record.store import RECORD_NAME
from nharness.record.validate import load_record
from nharness.run.line import run
from nharness.run.plan.request import RunRequest
from nharness.spec import RunSpec


def reproduce(path: Path, *, model: str | None = None, corpus: str | None = None) -> str:
    """Return the verdict on a record, "reproduced" or "differs"; a reproduction file is written beside it.

    model, corpus: where they lie, for those that no name finds; their fingerprints must be the record's. Raises
    `UsageError` for a record that asks for what no run does, and whatever the run raises.
    """
    from nharness_leaderboard.reproduction import earned, reproduction_of

    source = path / RECORD_NAME if path.is_dir() else path
    record = load_record(source, files=True)
    spec = _at(specification(record), model, corpus)
    with tempfile.TemporaryDirectory(prefix="nharness-reproduce-") as fresh:
        request = RunRequest(spec=spec, out=Path(fresh) / "run", command="nharness leaderboard reproduce")
        written = run(request, Plugins(), listen=_heard).records
        if len(written) != 1:
            raise NharnessError(f"reproducing {source} wrote {len(written)} records, expected 1")
        ((made, again),) = written.items()
        found = reproduction_of(record, source.parent, again, made.parent)
    write_json(source.parent / REPRODUCTION_NAME, found.document())
    badge = "reproduced" if earned(record, found) else "self-reported"
    kept = record.model_copy(update={"identity": record.identity.model_copy(update={"badge": badge})})
    if badge != record.identity.badge:
        write_json(source, kept.document())
    _show(source, found)
    return found.verdict


def _at(spec: RunSpec, model: str | None, corpus: str | None) -> RunSpec:
    """Return the specification with its model and corpus where they lie."""
    places = {
        name: getattr(spec, name).model_copy(update={"name": place})
        for name, place in (("model", model), ("corpus", corpus))
        if place is not None
    }
    return spec.model_copy(update=places)


def _heard(event: Event) -> None:
    if isinstance(event, Noted):
        tell(f"{event.level}: {event.text}")


def _show(source: Path, found: Reproduction) -> None:
    count = f"of {found.items} items {found.identical} are identical, {found.beyond} beyond noise"
    apart = f", {found.rungs_apart} rungs are held by the headline alone" if found.rungs_apart else ""
    say(f"{source}: {found.verdict}; {count}{apart}")
    for reason in found.reasons:
        say(f"  {reason}")
    for each in found.largest[:3]:
        place = f"{each.task} of {each.target or 'the intact model'} on {each.language}, {each.id}"
        say(f"  largest: {each.difference:.3g} where {each.allowed:.3g} is allowed ({place})")
    if found.environment_changes:
        say(f"  another environment: {', '.join(found.environment_changes)}")
