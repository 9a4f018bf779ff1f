"""What tables and bars are drawn on."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from nharness.cli.output import plain

PIPED_WIDTH = 200


def console(*, errors: bool = False) -> Console:
    """Return a console on standard output or error: as wide as the terminal, or `PIPED_WIDTH` columns without one."""
    stream = sys.stderr if errors else sys.stdout
    return _Plain(stderr=errors, width=None if stream.isatty() else PIPED_WIDTH)


class _Plain(Console):
    """A console on which foreign text is only text; rich makes its own colours and movements after this."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable, their text made plain."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)
