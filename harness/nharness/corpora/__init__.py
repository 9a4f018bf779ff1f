"""Corpora: documents with stable ids per language and split, their tokens, and batches of them. No tensor library.

`corpus` is the value; `loading` finds one by name (`tables`, `files`, `hub` are the ways in); `encoding` turns
documents into token ids and says which of them count; `batching` cuts padded batches.
"""

from nharness.corpora.batching import CPU_TOKENS, Batch, batches, mixed_batches, overhead_on, padding_share
from nharness.corpora.corpus import SPLITS, Corpus, Document, content_hash, fingerprint, overlap
from nharness.corpora.encoding import EncodedDocument, EncodingPolicy, by_document, encode
from nharness.corpora.loading import load_corpus
from nharness.corpora.tables import Columns, Table, assemble

__all__ = [
    "CPU_TOKENS",
    "SPLITS",
    "Batch",
    "Columns",
    "Corpus",
    "Document",
    "EncodedDocument",
    "EncodingPolicy",
    "Table",
    "assemble",
    "batches",
    "by_document",
    "content_hash",
    "encode",
    "fingerprint",
    "load_corpus",
    "mixed_batches",
    "overhead_on",
    "overlap",
    "padding_share",
]
