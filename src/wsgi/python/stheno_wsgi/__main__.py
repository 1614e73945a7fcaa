"""``python -m stheno_wsgi MODULE:CALLABLE``"""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
