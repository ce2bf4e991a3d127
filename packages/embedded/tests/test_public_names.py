import importlib

import pytest

PUBLIC = {
    "treadle_embedded": [
        "MODEL_NAME",
        "TRAINED_SYSTEM",
        "TRAINED_TOOL",
        "BundleError",
        "Candidate",
        "ContextLengthError",
        "EmbeddedError",
        "EmbeddedModel",
        "EmbeddedServer",
        "EngineStatistics",
        "FinishReason",
        "ModelClosedError",
        "ModelFailedError",
        "RequestError",
        "Sampled",
        "Sampling",
        "ServerStartError",
        "UnknownModelError",
        "bundle_path",
    ],
    "treadle_embedded.problems": [
        "TEMPLATES",
        "Problem",
        "Split",
        "generate",
        "split_of",
        "stream",
        "write_jsonl",
        "write_split",
    ],
    "treadle_embedded.server": ["create_app"],
}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_these(name):
    module = importlib.import_module(name)
    assert module.__all__ == PUBLIC[name]
    assert all(hasattr(module, public) for public in module.__all__)
