"""The chart library as one script: Vega, Vega-Lite and Vega-Embed (BSD-3-Clause), taken from vl-convert's bundle."""

from __future__ import annotations

from functools import cache

from nharness.errors import UsageError

LICENCE = """Vega, Vega-Lite, Vega-Embed, Vega-Tooltip: Copyright (c) University of Washington Interactive Data Lab
and contributors, BSD-3-Clause. d3: Copyright Mike Bostock, ISC. The bundle is that of vl-convert (BSD-3-Clause).
Redistributed under the terms of these licences, whose texts stand at https://github.com/vega and https://d3js.org.
"""


@cache
def vega_script() -> str:
    """Return a classic script that sets `window.vegaEmbed`; it asks nothing of the network.

    Raises `UsageError` when the optional library that carries it is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise UsageError("charts need the package vl-convert-python: pip install 'nharness[charts]'") from error
    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;"))
    return f"(function(){{{bundle}}})();\n"
