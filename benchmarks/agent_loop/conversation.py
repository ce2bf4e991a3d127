"""The conversation that every client holds with the mock server; standard library only."""

SYSTEM = {
    "role": "system",
    "content": "You solve maths problems. Use the tool `add` to calculate, then give the answer.",
}
USER = {
    "role": "user",
    "content": "A weaver makes 17 ells of cloth before noon and 25 after. How many in all?",
}
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "The first number."},
                "b": {"type": "integer", "description": "The second number."},
            },
            "required": ["a", "b"],
        },
    },
}
