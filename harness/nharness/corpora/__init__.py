"""Corpora: documents with stable ids per language and split, their tokens, and batches of them. No tensor library.

`corpus` is the value; `loading` finds one by name (`tables`, `files`, `hub` are the ways in); `encoding` turns
documents into token ids and says which of them count; `excerpts` spreads a budget over sources; `batching` cuts
padded batches.
"""

from nharness.corpora.batching import (
    CPU_TOKENS,
    EVEN,
    Batch,
    Room,
    batches,
    by_length,
    even_shape,
    mixed_batches,
    overhead_on,
    padding_share,
)
from nharness.corpora.corpus import SPLITS, Corpus, Document, content_hash, fingerprint, overlap
from nharness.corpora.encoding import (
    Amount,
    EncodedDocument,
    EncodingPolicy,
    amount,
    by_document,
    encode,
    require_known,
)
from nharness.corpora.excerpts import counterpart, spread
from nharness.corpora.loading import load_corpus
from nharness.corpora.tables import Columns, Table, assemble

__all__ = [
    "CPU_TOKENS",
    "EVEN",
    "SPLITS",
    "Amount",
    "Batch",
    "Columns",
    "Corpus",
    "Document",
    "EncodedDocument",
    "EncodingPolicy",
    "Room",
    "Table",
    "amount",
    "assemble",
    "batches",
    "by_document",
    "by_length",
    "content_hash",
    "counterpart",
    "encode",
    "even_shape",
    "fingerprint",
    "load_corpus",
    "mixed_batches",
    "overhead_on",
    "overlap",
    "padding_share",
    "require_known",
    "spread",
]
