"""The routes of the control plane, one group in each module."""
