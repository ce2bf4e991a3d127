"""A small tool-calling demonstration model with an OpenAI-compatible server, for defaults and tests."""
