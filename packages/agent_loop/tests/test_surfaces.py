"""The public names of the packages inside the package."""

import treadle_agent_loop.record
import treadle_agent_loop.testing
import treadle_agent_loop.testing.families
import treadle_agent_loop.testing.replay
import treadle_agent_loop.testing.simulation


def test_the_names_of_the_record_are_pinned():
    assert set(treadle_agent_loop.record.__all__) == {
        *("VERSION", "FailureRecord", "JsonLines", "Record", "RecordWriter", "RolloutRecord"),
        *("read_record", "read_records", "record_json", "record_schema"),
    }


def test_the_names_of_testing_are_pinned():
    assert set(treadle_agent_loop.testing.__all__) == {
        *("Fault", "HostWorkspace", "RecordingClient", "ReplayClient", "ScriptedModel"),
        *("ScriptedTurn", "ToyServer", "call", "toy_logprob"),
    }
    assert set(treadle_agent_loop.testing.families.__all__) == {"FAMILIES", "Family"}
    assert set(treadle_agent_loop.testing.replay.__all__) == {"RecordingClient", "ReplayClient"}
    assert set(treadle_agent_loop.testing.simulation.__all__) == {
        *("LocalEngine", "LocalTokenClient", "Simulated", "UnprovenError", "prove", "simulate"),
    }


def test_every_one_of_them_exists():
    for module in (
        treadle_agent_loop.record,
        treadle_agent_loop.testing.families,
        treadle_agent_loop.testing.replay,
        treadle_agent_loop.testing.simulation,
    ):
        for name in module.__all__:
            assert getattr(module, name) is not None
