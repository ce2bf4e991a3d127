"""Sandboxes for agent rollouts: isolated workspaces behind one async interface."""
