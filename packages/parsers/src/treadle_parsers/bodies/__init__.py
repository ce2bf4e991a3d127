"""Ways of writing calls, one module each. A body knows nothing of the others."""
