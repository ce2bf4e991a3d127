"""Code that runs inside a slot: confinement, supervision of commands, files.

The host sends these modules over the control socket, so a slot needs no file of this package. They
start in every slot: only cheap standard-library modules (no `json`, `dataclasses`, `re`), nothing
of the host side.
"""
