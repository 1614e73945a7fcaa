"""What is seen while it runs: a bar for each rung, and a line when it is done."""

import shutil
import sys

WIDTH = 24


class Progress:
    """On standard error; without a terminal only the lines."""

    def __init__(self):
        self.is_live = sys.stderr.isatty()

    def show(self, title, share, rest):
        """The bar, over what was there."""
        if not self.is_live:
            return
        full = max(0, min(WIDTH, round(share * WIDTH)))
        line = f"{title:32} {'█' * full}{'░' * (WIDTH - full)} {rest}"
        width = shutil.get_terminal_size().columns
        print("\r" + line[: width - 1].ljust(width - 1), end="", file=sys.stderr, flush=True)

    def done(self, line):
        """A line that stays."""
        if self.is_live:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", file=sys.stderr)
        print(line, file=sys.stderr, flush=True)
