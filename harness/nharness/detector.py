"""What a detector is: what it needs recorded, its options, and evidence in, detection out.

A detector sees statistics, neurons and errors, and no model, no text and no tensor library. Twenty lines are enough:

    class TopMean(Detector):
        '''Neurons whose mean activation is largest for one language.'''

        name = "top-mean"

        class Options(DetectorOptions):
            top_rate: float = Field(0.01, gt=0, le=1)

        def needs(self):
            return (Need("moments", "gate"),)

        def detect(self, evidence):
            mean = evidence.statistics("gate").mean()                # [G, M]
            return self.detection(evidence, membership=mean > np.quantile(mean, 1 - self.options.top_rate), score=mean)
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, cast, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypeVar, get_original_bases

from nharness.errors import NharnessError, OptionError, PluginError, UnknownNameError, UsageError
from nharness.neurons import Best, Component, Detection, OfModel, same_model
from nharness.ranges import first_fault
from nharness.statistics import LanguageTotals, Statistics


@dataclass(frozen=True)
class Need:
    """One statistic at one site that a detector asks the recording pass for."""

    statistic: str
    site: str = "gate"

    def __post_init__(self) -> None:
        """Raise `PluginError` for a name or a site that can be none."""
        for what, value in (("statistic", self.statistic), ("site", self.site)):
            if not isinstance(value, str) or not value or "/" in value:
                raise PluginError(f"Need names {what} {value!r}; expected Need('moments', 'gate') or the like")


class DetectorOptions(BaseModel):
    """Base of a detector's options: frozen, no unknown names, ranges in the fields; recorded verbatim."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


@dataclass(frozen=True)
class Evidence:
    """What was recorded for a detector: statistics by site, all with the same languages and widths.

    reference: another detector's result, for detectors that are built relative to one (`random`).
    loss_changes: float64 [M] a language under "delta/<lang>", the change of mean NLL (nats per token) when one neuron
        is zeroed alone; only for `exhaustive`.
    """

    sites: Mapping[str, Statistics]
    reference: Detection | None = None
    loss_changes: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def together(cls, tables: Mapping[str, Statistics], **more: Any) -> Evidence:
        """Return evidence of statistics by the name of what each was read from; `more` are the other fields.

        Raises `UsageError` unless they are of distinct sites and of one model, tokenizer and list of languages.
        """
        first = next(iter(tables))
        sites: dict[str, str] = {}
        for name, table in tables.items():
            if table.site in sites:
                raise UsageError(
                    f"{sites[table.site]} and {name} are both of site {table.site}; expected one file per site "
                    "(parts of one recording become one file by nharness merge)"
                )
            sites[table.site] = name
            same_model(table, tables[first], what=f"the statistics of {name} and {first}")
            if table.languages != tables[first].languages:
                raise UsageError(
                    f"{name} covers {', '.join(table.languages)}; {first} covers {', '.join(tables[first].languages)}; "
                    "expected the same languages in the same order"
                )
            for what in ("model", "tokenizer", "corpus"):
                one, other = (each.provenance.get(what) for each in (table, tables[first]))
                if one and other and one != other:
                    raise UsageError(f"{name} and {first} are of another {what}: {one}, {other}")
        return cls({table.site: table for table in tables.values()}, **more)

    @classmethod
    def without_statistics(cls, languages: Sequence[str], model: OfModel) -> Evidence:
        """Return evidence of languages and layers alone, for detectors and interventions that need nothing recorded."""
        totals = {tag: LanguageTotals(0, 0) for tag in languages}
        return cls({"": Statistics("", model.layer_widths, totals, {}, component=model.component)})

    def statistics(self, site: str) -> Statistics:
        """Return the statistics of one site; raises `UnknownNameError` when it was not recorded."""
        if site not in self.sites:
            raise UnknownNameError("recorded site", site, self.sites)
        return self.sites[site]

    @property
    def any(self) -> Statistics:
        """The statistics of whichever site was recorded first, for languages and widths."""
        return next(iter(self.sites.values()))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in recording order."""
        return self.any.languages

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Neurons per layer."""
        return self.any.layer_widths

    @property
    def component(self) -> Component:
        """What kind of unit the neurons are."""
        return self.any.component


Made = TypeVar("Made", bound=BaseModel)
OptionsT = TypeVar("OptionsT", bound=DetectorOptions, default=DetectorOptions)


class Detector(ABC, Generic[OptionsT]):
    """Base of all detectors; an instance holds its options and nothing else.

    `class TopMean(Detector[TopMeanOptions])` has `TopMeanOptions` as its options, for type checkers too.
    """

    name: str
    version: ClassVar[str] = "1"

    Options: ClassVar[type[DetectorOptions]] = (
        DetectorOptions  # a subclass's own model, nested, assigned or in brackets
    )
    options: OptionsT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the options' model from the brackets behind the base class."""
        super().__init_subclass__(**kwargs)
        if "Options" not in vars(cls):
            cls.Options = bracketed(cls, Detector) or cls.Options

    def __init__(self, **options: Any) -> None:
        self.options = cast("OptionsT", make_options(f"detector {self.name}", self.Options, options))

    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """Return what must be recorded, given the options."""

    def ablation_tokens(self) -> int:
        """Return on how many tokens per language the runner is to ablate every neuron alone; 0: not at all.

        The result is `Evidence.loss_changes`.
        """
        return 0

    @abstractmethod
    def detect(self, evidence: Evidence) -> Detection:
        """Return the neurons of every language; an empty row stays. Called with at least two languages."""

    def detection(
        self,
        evidence: Evidence,
        *,
        membership: NDArray[np.bool_],
        score: NDArray[Any],
        best: Best = "highest",
        candidates: NDArray[np.bool_] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Detection:
        """Return the result with this detector's name and options filled in."""
        return Detection(
            detector=self.name,
            languages=evidence.languages,
            layer_widths=evidence.layer_widths,
            membership=np.asarray(membership, dtype=bool),
            score=np.asarray(score, dtype=np.float32),
            best=best,
            candidates=candidates,
            options=self.options.model_dump(mode="json", by_alias=True),
            notes=notes or {},
            provenance={"detector_version": self.version, **evidence.any.provenance, **self._counted(evidence)},
            component=evidence.component,
        )

    def _counted(self, evidence: Evidence) -> dict[str, int]:
        """Return on how many tokens the detection rests, where it rests on any."""
        if not self.needs():
            return {}
        return {"detection_tokens": sum(totals.tokens for totals in evidence.any.totals.values())}

    def __call__(self, evidence: Evidence) -> Detection:
        """Check the evidence and detect; raises `UsageError` for fewer than two languages or missing statistics."""
        if len(evidence.languages) < 2:
            raise UsageError(f"detector {self.name} compares languages and needs at least 2; got {evidence.languages}")
        needs = self.needs()
        for need in needs:
            if not evidence.statistics(need.site).has(need.statistic):
                raise UsageError(
                    f"detector {self.name} needs statistic {need.statistic!r} at site {need.site!r}; "
                    f"record it with: nharness record --detector {self.name}"
                )
        empty = [tag for tag in evidence.languages if evidence.any.totals[tag].tokens == 0]
        if empty and needs:
            raise UsageError(f"no tokens were recorded for language {empty[0]!r}, which detector {self.name} needs")
        try:
            found = self.detect(evidence)
        except (NharnessError, KeyboardInterrupt):
            raise
        except BaseException as error:  # the plug-in boundary: a detector is anyone's code, exit() in it too
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"detector {self.name} failed: {what} (at {last.filename}:{last.lineno})") from error
        if not isinstance(found, Detection):
            raise PluginError(f"detector {self.name} returned {found!r}, expected an nharness.Detection")
        rows = {evidence.languages} | ({evidence.reference.languages} if evidence.reference else set())
        if found.languages not in rows:
            raise PluginError(f"detector {self.name} returned languages that differ from its evidence")
        if (found.layer_widths, found.component) != (evidence.layer_widths, evidence.component):
            raise PluginError(f"detector {self.name} returned neurons of a different model from its evidence")
        return found


def bracketed(cls: type, base: type) -> Any:
    """Return the model in the brackets of `class X(base[Model])`, None where the class names none."""
    for parent in get_original_bases(cls):
        origin, model = get_origin(parent), next(iter(get_args(parent)), None)
        if isinstance(origin, type) and issubclass(origin, base) and isinstance(model, type):
            return model
    return None


def make_options(owner: str, model: type[Made], given: Mapping[str, Any]) -> Made:
    """Return the options as their model; `owner` ("detector lape") begins every message.

    Raises `UnknownNameError` for a name the model lacks, `OptionError` with the allowed range or choices for a value.
    """
    names = [field.alias or name for name, field in model.model_fields.items()]
    for option in given:
        if option not in names:
            raise UnknownNameError(f"option of {owner}", option, names)
    try:
        return model(**given)
    except ValidationError as error:
        where, got, expected = first_fault(model, error)
        option = ".".join(map(str, where))
        raise OptionError(f"{owner}: option {option} is {got!r}; expected {expected}") from error
