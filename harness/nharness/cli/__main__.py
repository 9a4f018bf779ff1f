"""`python -m nharness.cli`."""

import sys

from nharness.cli.main import main

sys.exit(main())
