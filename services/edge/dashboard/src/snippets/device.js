// npm install ws; then: RAEH_KEY=raeh_… node device.js
const WebSocket = require("ws");

const url = "@URL@".replace("http", "ws") + "/stream/ingest";
const query = "device_id=my-watch&device_model_id=@MODEL_ID@";

// 72 beats a minute
const pulse = (t) => Math.trunc(8000 * Math.exp(-((((t * 1.2) % 1 - 0.2) / 0.1) ** 2)));

function frame(t0, first, count, rate) {
  const bytes = Buffer.alloc(12 + 2 * count);
  bytes.writeBigInt64BE(BigInt(Math.round(t0)), 1); // time of the first sample; the slot is 0
  bytes.writeUInt16BE(count, 9); // how many samples, 16 bits each
  for (let i = 0; i < count; i++) bytes.writeInt16LE(pulse((first + i) / rate), 12 + 2 * i);
  return bytes;
}

const device = new WebSocket(`${url}?${query}&api_key=${process.env.RAEH_KEY}`);
device.on("close", (code, reason) => console.log(`closed with ${code}: ${reason}`));
device.on("message", (data) => { // the handshake, once
  const hello = JSON.parse(data);
  console.log("streaming as session", hello.session_id);
  const rate = hello.slots[0].sample_rate_hz, count = Math.max(1, Math.round(rate / 5));
  const start = Date.now();
  let n = 0;
  setInterval(() => {
    for (; n < ((Date.now() - start) / 1000) * rate; n += count)
      device.send(frame(start + (n / rate) * 1000, n, count, rate));
  }, 100);
});
