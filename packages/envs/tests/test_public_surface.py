"""What the package offers, and what importing it loads."""

import subprocess
import sys

import treadle_envs


def test_the_public_names_are_these():
    assert sorted(treadle_envs.__all__) == treadle_envs.__all__
    assert set(treadle_envs.__all__) == {
        "Environment",
        "EnvironmentConfig",
        "EnvsError",
        "EvaluationReport",
        "FailedRollout",
        "GroupLostError",
        "GroupRunner",
        "Item",
        "JsonLines",
        "LossReason",
        "ModelMode",
        "ModelOptions",
        "ModelSettings",
        "NullObserver",
        "Observer",
        "Observers",
        "RolloutRecorder",
        "ScoredGroup",
        "ScoredRollout",
        "evaluate_items",
        "local_backend",
        "open_model",
        "read_model_settings",
    }
    for name in treadle_envs.__all__:
        assert hasattr(treadle_envs, name)


def test_the_core_and_gsm8k_import_no_atroposlib():
    code = (
        "import sys, treadle_envs, treadle_envs.gsm8k, treadle_envs.atropos.export,"
        " treadle_envs.atropos.trajectory_client;"
        "heavy = {'atroposlib', 'transformers', 'datasets', 'wandb', 'math_verify', 'torch'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
