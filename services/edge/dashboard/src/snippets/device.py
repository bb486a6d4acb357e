# pip install websockets; then: RAEH_KEY=raeh_… python3 device.py
import asyncio, json, math, os, struct, time
import websockets

URL = "@URL@".replace("http", "ws", 1) + "/stream/ingest"
QUERY = "device_id=my-watch&device_model_id=@MODEL_ID@"

def pulse(t):  # 72 beats a minute
    return int(8000 * math.exp(-(((t * 1.2) % 1 - 0.2) / 0.1) ** 2))

async def main():
    async with websockets.connect(f"{URL}?{QUERY}&api_key={os.environ['RAEH_KEY']}") as socket:
        hello = json.loads(await socket.recv())
        print("streaming as session", hello["session_id"], flush=True)
        rate = hello["slots"][0]["sample_rate_hz"]
        start, n, count = time.time(), 0, max(1, round(rate / 5))
        while True:  # a frame: slot, time of its first sample, how many samples, flags; the samples
            t0_ms = round((start + n / rate) * 1000)
            head = struct.pack(">BqHB", 0, t0_ms, count, 0)
            samples = [pulse((n + i) / rate) for i in range(count)]
            await socket.send(head + struct.pack(f"<{count}h", *samples))  # 16 bits each
            n += count
            await asyncio.sleep(max(0, start + n / rate - time.time()))

asyncio.run(main())
