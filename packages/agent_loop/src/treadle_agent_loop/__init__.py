"""The multi-turn agent loop with exact tokens and logprobs, tools and reward-time tool access."""
