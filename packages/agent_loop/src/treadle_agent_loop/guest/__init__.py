"""Programs that run inside a workspace, sent there as text: standard library only, Python 3.8 or
newer, nothing of this package imported.
"""
