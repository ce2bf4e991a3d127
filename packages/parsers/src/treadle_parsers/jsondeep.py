"""Whether a text is JSON, at any depth of nesting and without recursion.

The text is reduced step by step to its structure, each step one pass: strings and scalars become
one character, white space goes, then neighbours and brackets are checked.
"""

import re

_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null")
_SPACE = re.compile(r"[\t\n\r ]+")
_SKELETON = re.compile(r"[\[\]{},:0]+")
_WRONG = re.compile(r"\[[,:}]|\{[^:}]|:[^0\[{]|,[^:0\[{]|[0\]}][^,\]}]|^[^0\[{]|[^0\]}]$")
"""Two characters of a skeleton that can't stand together, or one that can't begin or end it."""
_OPENER = {"]": "[", "}": "{", ",": "[", ";": "{"}
"""Which bracket must be open; `;` stands for a comma before a key."""


def is_valid(text: str) -> bool:
    """Check `text` against the JSON grammar."""
    marked = _SCALAR.sub("0", _STRING.sub('""', text))
    bare = _SPACE.sub("", marked)
    if marked.count('"') != 2 * marked.count('""') or bare.count(":") != bare.count('"":'):
        return False  # a quote is left over, or a colon follows something else than a string
    skeleton = bare.replace('"":', ":").replace('""', "0")
    if not _SKELETON.fullmatch(skeleton) or _WRONG.search(skeleton):
        return False
    return _balanced(skeleton.replace(",:", ";").replace(":", "").replace("0", ""))


def _balanced(brackets: str) -> bool:
    """Say whether every bracket is closed by its own, and every comma stands in the right one."""
    stack: list[str] = []
    for char in brackets:
        if char in "[{":
            stack.append(char)
        elif not stack or stack[-1] != _OPENER[char]:
            return False
        elif char in "]}":
            stack.pop()
    return not stack
