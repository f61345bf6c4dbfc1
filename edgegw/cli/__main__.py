"""`python -m edgegw.cli`."""

import sys

from edgegw.cli.command import main

sys.exit(main())
