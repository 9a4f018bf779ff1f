"""Findings of papers that records can confirm or refute; each states its rule."""
