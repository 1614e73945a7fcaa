"""The parts of scripts/lab.

    cli ──► run ──► contestants, load, sampler ──► files in a folder (records)
     │                                                    │
     └────► report, compare, shows ◄── charts ◄── model ◄─┘
"""

import pathlib

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = PROJECT / "target" / "lab"
PICTURES = PROJECT / "docs" / "img" / "lab"


class Trouble(Exception):
    """Something that the one who asked can mend: said in one line."""
