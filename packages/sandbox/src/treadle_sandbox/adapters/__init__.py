"""Sandboxes of this package inside other projects' interfaces.

Each module imports the project it adapts to, so it is imported by that project alone.
"""

__all__: list[str] = []
