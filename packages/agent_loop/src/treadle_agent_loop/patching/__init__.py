"""Changes to text as models write them: found tolerantly, applied exactly. Pure functions; what
doesn't fit is a `ToolError` whose text says what the file really looks like.
"""
