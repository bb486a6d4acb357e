"""Raw samples as CSV, EDF+ and BDF+; insights as CSV: read back by others' readers."""
import asyncio
import csv
import io
import json
import shutil
import socket
import struct
import subprocess
from urllib.parse import urlsplit

import numpy
import pytest

from client import closed_session, frame, ingest, make_model, receive, rest, stream
from stack import until

STACK = {"publishers": 2}
T0_MS = 1_760_000_000_000
GREEN = {"modality": "ppg_green", "sample_rate_hz": 100}
MOTION = {"modality": "acc_3axis", "sample_rate_hz": 64, "bit_depth": 12}
DEEP = {"modality": "ppg_ir", "sample_rate_hz": 50, "bit_depth": 24}


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.fixture(scope="module")
def sensors(stack, key):
    return make_model(stack, key, [GREEN, MOTION, DEEP])


def deep_frame(slot, t0_ms, samples):
    return (struct.pack(">BqHB", slot, t0_ms, len(samples), 0) +
            b"".join(struct.pack("<i", s)[:3] for s in samples))


async def send(stack, key, model, messages, device="export"):
    async with ingest(stack, key, model, device, ack=1) as ws:
        session = (await receive(ws))["session_id"]
        for message in messages:
            await ws.send(message)
        while (await receive(ws))["ack"] < len(messages):
            pass
    closed_session(stack, key, session)
    return session


def green(second, n=100):
    return [(second * 1000 + i) % 30000 - 15000 for i in range(n)]


def axes(second):
    return [value for i in range(64) for value in (second * 64 + i, -i, 2047 - i)]


def deep(second):
    return [(second * 50 + i) * 4001 - 8_000_000 for i in range(50)]


def seconds_of_all(seconds):
    for s in seconds:
        yield frame(0, T0_MS + 1000 * s, green(s))
        yield frame(1, T0_MS + 1000 * s, axes(s), count=64)
        yield deep_frame(2, T0_MS + 1000 * s, deep(s))


@pytest.fixture(scope="module")
def recorded(stack, key, sensors):
    """Seconds 0 to 3 and 10 to 12; the last second first, and one out of order."""
    order = [12, 0, 2, 1, 3, 10, 11]
    return asyncio.run(send(stack, key, sensors, list(seconds_of_all(order))))


def rows(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.text)))


def test_every_sample_is_a_line_of_csv_in_order_of_time(http, recorded):
    got = rows(http.get(f"/v1/sessions/{recorded}/frames?format=csv"))
    assert got[0] == ["t_ms", "slot_id", "modality", "channel", "value"]
    want = []
    for s in (0, 1, 2, 3, 10, 11, 12):
        t = T0_MS + 1000 * s
        want += [(t + 10 * i, 0, "ppg_green", 0, v) for i, v in enumerate(green(s))]
        want += [(t + (i // 3) * 15.625, 1, "acc_3axis", i % 3, v) for i, v in enumerate(axes(s))]
        want += [(t + 20 * i, 2, "ppg_ir", 0, v) for i, v in enumerate(deep(s))]
    assert [(float(t), int(slot), modality, int(channel), int(value))
            for t, slot, modality, channel, value in got[1:]] == [(float(t), *r) for t, *r in want]


def test_one_slot_is_a_table_with_a_column_a_channel(http, recorded):
    got = rows(http.get(f"/v1/sessions/{recorded}/frames?slot=1"))
    assert got[0] == ["t_ms", "acc_3axis_0", "acc_3axis_1", "acc_3axis_2"]
    assert len(got) == 1 + 7 * 64
    assert got[2] == [str(T0_MS + 15) + ".625", "1", "-1", "2046"]
    table = numpy.array(got[1:], dtype=float)
    assert (numpy.diff(table[:, 0]) > 0).all()
    assert http.get(f"/v1/sessions/{recorded}/frames?slot=7").status_code == 400
    assert http.get(f"/v1/sessions/{recorded}/frames?slot=x").status_code == 400


def test_pieces_of_time_put_together_are_the_whole(http, recorded):
    url = f"/v1/sessions/{recorded}/frames"
    whole = rows(http.get(url, params={"slot": 0}))
    pieces = [whole[0]]
    edges = [T0_MS - 5000, T0_MS + 995, T0_MS + 1001, T0_MS + 3333, T0_MS + 11000, T0_MS + 99999]
    for begin, end in zip(edges, edges[1:]):
        pieces += rows(http.get(url, params={"slot": 0, "from": begin, "to": end}))[1:]
    assert pieces == whole
    iso = "2025-10-09T08:53:21.000Z"  # second 1
    got = rows(http.get(url, params={"slot": 0, "from": iso, "to": T0_MS + 1010}))
    assert got[1:] == [[str(T0_MS + 1000), str(green(1)[0])]]


def parse_edf(data):
    """A reader of the test's own, strict about the layout."""
    wide = 3 if data[0] == 0xff else 2
    at, signals = 256, int(data[252:256])
    head = {"reserved": data[192:236].decode().strip(), "recording": data[88:168].decode().strip(),
            "records": int(data[236:244]), "seconds": float(data[244:252]),
            "date": data[168:184].decode()}
    assert int(data[184:192]) == 256 * (signals + 1)
    fields = []
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        fields.append([data[at + width * i:at + width * (i + 1)].decode().strip()
                       for i in range(signals)])
        at += width * signals
    per_record = [int(n) for n in fields[8]]
    record_bytes = wide * sum(per_record)
    assert len(data) == at + head["records"] * record_bytes
    records = []
    for r in range(head["records"]):
        place, record = at + r * record_bytes, {}
        for label, n in zip(fields[0], per_record):
            raw = data[place:place + n * wide]
            place += n * wide
            if label.endswith("Annotations"):
                record[""] = [tal.decode() for tal in raw.split(b"\0") if tal]
            elif wide == 2:
                record[label] = list(struct.unpack(f"<{n}h", raw))
            else:
                record[label] = [int.from_bytes(raw[3 * i:3 * i + 3], "little", signed=True)
                                 for i in range(n)]
        records.append(record)
    head.update(labels=fields[0], dimension=dict(zip(fields[0], fields[2])))
    return head, records


def test_edf_has_the_samples_in_records_and_says_where_there_are_none(http, recorded):
    answer = http.get(f"/v1/sessions/{recorded}/frames?format=edf")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    head, records = parse_edf(answer.content)
    assert head["reserved"] == "EDF+D" and head["records"] == 7 and head["seconds"] == 1
    assert head["date"] == "09.10.2508.53.20" and "Startdate 09-OCT-2025" in head["recording"]
    assert head["labels"] == ["ppg_green", "acc_3axis.0", "acc_3axis.1", "acc_3axis.2", "ppg_ir",
                              "EDF Annotations"]
    assert head["dimension"]["ppg_ir"] == "x2^8" and head["dimension"]["ppg_green"] == ""
    for record, s in zip(records, (0, 1, 2, 3, 10, 11, 12)):
        assert record["ppg_green"] == green(s)
        assert record["acc_3axis.1"] == axes(s)[1::3]
        assert record["ppg_ir"] == [value >> 8 for value in deep(s)]
        assert record[""] == [f"+{s}.000\x14\x14"]


def test_bdf_has_all_24_bits(http, recorded):
    answer = http.get(f"/v1/sessions/{recorded}/frames?format=bdf&slot=2")
    head, records = parse_edf(answer.content)
    assert answer.content[:8] == b"\xffBIOSEMI" and head["reserved"] == "BDF+D"
    assert [record["ppg_ir"] for record in records] == [deep(s) for s in (0, 1, 2, 3, 10, 11, 12)]


def test_missing_samples_are_the_minimum_and_annotated(stack, key, http, sensors):
    messages = [frame(0, T0_MS, green(0)), frame(0, T0_MS + 1000, green(1, 40)),
                frame(0, T0_MS + 1800, green(1)[80:]), frame(0, T0_MS + 2000, green(2))]
    session = asyncio.run(send(stack, key, sensors, messages))
    head, records = parse_edf(http.get(f"/v1/sessions/{session}/frames?format=edf").content)
    assert head["reserved"] == "EDF+C" and len(records) == 3
    assert head["labels"] == ["ppg_green", "EDF Annotations"]
    assert records[1]["ppg_green"] == green(1, 40) + [-32768] * 40 + green(1)[80:]
    assert records[1][""] == ["+1.000\x14\x14",
                              "+1.400\x150.400\x14no data: ppg_green, 40 of 100 samples\x14"]


@pytest.mark.skipif(not shutil.which("save2gdf"), reason="biosig-tools is not installed")
@pytest.mark.parametrize("name", ["edf", "bdf"])
def test_biosig_reads_the_same(stack, key, http, sensors, tmp_path, name):
    session = asyncio.run(send(stack, key, sensors, list(seconds_of_all(range(5)))))
    file = tmp_path / f"a.{name}"
    file.write_bytes(http.get(f"/v1/sessions/{session}/frames?format={name}").content)
    said = subprocess.run(["save2gdf", "-JSON", file], capture_output=True, text=True)
    about = json.loads(said.stdout[said.stdout.index("{"):])
    assert [channel["Label"] for channel in about["CHANNEL"]][:5] == [
        "ppg_green", "acc_3axis.0", "acc_3axis.1", "acc_3axis.2", "ppg_ir"]
    done = subprocess.run(["save2gdf", "-f=ASCII", file, tmp_path / "out"], capture_output=True)
    assert done.returncode == 0, done.stderr
    values = [numpy.loadtxt(tmp_path / f"out.a0{n}").tolist() for n in (1, 3, 5)]
    assert values[0] == [v for s in range(5) for v in green(s)]
    assert values[1] == [v for s in range(5) for v in axes(s)[1::3]]
    if name == "bdf":
        numpy.testing.assert_allclose(values[2], [v for s in range(5) for v in deep(s)], rtol=1e-5)


@pytest.fixture(scope="module")
def long(stack, key):
    """600,000 samples, about 20 MB as CSV; no light, so that nothing analyses them."""
    model = make_model(stack, key, [{"modality": "raw", "sample_rate_hz": 1000}])
    samples = [i % 20000 for i in range(20000)]
    return asyncio.run(send(stack, key, model, [frame(0, T0_MS + 20000 * n, samples)
                                                for n in range(30)]))


def begin_download(stack, key, session):
    """A client that asks and does not read."""
    at = urlsplit(stack.url)
    client = socket.create_connection((at.hostname, at.port))
    client.settimeout(60)
    client.sendall(f"GET /v1/sessions/{session}/frames HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {key.key}\r\nConnection: close\r\n\r\n".encode())
    return client


def read_all(client):
    parts = []
    while part := client.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def test_who_reads_slowly_holds_nobody_up_and_gets_all(stack, key, http, recorded, long):
    slow = [begin_download(stack, key, long) for _ in range(4)]
    for _ in range(20):
        assert http.get(f"/v1/sessions/{recorded}").status_code == 200
    assert len(rows(http.get(f"/v1/sessions/{recorded}/frames?slot=0"))) == 701
    body = read_all(slow[0])
    assert body.endswith(b"\r\n0\r\n\r\n") and body.count(b",raw,0,") == 600_000
    for client in slow:
        client.close()


def test_an_account_leaves_room_for_the_downloads_of_others(stack, key, http, recorded, long):
    slow = [begin_download(stack, key, long) for _ in range(40)]
    said = [client.recv(12) for client in slow]
    began, refused = said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 503")
    assert began + refused == 40 and 1 <= began <= 16
    other = stack.key()
    sensor = make_model(stack, other, [GREEN])
    session = asyncio.run(send(stack, other, sensor, [frame(0, T0_MS, green(0))]))
    with rest(stack, other) as their:
        assert len(rows(their.get(f"/v1/sessions/{session}/frames"))) == 101
    for client in slow:
        client.close()
    until("the places are free again", lambda: http.get(
        f"/v1/sessions/{recorded}/frames").status_code == 200)


def test_a_download_ends_with_its_key(stack, key, long):
    doomed = stack.key(key.account)
    client = begin_download(stack, doomed, long)
    begun = client.recv(1000)
    assert b"200 OK" in begun
    stack.admin("key", "revoke", doomed.id)
    try:
        begun += read_all(client)
    except ConnectionResetError:
        pass
    assert not begun.endswith(b"\r\n0\r\n\r\n")
    client.close()


def test_another_account_has_no_such_session(stack, recorded):
    with rest(stack, stack.key()) as other:
        assert other.get(f"/v1/sessions/{recorded}/frames").status_code == 404


def test_who_looks_on_gets_the_newest_then_what_came_since(http, recorded):
    """The order of arrival was 12, 0, 2, 1, 3, 10, 11, three slots each."""
    answer = http.get(f"/v1/sessions/{recorded}/frames", params={"newest": 6, "slot": 0})
    assert {(int(float(row[0])) - T0_MS) // 1000 for row in rows(answer)[1:]} == {10, 11}
    link = answer.links["next"]["url"]
    assert "newest=6" in link and "slot=0" in link and "after=21" in link
    answer = http.get(link)
    assert rows(answer)[1:] == [] and answer.links["next"]["url"] == link
    answer = http.get(f"/v1/sessions/{recorded}/frames", params={"after": 18})
    assert len(rows(answer)[1:]) == 100 + 3 * 64 + 50
    assert answer.links["next"]["url"].endswith("after=21")
    assert "link" not in http.get(f"/v1/sessions/{recorded}/frames").headers
    assert http.get(f"/v1/sessions/{recorded}/frames?newest=0").status_code == 400


def test_what_cannot_be_is_refused(http, recorded):
    url = f"/v1/sessions/{recorded}/frames"
    assert http.get(url, params={"format": "xls"}).status_code == 400
    assert http.get(url, params={"from": "yesterday"}).status_code == 400
    assert http.get(url.replace(recorded[:8], "00000000")).status_code == 404
    assert http.get("/v1/sessions/x/frames").status_code == 404
    assert http.head(url).status_code == 200
    assert rows(http.get(url, params={"from": T0_MS, "to": T0_MS})) == [
        ["t_ms", "slot_id", "modality", "channel", "value"]]
    head, records = parse_edf(http.get(url, params={"format": "edf", "from": 5, "to": 6}).content)
    assert records == [] and head["records"] == 0


def test_insights_come_as_csv_too(stack, key, http, model):
    device = 'quoted, "so"'
    session = asyncio.run(stream(stack, key, model, 30, device, t0_ms=T0_MS))
    closed_session(stack, key, session)
    url = f"/v1/sessions/{session}/insights"
    for path, params in ((url, {}), (url, {"limit": 5}),
                         ("/v1/insights", {"session_id": session, "limit": 4})):
        objects = http.get(path, params=params)
        table = http.get(path, params={**params, "format": "csv"})
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        got = list(csv.DictReader(io.StringIO(table.text)))
        assert len(got) == len(objects.json()) > 0
        for row, wanted in zip(got, objects.json()):
            assert row.pop("uncalibrated") == ""
            assert {name: type(wanted[name])(text) for name, text in row.items()} == wanted
        assert ("next" in table.links) == ("next" in objects.links)
        if "next" in table.links:
            assert "format=csv" in table.links["next"]["url"]
            after = http.get(table.links["next"]["url"])
            assert after.headers["content-type"].startswith("text/csv")
        again = http.get(path, params={**params, "format": "csv"},
                         headers={"If-None-Match": table.headers["etag"]})
        assert again.status_code == 304
    assert http.get(url, params={"format": "xml"}).status_code == 400
    assert http.get("/v1/insights", params={"format": "xml"}).status_code == 400
