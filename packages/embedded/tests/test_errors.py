import openai
import pytest

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
MODEL = {"model": "treadle-embedded"}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def error_of(answer, status):
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


@pytest.mark.parametrize(("path", "rest"), [(CHAT, HELLO), (COMPLETE, {"prompt": "a"})])
def test_another_model_is_not_found(http, path, rest):
    error = error_of(http.post(path, json={"model": "gpt-9"} | rest), 404)
    assert "`gpt-9` does not exist" in error["message"]
    assert "treadle-embedded" in error["message"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {}, "messages"),
        (CHAT, {"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        (CHAT, HELLO | {"temperature": -1}, "temperature"),
        (CHAT, HELLO | {"n": 0}, "n"),
        (CHAT, HELLO | {"top_p": 0}, "top_p"),
        (CHAT, HELLO | {"max_tokens": 0}, "max_tokens"),
        (CHAT, HELLO | {"tools": [{"type": "function", "function": {}}]}, "tools"),
        (CHAT, HELLO | {"tool_choice": "required"}, "tool_choice"),
        (CHAT, HELLO | {"response_format": {"type": "json_object"}}, "response_format"),
        (CHAT, HELLO | {"frequency_penalty": 0.5}, "frequency_penalty"),
        (COMPLETE, {"prompt": "a", "echo": True}, "echo"),
        (COMPLETE, {"prompt": "a", "logprobs": 21}, "logprobs"),
        (COMPLETE, {"prompt": ""}, "prompt"),
        (COMPLETE, {"prompt": []}, "prompt"),
        (COMPLETE, {"prompt": [[]]}, "prompt"),
        (COMPLETE, {"prompt": [5, 1_000_000]}, "prompt"),
    ],
)
def test_a_bad_field_is_named(http, path, body, param):
    error = error_of(http.post(path, json=MODEL | body), 400)
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").startswith(param)
    assert param.split(".")[0] in error["message"]


def test_fields_at_their_neutral_value_are_accepted(http):
    neutral = {"frequency_penalty": 0, "response_format": {"type": "text"}, "seed": None}
    neutral |= {"logit_bias": {}, "stop": None, "user": "me", "tools": None, "max_tokens": 3}
    assert http.post(CHAT, json=MODEL | HELLO | neutral).status_code == 200


def test_a_body_that_is_no_json_is_refused(http):
    answer = http.post(CHAT, content=b"{", headers={"content-type": "application/json"})
    assert "JSON" in error_of(answer, 400)["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETE, b'{"model": "treadle-embedded", "prompt": "\\ud800"}'),
        (
            CHAT,
            b'{"model": "treadle-embedded", "messages": [{"role": "user", "content": "\\udfff"}]}',
        ),
    ],
)
def test_half_a_surrogate_pair_is_refused(http, path, body):
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert "surrogate" in error_of(answer, 400)["message"]


def test_unknown_paths_and_methods_have_error_bodies(http):
    assert "/v1/embeddings" in error_of(http.post("/v1/embeddings", json={}), 404)["message"]
    assert "GET" in error_of(http.get(CHAT), 405)["message"]


def test_a_prompt_beyond_the_context_is_refused(http):
    error = error_of(http.post(COMPLETE, json=MODEL | {"prompt": [20] * 2048}), 400)
    assert "maximum context length is 2048 tokens" in error["message"]
    assert error["code"] == "context_length_exceeded"
    long = {"messages": [{"role": "user", "content": "7 " * 2000}]}
    assert "maximum context" in error_of(http.post(CHAT, json=MODEL | long), 400)["message"]


def test_more_tokens_than_fit_are_refused(http):
    body = MODEL | {"prompt": [20] * 2000, "max_tokens": 49}
    error = error_of(http.post(COMPLETE, json=body), 400)
    assert "(49 > 2048 - 2000)" in error["message"]
    assert http.post(COMPLETE, json=body | {"max_tokens": 48}).status_code == 200


def test_the_openai_library_raises_its_own_errors(client):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="x", messages=HELLO["messages"])
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        client.completions.create(model="treadle-embedded", prompt=[20] * 3000)


def test_a_plain_server_refuses_token_ids(plain_client):
    with pytest.raises(openai.BadRequestError, match="text prompts only"):
        plain_client.completions.create(model="treadle-embedded", prompt=[20, 21])


def test_models_and_health_answer(client, http):
    assert [model.id for model in client.models.list()] == ["treadle-embedded"]
    assert client.models.retrieve("treadle-embedded").max_model_len == 2048
    error_of(http.get("/v1/models/other"), 404)
    assert http.get("/health").json() == {"status": "ok"}
