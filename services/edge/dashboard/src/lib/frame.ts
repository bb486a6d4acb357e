// A watch in the browser: synthetic pulse waves in the frames of the protocol, over the real
// socket, as firmware would send them.
const HEADER_BYTES = 12;

export interface Slot {
  slot_id: number;
  modality: string;
  sample_rate_hz: number;
  bit_depth: number;
  num_channels: number;
}

// The shape of one beat at phase 0..1: the systolic peak, then the dicrotic wave.
function beat(phase: number) {
  const systole = Math.exp(-(((phase - 0.2) / 0.08) ** 2));
  const dicrotic = 0.35 * Math.exp(-(((phase - 0.48) / 0.1) ** 2));
  return systole + dicrotic;
}

// A pulse whose rate drifts a little, breathing at 14 a minute, and a little noise.
export class Pulse {
  private phase = 0;
  private time = 0;
  bpm = 72;

  next(rate: number) {
    const breath = Math.sin((2 * Math.PI * this.time * 14) / 60);
    const drift = 4 * Math.sin((2 * Math.PI * this.time) / 45);
    this.phase = (this.phase + (this.bpm + drift + 2 * breath) / 60 / rate) % 1;
    this.time += 1 / rate;
    return beat(this.phase) * (1 + 0.12 * breath) - 0.35 + 0.01 * (Math.random() - 0.5);
  }
}

function sampleOf(modality: string, channel: number, wave: number, full: number) {
  const depth: Record<string, number> = { ppg_green: 0.5, ppg_red: 0.16, ppg_ir: 0.32 };
  if (modality === "acc_3axis") return (channel === 2 ? 0.25 : 0) * full + (Math.random() - 0.5) * 0.004 * full;
  return wave * (depth[modality] ?? 0.3) * full;
}

export function encodeFrame(slot: Slot, t0Ms: number, waves: number[]) {
  const width = Math.ceil(slot.bit_depth / 8);
  const full = 2 ** (slot.bit_depth - 1) - 1;
  const bytes = new ArrayBuffer(HEADER_BYTES + waves.length * width * slot.num_channels);
  const view = new DataView(bytes);
  view.setUint8(0, slot.slot_id);
  view.setBigInt64(1, BigInt(Math.round(t0Ms)));
  view.setUint16(9, waves.length);
  let at = HEADER_BYTES;
  for (const wave of waves) {
    for (let channel = 0; channel < slot.num_channels; channel++) {
      const sample = Math.round(sampleOf(slot.modality, channel, wave, full));
      for (let byte = 0; byte < width; byte++) view.setUint8(at++, (sample >> (8 * byte)) & 255);
    }
  }
  return bytes;
}

export interface WatchEvents {
  onSession: (id: string) => void;
  onWave: (wave: number) => void;
  onClose: (code: number, reason: string) => void;
}

const FRAME_MS = 200;

// Streams until stop() or until the server closes. The key is kept in the socket's URL alone.
export function startWatch(key: string, modelId: string, deviceId: string, on: WatchEvents) {
  const where = location.origin.replace(/^http/, "ws");
  const asked = new URLSearchParams({ api_key: key, device_id: deviceId, device_model_id: modelId });
  const socket = new WebSocket(`${where}/stream/ingest?${asked}`);
  let timer = 0;
  const pulses: Pulse[] = [];
  const sent: number[] = [];

  const begin = (slots: Slot[]) => {
    const start = Date.now();
    slots.forEach((_, i) => {
      pulses[i] = new Pulse();
      sent[i] = 0;
    });
    const tick = () => {
      slots.forEach((slot, i) => {
        const due = Math.floor(((Date.now() - start) / 1000) * slot.sample_rate_hz);
        const most = Math.max(1, Math.round(slot.sample_rate_hz)); // a second, after a long sleep
        while (due > sent[i] && socket.bufferedAmount < 1 << 20) {
          const n = Math.min(due - sent[i], most);
          const waves = Array.from({ length: n }, () => pulses[i].next(slot.sample_rate_hz));
          if (i === 0) waves.forEach(on.onWave);
          socket.send(encodeFrame(slot, start + (sent[i] / slot.sample_rate_hz) * 1000, waves));
          sent[i] += n;
        }
      });
    };
    timer = window.setInterval(tick, FRAME_MS);
  };

  socket.onmessage = (event) => {
    const hello = JSON.parse(event.data as string) as { session_id?: string; slots?: Slot[] };
    if (!hello.session_id || !hello.slots) return;
    on.onSession(hello.session_id);
    begin(hello.slots);
  };
  socket.onclose = (event) => {
    clearInterval(timer);
    on.onClose(event.code, event.reason);
  };
  return {
    stop: () => {
      clearInterval(timer);
      socket.close(1000);
    },
  };
}
