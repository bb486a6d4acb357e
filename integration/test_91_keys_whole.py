"""/v1/keys beyond minting and deleting: change, rotation, impact, cascade, bulk."""
import asyncio
import time

import pytest

from client import closed, frame, ingest, is_open, make_model, receive, rest, subscribe
from stack import Key, until
from test_82_keys import ALL, in_seconds, mint

STACK = {"edges": 2, "publishers": 1}


@pytest.fixture(scope="module")
def backend(stack):
    return stack.key(scopes=ALL)


@pytest.fixture
def http(stack, backend):
    with rest(stack, backend) as client:
        yield client


def patch(http, key, status=200, **body):
    answer = http.patch(f"/v1/keys/{key.id}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def open_all(*sockets):
    for socket in sockets:
        await receive(socket)


async def test_what_a_key_loses_closes_the_sockets_that_need_it_and_no_other(stack, http, backend):
    model = make_model(stack, backend)
    made, _ = mint(http)
    async with ingest(stack, made, model, "p-1") as device, subscribe(stack, made) as ear, \
            ingest(stack, made, model, "p-2") as second:
        await open_all(device, ear, second)
        seen = await asyncio.to_thread(patch, http, made, scopes=["ingest", "read"])
        assert seen["scopes"] == ["ingest", "read"]
        assert (await closed(ear))[0] in (4001, 1006)
        await device.send(frame(0, int(time.time() * 1000), [1] * 20))
        await asyncio.to_thread(patch, http, made, device_id="p-1")
        assert (await closed(second))[0] in (4001, 1006)
        await asyncio.to_thread(patch, http, made, label="renamed", rate_limit=100,
                                expires_at=in_seconds(600), metadata={"a": 1})
        await device.send(frame(0, int(time.time() * 1000), [1] * 20))
        await (await device.ping())
        assert is_open(device)
    async with ingest(stack, made, model, "p-2") as other, subscribe(stack, made) as ear:
        assert (await closed(other))[0] == 4001 and (await closed(ear))[0] == 4001
    with rest(stack, made) as own:
        assert own.get("/v1/sessions").status_code == 200
        assert own.get("/v1/keys").status_code == 403
        patch(http, made, scopes=["ingest"])
        assert own.get("/v1/sessions").status_code == 403
        patch(http, made, scopes=["ingest", "read"], device_id=None)
        assert own.get("/v1/sessions").status_code == 200


async def test_a_subscriber_of_the_one_device_stays_when_the_key_is_held_to_it(stack, http):
    made, _ = mint(http, scopes=["subscribe"])
    async with subscribe(stack, made) as all_of_them, \
            subscribe(stack, made, device_id="s-1") as this:
        await open_all(all_of_them, this)
        await asyncio.to_thread(patch, http, made, device_id="s-1")
        assert (await closed(all_of_them))[0] in (4001, 1006)
        await (await this.ping())
        assert is_open(this)


async def test_a_disabled_key_is_dead_until_it_is_enabled(stack, http, backend):
    model = make_model(stack, backend)
    made, _ = mint(http)
    async with ingest(stack, made, model, "x-1") as device, subscribe(stack, made) as ear:
        await open_all(device, ear)
        seen = await asyncio.to_thread(patch, http, made, disabled=True)
        assert seen["disabled"] is True
        for socket in (device, ear):
            assert (await closed(socket))[0] in (4001, 1006)
    with rest(stack, made) as own:
        assert own.get("/v1/sessions").status_code == 401
        patch(http, made, disabled=False)
        assert own.get("/v1/sessions").status_code == 200
    stack.admin("key", "disable", made.id)
    async with ingest(stack, made, model, "x-1") as device:
        assert (await closed(device))[0] == 4001
    assert stack.admin("key", "enable", made.id)["disabled"] is False
    async with ingest(stack, made, model, "x-1") as device:
        await receive(device)


async def test_an_end_brought_forward_closes_and_one_put_off_does_not(stack, http):
    made, _ = mint(http, scopes=["subscribe"])
    async with subscribe(stack, made) as ear:
        await receive(ear)
        await asyncio.to_thread(patch, http, made, expires_at=in_seconds(600))
        await (await ear.ping())
        await asyncio.to_thread(patch, http, made, expires_at=in_seconds(2))
        assert (await closed(ear))[0] in (4001, 1006)
    patch(http, made, expires_at=None)
    async with subscribe(stack, made) as ear:
        await receive(ear)


def test_nobody_changes_what_he_has_not(stack, http, backend):
    small, _ = mint(http, scopes=["read", "keys"])
    plain, _ = mint(http, scopes=["read"])
    with rest(stack, small) as own:
        for key, body in ((backend, {"label": "mine"}), (plain, {"scopes": ["write"]}),
                          (small, {"scopes": ["read", "keys", "ingest"]})):
            assert own.patch(f"/v1/keys/{key.id}", json=body).status_code == 403, body
        assert own.patch(f"/v1/keys/{plain.id}", json={"label": "x"}).status_code == 200
        assert own.patch(f"/v1/keys/{small.id}", json={"scopes": ["read"]}).status_code == 200
        assert own.get("/v1/keys").status_code == 403
    for body, field in (({"label": None}, "label"), ({"scopes": []}, "scopes"),
                        ({"device_id": ""}, "device_id"), ({"disabled": "no"}, "disabled"),
                        ({"expires_at": in_seconds(-1)}, "expires_at"),
                        ({"rate_limit": 0}, "rate_limit")):
        answer = http.patch(f"/v1/keys/{plain.id}", json=body)
        assert answer.status_code == 400 and answer.json()["detail"].startswith(field), body
    with rest(stack, stack.key(scopes=ALL)) as other:
        assert other.patch(f"/v1/keys/{plain.id}", json={"label": "x"}).status_code == 404


# ---- impact, cascade, bulk ----


async def test_impact_tells_what_a_revoke_would_close(stack, http, backend):
    model = make_model(stack, backend)
    parent, _ = mint(http, scopes=["ingest", "subscribe", "keys"])
    with rest(stack, parent) as own:
        child, _ = mint(own, scopes=["ingest"])
        dead, _ = mint(own, scopes=["ingest"])
        assert own.delete(f"/v1/keys/{dead.id}").status_code == 200
    async with ingest(stack, parent, model, "i-1") as one, subscribe(stack, parent) as two, \
            ingest(stack, parent, model, "i-2") as three:
        await open_all(one, two, three)
        seen = await asyncio.to_thread(http.get, f"/v1/keys/{parent.id}/impact")
        assert seen.status_code == 200, seen.text
        impact = seen.json()
        assert impact["id"] == parent.id and impact["edges_silent"] == 0
        assert impact["sockets"] == {"ingest": 2, "subscribe": 1}
        assert sorted(impact["devices"]) == ["i-1", "i-2"]
        assert impact["children"] == [child.id]
        assert sum(edge["ingest"] for edge in impact["edges"]) == 2 and len(impact["edges"]) == 2
        assert stack.admin("key", "impact", parent.id)["sockets"] == impact["sockets"]
    http.delete(f"/v1/keys/{parent.id}")
    assert http.get(f"/v1/keys/{parent.id}/impact").status_code == 404
    assert http.get(f"/v1/keys/{child.id}").status_code == 200


def family(stack, http, deep=3):
    """A key, the key it minted, the key that one minted …"""
    keys = [mint(http, scopes=["read", "keys"])[0]]
    for _ in range(deep - 1):
        with rest(stack, keys[-1]) as own:
            keys.append(mint(own, scopes=["read", "keys"])[0])
    return keys


def test_a_cascade_takes_all_that_descends_and_no_sibling(stack, http):
    keys, sibling = family(stack, http), mint(http)[0]
    alone = http.delete(f"/v1/keys/{keys[1].id}").json()
    assert alone["children"] == [keys[2].id] and not alone["cascaded"]
    assert http.get(f"/v1/keys/{keys[2].id}").status_code == 200
    receipt = http.delete(f"/v1/keys/{keys[0].id}?cascade=true")
    assert receipt.status_code == 200, receipt.text
    assert receipt.json()["id"] == keys[0].id and receipt.json()["cascaded"] is True
    assert set(receipt.json()["children"]) == {keys[1].id, keys[2].id}
    for key in keys:
        with rest(stack, key) as dead:
            assert dead.get("/v1/keys").status_code == 401
    assert http.get(f"/v1/keys/{sibling.id}").status_code == 200
    again = http.delete(f"/v1/keys/{keys[0].id}?cascade=true")
    assert again.json() == receipt.json()


def test_a_key_may_end_itself_with_all_that_it_minted(stack, http):
    keys = family(stack, http, 2)
    with rest(stack, keys[0]) as own:
        answer = own.delete(f"/v1/keys/{keys[0].id}?cascade=true")
        assert answer.status_code == 200 and answer.json()["children"] == [keys[1].id]
    with rest(stack, keys[1]) as dead:
        assert dead.get("/v1/keys").status_code == 401


def test_the_keys_of_one_user_are_listed_and_deleted_together(stack, http):
    user = f"user {time.time_ns()}"
    keys = [mint(http, external_id=user)[0] for _ in range(3)]
    other, moved = mint(http, external_id=user + "x")[0], mint(http, external_id=user)[0]
    patch(http, moved, external_id=user + "y")
    listed = http.get("/v1/keys", params={"external_id": user}).json()
    assert {row["id"] for row in listed} == {key.id for key in keys}
    for query in ("", "?external_id=", "?label=x", "?external_id=a&external_id=b"):
        assert http.delete("/v1/keys" + query).status_code == 400, query
    answer = http.delete("/v1/keys", params={"external_id": user})
    assert answer.status_code == 200, answer.text
    assert {row["id"] for row in answer.json()} == {key.id for key in keys}
    assert http.get("/v1/keys", params={"external_id": user}).json() == []
    for key in (other, moved):
        assert http.get(f"/v1/keys/{key.id}").status_code == 200
    for key in keys:
        with rest(stack, key) as dead:
            assert dead.get("/v1/sessions").status_code == 401
    assert http.delete("/v1/keys", params={"external_id": user}).json() == []


def test_who_does_not_wait_is_told_when_it_is_durable(stack, http):
    keys = family(stack, http, 2)
    headers = {"Prefer": "respond-async"}
    answer = http.delete(f"/v1/keys/{keys[0].id}", headers=headers)
    assert answer.status_code in (200, 202), answer.text
    assert answer.json()["id"] == keys[0].id and answer.json()["revoked_at"]
    answer = http.delete(f"/v1/keys/{keys[1].id}?cascade=true", headers=headers)
    assert answer.status_code in (200, 202), answer.text
    for key in keys:
        until("it is dead", lambda key=key: rest(stack, key).get("/v1/keys").status_code == 401, 20)
    assert http.delete(f"/v1/keys/{keys[0].id}").status_code == 200


# ---- rotation ----


def rotate(http, key, **body):
    answer = http.post(f"/v1/keys/{key.id}/rotate", json=body)
    assert answer.status_code == 201, answer.text
    return Key(answer.json()["id"], answer.json()["key"], key.account), answer.json()


async def test_rotation_kicks_nobody_before_the_overlap_is_over(stack, http, backend):
    model = make_model(stack, backend)
    old, whole = mint(http, external_id="rotating", metadata={"a": 1}, rate_limit=100)
    async with ingest(stack, old, model, "ro-1") as device:
        await receive(device)
        new, made = await asyncio.to_thread(rotate, http, old)
        same = ("label", "scopes", "device_id", "external_id", "metadata", "rate_limit",
                "disabled", "minted_by", "expires_at")
        assert {name: made[name] for name in same} == {name: whole[name] for name in same}
        assert made["rotated_to"] is None
        seen = http.get(f"/v1/keys/{old.id}").json()
        assert seen["rotated_to"] == new.id and seen["rotates_out_at"] is None
        newer, _ = await asyncio.to_thread(rotate, http, old, overlap_s=3)
        seen = http.get(f"/v1/keys/{old.id}").json()
        assert seen["rotated_to"] == newer.id and seen["rotates_out_at"]
        await device.send(frame(0, int(time.time() * 1000), [1] * 20))
        await (await device.ping())
        assert (await closed(device))[0] in (4001, 1006)
    with rest(stack, old) as dead:
        assert dead.get("/v1/sessions").status_code == 401
    async with ingest(stack, newer, model, "ro-1") as device:
        await receive(device)


async def test_rotation_without_overlap_revokes_at_once(stack, http):
    old, _ = mint(http, scopes=["subscribe", "keys"])
    async with subscribe(stack, old) as ear:
        await receive(ear)
        with rest(stack, old) as own:  # and it is told its own successor
            new, _ = await asyncio.to_thread(rotate, own, old, overlap_s=0)
        assert (await closed(ear))[0] in (4001, 1006)
    assert http.get(f"/v1/keys/{old.id}").status_code == 404
    async with subscribe(stack, new) as ear:
        await receive(ear)
    printed = stack.admin("key", "rotate", new.id, "--overlap", "0")
    assert printed["key"].startswith("raeh_") and http.get(f"/v1/keys/{new.id}").status_code == 404
    assert http.post(f"/v1/keys/{printed['id']}/rotate", json={"overlap_s": -1}).status_code == 400
