"""Where a record comes from: who ran what, with which model, text, detector and edit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.types import (
    MAX_LANGUAGES,
    MAX_LAYERS,
    Asserted,
    Count,
    Digest,
    Fingerprint,
    Flag,
    Identifier,
    Instant,
    KindName,
    LanguageTag,
    LongText,
    Name,
    NonNegative,
    Number,
    Options,
    RelativeName,
    Section,
    Share,
    Shipped,
    ShortText,
)

UNKNOWN_FLAGGED, UNKNOWN_UNRANKED = 0.01, 0.05
"""Share of unknown tokens of a language's evaluation text above which its cells are flagged, and are not ranked."""

Badge = Literal["self-reported", "reproduced"]
Purpose = Literal["harm", "steer", "restore"]


class Study(Section):
    """The declarative file that the run was made from."""

    name: Name = Field(description="Name of the study.")
    text: LongText = Field(description="The study file, verbatim (TOML).")
    digest: Digest = Field(description="SHA-256 of the text's UTF-8 bytes, hexadecimal.")


class NharnessSource(Section):
    """Which nharness made the record."""

    version: Name = Field(description="Version of nharness.")
    digest: Digest | None = Field(
        None, description="SHA-256 over the source files that a measured number can depend on."
    )
    modified: Flag | None = Field(
        None,
        description="Whether its files are other ones than were installed; null for a working copy.",
    )


class PluginSource(Section):
    """A distribution whose plug-ins took part."""

    distribution: Name = Field(description="Name of the distribution, or of the module where it comes from none.")
    version: Name | None = Field(None, description="Version of the distribution, or null.")
    digest: Digest | None = Field(None, description="SHA-256 over the source files of its plug-ins, or null.")


class Source(Section):
    """The source code that made the record."""

    nharness: NharnessSource = Field(description="The harness.")
    plugins: tuple[PluginSource, ...] = Field((), max_length=100, description="Every plug-in that took part.")


class Identity(Section):
    """What this record is, and how to make it again."""

    id: Digest = Field(
        description="Content key: SHA-256 of the record's canonical JSON without id, created, command, study, badge, "
        "cost and environment, so that two runs that measured the same numbers the same way have the same id."
    )
    created: Asserted[Instant] = Field(description="When the record was written, UTC, as YYYY-MM-DDThh:mm:ssZ.")
    nharness: Asserted[Name] = Field(description="Version of nharness that wrote the record.")
    command: Asserted[ShortText] = Field(description="The command line, as it was typed.")
    study: Asserted[Study | None] = Field(
        None, description="The study file, or null when the run was given on the command line."
    )
    specification: Asserted[Options | None] = Field(
        None, description="The run's specification, without the machine's paths; null in migrated records."
    )
    source: Asserted[Source | None] = Field(
        None, description="The source code that made the record; null in records that were migrated from format 1."
    )
    badge: Badge = Field(
        "self-reported",
        description="'self-reported' by whoever submitted it, or 'reproduced' where a reproduction beside it says so.",
    )


class Model(Section):
    """The language model."""

    name: Asserted[Name] = Field(description="Name or hub identifier of the model.")
    revision: Asserted[Name | None] = Field(
        None, description="Revision of the checkpoint; null for a local or embedded one."
    )
    checkpoint: Asserted[ShortText | None] = Field(
        None, description="What the weights are, such as 'SmolLM2-135M-Instruct, GGUF Q4_1'; null where not stated."
    )
    adapters: Asserted[tuple[Name, ...] | None] = Field(
        None, max_length=20, description="Adapters that were applied to the weights, in order; null where not known."
    )
    fingerprint: Asserted[Fingerprint] = Field(description="Digest of all parameters before any edit.")
    tokenizer_fingerprint: Asserted[Fingerprint] = Field(description="Digest of the tokenizer.")
    architecture: Asserted[Name] = Field(description="Class name of the model.")
    parameters: Asserted[Count] = Field(description="Number of parameters.")
    layer_widths: tuple[Count, ...] = Field(
        min_length=1, max_length=MAX_LAYERS, description="Feed-forward neurons of each layer, first layer first."
    )
    dtype: Asserted[Name] = Field(
        description="Number format of the weights during evaluation, such as float32 or bfloat16."
    )
    record_dtype: Asserted[Name | None] = Field(
        None, description="Number format of the weights while statistics were recorded; null where not stated."
    )
    device: Asserted[Name] = Field(description="Device of the evaluation, such as cpu or cuda.")
    batching: Asserted[Literal["batched", "one document at a time"] | None] = Field(
        None, description="How documents go through the model; null where not stated."
    )
    noise_floor_on: Asserted[ShortText | None] = Field(
        None, description="What the noise floors were measured on: batches of which sizes and compositions."
    )
    args: Asserted[Options] = Field(default_factory=dict, description="Model arguments as given, verbatim.")


class CorpusSplit(Section):
    """How much text of one language one split had."""

    language: LanguageTag = Field(description="Language of the text.")
    split: Identifier = Field(description="Split: 'detect' for finding neurons, 'eval' for measuring.")
    documents: Asserted[Count] = Field(description="Number of documents.")
    tokens: Asserted[Count] = Field(description="Number of tokens of this model's tokenizer that were used.")
    bytes: Asserted[Count] = Field(description="Number of UTF-8 bytes of the text that was used.")
    sources: Asserted[Count | None] = Field(
        None, description="Number of independent sources (clusters) the documents come from; null where not counted."
    )
    unknown_share: Asserted[Share | None] = Field(
        None, description="Share of the tokens that are the tokenizer's unknown token, 0 to 1; null where not counted."
    )


class TextOverlap(Section):
    """Text of one language that is both in the detection and in the evaluation split."""

    language: LanguageTag = Field(description="Language of the text.")
    documents: Count = Field(description="Evaluation documents whose content hash is also in the detection split.")
    share: Share = Field(description="The same as a share of the language's evaluation documents, 0 to 1.")
    examples: tuple[Name, ...] = Field((), max_length=10, description="Ids of up to ten such documents.")


class Corpus(Section):
    """The text that neurons were found in and perplexity was measured on."""

    name: Asserted[Name] = Field(description="Name of the corpus.")
    fingerprint: Asserted[Fingerprint] = Field(description="Digest of all documents and their ids.")
    licence: Asserted[ShortText | None] = Field(None, description="Licence of the text.")
    splits: tuple[CorpusSplit, ...] = Field(max_length=8 * MAX_LANGUAGES, description="Amount per language and split.")
    overlap: Shipped[tuple[TextOverlap, ...]] = Field(
        (), max_length=MAX_LANGUAGES, description="Languages whose splits share documents; empty when none do."
    )

    def hardly_known(self, above: float) -> frozenset[str]:
        """Return the languages of whose evaluation tokens the tokenizer does not know more than this share."""
        return frozenset(
            split.language for split in self.splits if split.split == "eval" and (split.unknown_share or 0.0) > above
        )


class Detector(Section):
    """The method that found the neurons."""

    name: Identifier = Field(description="Name of the detector.")
    version: Asserted[Name] = Field(description="Version of the detector's algorithm.")
    plugin: Asserted[Name] = Field(description="Module of the plug-in that registered it.")
    distribution: Asserted[Name | None] = Field(
        None, description="Installed distribution and version the plug-in came from."
    )
    options: Options = Field(default_factory=dict, description="All options, defaults included, verbatim.")
    seconds: Asserted[NonNegative | None] = Field(None, description="Time of detection without recording, in seconds.")
    tokens: Asserted[Count | None] = Field(
        None, description="Tokens, over all languages, that its statistics were recorded on."
    )


class Intervention(Section):
    """What was done to the neurons."""

    name: Asserted[Identifier] = Field(description="Name of the intervention.")
    purpose: Asserted[Purpose] = Field(
        "harm",
        description="What it is for: to harm a language, to steer towards one, to restore one. Signs follow from it.",
    )
    source: Asserted[LanguageTag | None] = Field(
        None, description="Language that a steering leads away from, whose neurons it switches off; null where none."
    )
    version: Asserted[Name | None] = Field(None, description="Version of the intervention; null where not stated.")
    plugin: Asserted[Name | None] = Field(None, description="Module of the plug-in that registered it, or null.")
    distribution: Asserted[Name | None] = Field(
        None, description="Installed distribution and version the plug-in came from, or null."
    )
    options: Asserted[Options] = Field(default_factory=dict, description="All options, defaults included, verbatim.")
    strength: Asserted[Number | None] = Field(
        None, description="Strength, unitless; null where the intervention has none."
    )
    site: Asserted[Literal["gate", "hidden"]] = Field(description="Where the activation was edited.")
    backend: Asserted[Identifier] = Field(description="How: by hooks on the running model, or folded into the weights.")
    scope: Asserted[Identifier] = Field("all", description="Which tokens were edited; 'all' is every token.")


class Selection(Section):
    """Which of the detected neurons were deactivated."""

    kinds: tuple[KindName, ...] = Field(
        min_length=1, max_length=4, description="Kinds of neurons deactivated, by number of languages they belong to."
    )
    budget: Share | None = Field(
        None, description="Share of all neurons kept per language, above 0 to 1; null: as many as the detector chose."
    )


class Environment(Section):
    """The software and the machine."""

    python: Name = Field(description="Version of Python.")
    nharness: Name = Field(description="Version of nharness.")
    torch: Name = Field(description="Version of torch.")
    transformers: Name = Field(description="Version of transformers.")
    lm_eval: Name | None = Field(None, description="Version of lm-eval; null when no task needed it.")
    platform: Name = Field(description="Operating system and processor architecture.")
    cpu: Name | None = Field(None, description="Name of the processor.")
    gpu: Name | None = Field(None, description="Name of the accelerator; null when none was used.")
    threads: Count = Field(description="Threads of the tensor library.")
    deterministic: Flag = Field(True, description="Whether deterministic algorithms were asked for.")


class FileEntry(Section):
    """A file beside the record."""

    role: Literal["items", "ladder", "neurons"] = Field(
        description="What the file holds: every item, every item of the rungs of ladders, or the detected neurons."
    )
    name: RelativeName = Field(description="Path relative to the record's folder, '/' between parts; never leaves it.")
    sha256: Digest = Field(description="SHA-256 of the file's bytes, hexadecimal.")
    bytes: Count = Field(description="Size of the file in bytes.")
