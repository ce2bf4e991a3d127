"""Agentic RL environments with tools and sandboxes, on Atropos and beyond it."""
