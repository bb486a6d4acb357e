"""A device model's own line from the ratio of red and infrared light to the saturation."""
import pytest

from client import closed_session, frame, ingest, make_model, pulse, receive, rest, subscribe

STACK = {"edges": 1, "publishers": 1}
T0_MS = 1_760_000_000_000
RATIO = 0.5
COLOURS = [{"modality": "ppg_red", "sample_rate_hz": 100},
           {"modality": "ppg_ir", "sample_rate_hz": 100}]


@pytest.fixture(scope="module")
def messages():
    """30 s of a finger whose ratio of ratios is RATIO."""
    made = []
    for n in range(30):
        wave = pulse(n, 1)
        for slot, scale in ((0, 0.02 * RATIO), (1, 0.02)):
            made.append(frame(slot, T0_MS + 1000 * n, [20000 - round(scale * 4 * x) for x in wave]))
    return made


async def saturations(stack, key, model, device, messages):
    """The spo2 of a session as the socket said them, and as they are stored."""
    async with subscribe(stack, key, type="spo2", device_id=device) as app:
        await receive(app)
        async with ingest(stack, key, model, device) as socket:
            session = (await receive(socket))["session_id"]
            for message in messages:
                await socket.send(message)
        closed_session(stack, key, session)
        with rest(stack, key) as http:
            stored = http.get(f"/v1/sessions/{session}/insights?type=spo2").json()
            others = http.get(f"/v1/sessions/{session}/insights?type=hr").json()
        assert len(stored) >= 5 and others
        assert [await receive(app) for _ in stored] == stored
    assert not any(insight.get("uncalibrated") for insight in others)
    return stored


async def test_without_a_calibration_it_says_so_and_is_never_excellent(stack, key, messages):
    model = make_model(stack, key, COLOURS)
    assert model["spo2_calibration"] is None
    found = await saturations(stack, key, model, "textbook", messages)
    for insight in found:
        assert insight["uncalibrated"] is True
        assert insight["sqi_class"] != "excellent" and insight["confidence"] < 0.8
    assert abs(found[-1]["value"] - (110 - 25 * RATIO)) < 0.5


async def test_with_the_models_own_it_is_as_sure_as_the_signal(stack, key, messages):
    with rest(stack, key) as http:
        answer = http.post("/v1/device-models", json={
            "name": "calibrated", "modality_channels": COLOURS,
            "spo2_calibration": [104.5, -12, -4]})
        assert answer.status_code == 201, answer.text
        model = answer.json()
        assert model["spo2_calibration"] == [104.5, -12, -4]
        assert http.get(f"/v1/device-models/{model['id']}").json() == model
    found = await saturations(stack, key, model, "own line", messages)
    assert not any(insight.get("uncalibrated") for insight in found)
    assert abs(found[-1]["value"] - (104.5 - 12 * RATIO - 4 * RATIO ** 2)) < 0.5
    assert found[-1]["sqi_class"] == "excellent"

    # The next session of a device follows what the model says then.
    with rest(stack, key) as http:
        changed = http.put(f"/v1/device-models/{model['id']}",
                           json={"spo2_calibration": [100, -20, 0]}).json()
    assert changed["spo2_calibration"] == [100, -20, 0]
    found = await saturations(stack, key, model, "own line", messages)
    assert abs(found[-1]["value"] - (100 - 20 * RATIO)) < 0.5


@pytest.mark.parametrize("wrong", [[1, 2], [1, 2, 3, 4], "110", [1, "2", 3], {"a": 1}, [1, None, 3]])
def test_a_calibration_is_three_numbers(stack, key, wrong):
    with rest(stack, key) as http:
        answer = http.post("/v1/device-models", json={"name": "wrong", "spo2_calibration": wrong})
    assert answer.status_code == 400 and "spo2_calibration" in answer.json()["detail"], answer.text
