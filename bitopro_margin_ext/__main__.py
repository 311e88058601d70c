"""``python -m bitopro_margin_ext``: the same as the ``bitopro-margin`` command."""

import sys

from .cli import main

sys.exit(main())
