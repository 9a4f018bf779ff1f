"""Where a record comes from: who ran what, with which model, text, detector and edit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.types import (
    MAX_LANGUAGES,
    MAX_LAYERS,
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
    Part,
    RelativeName,
    Share,
    ShortText,
)

Badge = Literal["self-reported", "reproduced"]


class Study(Part):
    """The declarative file that the run was made from."""

    name: Name = Field(description="Name of the study.")
    text: LongText = Field(description="The study file, verbatim (TOML).")
    digest: Digest = Field(description="SHA-256 of the text's UTF-8 bytes, hexadecimal.")


class Identity(Part):
    """What this record is, and how to make it again."""

    id: Digest = Field(
        description="Content key: SHA-256 of the record's canonical JSON without id, created, badge, cost and "
        "environment, so that two runs that measured the same numbers the same way have the same id."
    )
    created: Instant = Field(description="When the record was written, UTC, as YYYY-MM-DDThh:mm:ssZ.")
    nharness: Name = Field(description="Version of nharness that wrote the record.")
    command: ShortText = Field(description="The command line that reproduces the record.")
    study: Study | None = Field(None, description="The study file, or null when the run was given on the command line.")
    badge: Badge = Field(
        "self-reported",
        description="'self-reported' by whoever submitted it, or 'reproduced' by a maintainer from the command line.",
    )


class Model(Part):
    """The language model."""

    name: Name = Field(description="Name or hub identifier of the model.")
    revision: Name | None = Field(None, description="Revision of the checkpoint; null for a local or embedded one.")
    fingerprint: Fingerprint = Field(description="Digest of all parameters before any edit.")
    tokenizer_fingerprint: Fingerprint = Field(description="Digest of the tokenizer.")
    architecture: Name = Field(description="Class name of the model.")
    parameters: Count = Field(description="Number of parameters.")
    layer_widths: tuple[Count, ...] = Field(
        min_length=1, max_length=MAX_LAYERS, description="Feed-forward neurons of each layer, first layer first."
    )
    dtype: Name = Field(description="Number format of the weights during evaluation, such as float32 or bfloat16.")
    device: Name = Field(description="Device of the evaluation, such as cpu or cuda.")
    args: Options = Field(default_factory=dict, description="Model arguments as given, verbatim.")


class CorpusSplit(Part):
    """How much text of one language one split had."""

    language: LanguageTag = Field(description="Language of the text.")
    split: Identifier = Field(description="Split: 'detect' for finding neurons, 'eval' for measuring.")
    documents: Count = Field(description="Number of documents.")
    tokens: Count = Field(description="Number of tokens of this model's tokenizer that were used.")
    bytes: Count = Field(description="Number of UTF-8 bytes of the text that was used.")


class TextOverlap(Part):
    """Text of one language that is both in the detection and in the evaluation split."""

    language: LanguageTag = Field(description="Language of the text.")
    documents: Count = Field(description="Evaluation documents whose content hash is also in the detection split.")
    share: Share = Field(description="The same as a share of the language's evaluation documents, 0 to 1.")
    examples: tuple[Name, ...] = Field((), max_length=10, description="Ids of up to ten such documents.")


class Corpus(Part):
    """The text that neurons were found in and perplexity was measured on."""

    name: Name = Field(description="Name of the corpus.")
    fingerprint: Fingerprint = Field(description="Digest of all documents and their ids.")
    licence: ShortText | None = Field(None, description="Licence of the text.")
    splits: tuple[CorpusSplit, ...] = Field(max_length=8 * MAX_LANGUAGES, description="Amount per language and split.")
    overlap: tuple[TextOverlap, ...] = Field(
        (), max_length=MAX_LANGUAGES, description="Languages whose splits share documents; empty when none do."
    )


class Detector(Part):
    """The method that found the neurons."""

    name: Identifier = Field(description="Name of the detector.")
    version: Name = Field(description="Version of the detector's algorithm.")
    plugin: Name = Field(description="Module of the plug-in that registered it.")
    distribution: Name | None = Field(None, description="Installed distribution and version the plug-in came from.")
    options: Options = Field(default_factory=dict, description="All options, defaults included, verbatim.")
    seconds: NonNegative | None = Field(None, description="Time of detection without recording, in seconds.")
    tokens: Count | None = Field(None, description="Tokens, over all languages, that its statistics were recorded on.")


class Intervention(Part):
    """What was done to the neurons."""

    name: Identifier = Field(description="Name of the intervention.")
    options: Options = Field(default_factory=dict, description="All options, defaults included, verbatim.")
    strength: Number | None = Field(None, description="Strength, unitless; null where the intervention has none.")
    site: Literal["gate", "hidden"] = Field(description="Where the activation was edited.")
    backend: Identifier = Field(description="How: by hooks on the running model, or folded into the weights.")
    scope: Identifier = Field("all", description="Which tokens were edited; 'all' is every token.")


class Selection(Part):
    """Which of the detected neurons were deactivated."""

    kinds: tuple[KindName, ...] = Field(
        min_length=1, max_length=4, description="Kinds of neurons deactivated, by number of languages they belong to."
    )
    budget: Share | None = Field(
        None, description="Share of all neurons kept per language, above 0 to 1; null: as many as the detector chose."
    )


class Environment(Part):
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


class FileEntry(Part):
    """A file beside the record."""

    role: Literal["items", "neurons", "statistics", "report", "other"] = Field(description="What the file holds.")
    name: RelativeName = Field(description="Path relative to the record's folder, '/' between parts; never leaves it.")
    sha256: Digest = Field(description="SHA-256 of the file's bytes, hexadecimal.")
    bytes: Count = Field(description="Size of the file in bytes.")
