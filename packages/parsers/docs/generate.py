"""Write the page of every format and their index from the formats' descriptions.

python packages/parsers/docs/generate.py           writes docs/formats/*.md
python packages/parsers/docs/generate.py --check   exits 1 when they differ from that
"""

import argparse
import sys
from pathlib import Path

from format_page import page
from format_rules import titles

from treadle_parsers import Format
from treadle_parsers.registry import all_formats
from treadle_parsers.traits import typing_of

DOCS = Path(__file__).parent
FOLDER = DOCS / "formats"


def main() -> int:
    """Write or check the pages; returns the exit status."""
    options = argparse.ArgumentParser(description="Write the pages of the formats.")
    options.add_argument("--check", action="store_true", help="write nothing, say what differs")
    check = options.parse_args().check
    wanted = pages()
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    changed = sorted(
        name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
    )
    if check:
        print("\n".join(changed), end="\n" if changed else "")
        return 1 if changed else 0
    FOLDER.mkdir(exist_ok=True)
    for name in changed:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8", newline="\n")
        else:
            (FOLDER / name).unlink()
    print(f"{len(wanted)} pages, {len(changed)} changed")
    return 0


def pages() -> dict[str, str]:
    """Return the pages by their file names."""
    rules = titles((DOCS / "typing.md").read_text(encoding="utf-8"))
    forms = all_formats()
    return {"README.md": index(forms)} | {f"{form.name}.md": page(form, rules) for form in forms}


def index(forms: tuple[Format, ...]) -> str:
    """Return the table of all names."""
    names = {name: form for form in forms for name in (form.name, *form.aliases)}
    rows = [
        f"| `{name}` | [{form.name}]({form.name}.md) | {form.models} "
        f"| {'`tools=`' if typing_of(form).needs_schema else ''} |"
        for name, form in sorted(names.items())
    ]
    return (
        "# Formats\n\n"
        "<!-- Written by docs/generate.py from the formats' descriptions. -->\n\n"
        f"{len(forms)} formats under {len(names)} names. Where the last column says so, the types "
        "of values come from the schemas of the tools.\n\n"
        "| Name | Format | Models | Types from |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
