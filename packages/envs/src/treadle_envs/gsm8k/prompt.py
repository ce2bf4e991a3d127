"""What the model is asked: the system message of GSM8K, word for word.

The embedded demonstration model is trained on exactly this message and on the `python` tool of the
agent loop; changing either changes what it knows.
"""

SYSTEM_PROMPT = (
    "You solve maths problems. Use the python tool to calculate, then give the final answer in "
    "\\boxed{}."
)
