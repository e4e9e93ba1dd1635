"""`python -m pipeline.cli` is `unetworks`."""

import sys

from pipeline.cli import main

sys.exit(main())
