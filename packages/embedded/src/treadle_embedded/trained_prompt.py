"""The prompt that the bundled model was trained on, to the letter.

It also answers to variations (no system message, another tool beside this one), but is best with
exactly these and the bare question as the user message. A result is what the script printed,
without the last newline.
"""

from typing import Any

TRAINED_SYSTEM = (
    "You solve maths problems. Use the python tool to calculate, "
    "then give the final answer in \\boxed{}."
)
TRAINED_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Run a Python script and return what it prints.",
        "parameters": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "The script. Print the result."}
            },
            "required": ["code"],
        },
    },
}
