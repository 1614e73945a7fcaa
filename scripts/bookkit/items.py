"""Finds an item of a program by its name: a function, a type, a method. Text and code cannot part: the book has no copy."""

import ast
import re

from lib import Trouble

# What hides braces in Rust: comments, strings, characters (and no lifetimes).
HIDDEN = re.compile("|".join([
    r"//[^\n]*", r"/\*.*?\*/", r'b?r(?P<hashes>#+)".*?"(?P=hashes)', r'b?r"[^"]*"', r'b?"(?:\\.|[^"\\])*"',
    r"b?'(?:\\(?:x\w\w|u\{\w+\}|.)|[^'\\\n])'"]), re.S)
VISIBLE = r"(?:pub(?:\([a-z]+\))? )?"
WORDS = r"(?:async |unsafe |const )*(?:fn|struct|enum|trait|mod|static|const|type|macro_rules!)"


def blanked(text):
    """The text with everything hidden as spaces, so that each brace is one."""
    return HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def find(path, text, name):
    """The lines of the item, with the comments and attributes above it. Raises `Trouble` if it is not there once."""
    return find_python(path, text, name) if path.endswith(".py") else find_rust(path, text, name)


def find_rust(path, text, name):
    """`name`, `Type::method`, `impl Type`, `impl Trait for Type`, and `seed::options!` for the options of a rung."""
    bare = blanked(text)
    if name.startswith("impl "):
        begin, end = only(path, name, impls(bare, re.escape(name.removeprefix("impl "))))
    elif "::" in name and not name.endswith("!"):
        kind, _, method = name.rpartition("::")
        found = []
        for begin, end in impls(bare, rf"(?:[\w:<>', ]+ for )?{re.escape(kind)}(?:<[^{{]*>)?"):
            found += definitions(bare, method, begin, end)
        begin, end = only(path, name, found)
    elif name.endswith("!"):
        at = [match.start() for match in re.finditer(rf"(?m)^{re.escape(name)}", bare)]
        begin, end = only(path, name, [(one, closing(bare, one)) for one in at])
    else:
        begin, end = only(path, name, definitions(bare, name, 0, len(bare), ""))
    return dedent(with_docs(text, begin) + text[begin:end])


def impls(bare, what):
    for match in re.finditer(rf"(?m)^ *(?:unsafe )?impl(?:<[^{{]*?>)? {what}(?: where[^{{]*)? *\{{", bare):
        yield match.start(), closing(bare, match.start())


def definitions(bare, name, begin, end, indent=" *"):
    pattern = re.compile(rf"(?m)^{indent}{VISIBLE}{WORDS} {re.escape(name)}\b")
    return [(match.start(), closing(bare, match.start())) for match in pattern.finditer(bare, begin, end)]


def closing(bare, begin):
    """Where the item ends: after its semicolon, or after the brace that closes its first one."""
    depth, at = 0, begin
    while at < len(bare):
        letter = bare[at]
        depth += letter in "{([" and 1 or letter in "})]" and -1 or 0
        if letter == ";" and not depth or letter == "}" and not depth:
            return at + 1
        at += 1
    raise Trouble("an item has no end")


def with_docs(text, begin):
    """The comments and attributes right above."""
    above = text[:begin].splitlines(keepends=True)
    first = len(above)
    while first and re.match(r"\s*(///|//(?!!)|#\[)", above[first - 1]):
        first -= 1
    return "".join(above[first:])


def find_python(path, text, name):
    names, body = name.split("."), ast.parse(text).body
    for part in names:
        found = [node for node in body if getattr(node, "name", None) == part or assigns(node, part)]
        if len(found) != 1:
            raise Trouble(f"{path} has {len(found)} items '{name}', not one")
        node, body = found[0], getattr(found[0], "body", [])
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    lines = text.splitlines(keepends=True)
    while first > 1 and re.match(r"\s*#", lines[first - 2]):
        first -= 1
    return dedent("".join(lines[first - 1:node.end_lineno]))


def assigns(node, name):
    return isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def only(path, name, found):
    found = list(found)
    if len(found) != 1:
        raise Trouble(f"{path} has {len(found)} items '{name}', not one")
    return found[0]


def dedent(text):
    lines = text.strip("\n").splitlines()
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[depth:].rstrip() for line in lines)
