"""Findings of papers that records can bear out or not; each states its rule."""
