"""The finder of items on programs that try to mislead it."""

from lib import Trouble

from . import items

RUST = '''//! A rung.
use std::io;

/// Two braces in a string, and one in a character.
fn first<'a>(text: &'a str) -> Option<&'a str> {
    let _ = ("}}", '{', r#"}"{"#, b"}"); // }
    Some(text)
}

struct Pair<T>(T, T);

impl<T> Pair<T> {
    #[must_use]
    fn first(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Pair<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair {{")
    }
}

const LIMIT: [usize; 2] = [1, 2];
'''
PYTHON = '''import os

# Why.
@staticmethod
def first(text):
    return "def second():"


class Server:
    def turn(self):
        pass

    def more(self):
        return 1


LIMIT = 1
'''
WANTED = [
    ("a.rs", RUST, "first", "/// Two braces in a string", "    Some(text)\n}"),
    ("a.rs", RUST, "Pair", "struct Pair", "(T, T);"),
    ("a.rs", RUST, "Pair::first", "#[must_use]\nfn first", "    &self.0\n}"),
    ("a.rs", RUST, "Pair::fmt", "fn fmt", '    write!(f, "Pair {{")\n}'),
    ("a.rs", RUST, "impl std::fmt::Debug for Pair<T>", "impl<T> std::fmt::Debug", "    }\n}"),
    ("a.rs", RUST, "LIMIT", "const LIMIT", "[1, 2];"),
    ("a.py", PYTHON, "first", "# Why.\n@staticmethod", 'return "def second():"'),
    ("a.py", PYTHON, "Server.more", "def more", "    return 1"),
    ("a.py", PYTHON, "LIMIT", "LIMIT", "= 1"),
]


def check():
    for path, text, name, begin, end in WANTED:
        found = items.find(path, text, name)
        if not (found.startswith(begin) and found.endswith(end)):
            yield f"the item {name} is {found!r}"
    for path, text, name in (("a.rs", RUST, "second"), ("a.py", PYTHON, "second"), ("a.rs", RUST, "Pair::second")):
        try:
            items.find(path, text, name)
        except Trouble:
            continue
        yield f"the item {name} is found, and is not there"
