"""Serve GSM8K rollouts of a tool-calling model to an Atropos trainer."""
