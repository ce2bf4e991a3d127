"""The fuzzer of the parsers, as far as it needs no fuzzing engine: cases, changes, checks."""
