"""`python -m nharness`."""

import sys

from nharness.cli.main import main

sys.exit(main())
