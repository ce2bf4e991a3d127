"""Grade-school maths: the GSM8K data set, a Python tool, answers in a box."""
