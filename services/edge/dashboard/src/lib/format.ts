// Numbers and times as people read them, in their own language and zone.

const absolute = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const short = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const whole = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export const fullTime = (at: string | number) => absolute.format(new Date(at));
export const shortTime = (at: string | number) => short.format(new Date(at));
export const clockTime = (at: string | number) => clock.format(new Date(at));
export const dayTime = (at: string | number) => minute.format(new Date(at));
export const utc = (at: string | number) =>
  new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");

export const count = (n: number) => (Math.abs(n) < 10000 ? whole.format(n) : compact.format(n));
export const exact = (n: number) => whole.format(n);

export function bytes(n: number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${n >= 100 || unit === 0 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

export function duration(ms: number) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// For a column: the larger unit alone.
export function brief(ms: number) {
  return span(Math.max(0, Math.round(ms / 1000)));
}

export function ago(at: string | number, now: number) {
  const s = Math.round((now - new Date(at).getTime()) / 1000);
  if (s < -10) return `in ${span(-s)}`;
  if (s < 10) return "just now";
  return `${span(s)} ago`;
}

function span(s: number) {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86400) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export const plural = (n: number, one: string, many = `${one}s`) => `${exact(n)} ${n === 1 ? one : many}`;

const names: Record<string, string> = {
  ppg_green: "PPG green", ppg_red: "PPG red", ppg_ir: "PPG infrared", acc_3axis: "Accelerometer",
};
export const modalityName = (modality: string) => names[modality] || modality;

export interface Kind {
  name: string;
  short: string;
  unit: string;
  digits: number;
  range: [number, number];
}
export const kinds: Record<string, Kind> = {
  hr: { name: "Heart rate", short: "Heart rate", unit: "bpm", digits: 0, range: [50, 110] },
  spo2: { name: "Oxygen saturation", short: "Oxygen", unit: "%", digits: 0, range: [88, 100] },
  rr: { name: "Breathing rate", short: "Breathing", unit: "brpm", digits: 1, range: [8, 26] },
  hrv_rmssd: { name: "HRV, RMSSD", short: "RMSSD", unit: "ms", digits: 0, range: [0, 80] },
  hrv_sdnn: { name: "HRV, SDNN", short: "SDNN", unit: "ms", digits: 0, range: [0, 80] },
  motion: { name: "Motion", short: "Motion", unit: "", digits: 2, range: [0, 1] },
};
export const kindOf = (type: string): Kind =>
  kinds[type] || { name: type, short: type, unit: "", digits: 1, range: [0, 1] };
export const reading = (type: string, value: number) => value.toFixed(kindOf(type).digits);

// What a close code means, and what to do about it.
export function closeMeaning(code: number | null | undefined, reason?: string | null) {
  const told: Record<number, [string, string]> = {
    1000: ["Closed cleanly", "The device ended the session by itself."],
    1001: /idle/.test(reason || "")
      ? ["Idle", "No frame came for the idle timeout. The device may reconnect when it has data."]
      : ["Server going away", "The server was drained. Devices reconnect at once."],
    1003: ["Text where frames belong", "The device sent a text message; frames are binary."],
    1006: ["Connection lost", "No close frame came: the network, the device or its edge went away."],
    1007: ["A frame of the wrong length", "Its length does not match the slot's bit depth and channels. Compare the firmware's frame with the device type."],
    1009: ["Message too big", "A frame was over the limit. Send fewer samples a frame."],
    1013: ["Overloaded", "A service behind was away or full. The device may reconnect later."],
    4001: ["Key refused", "The key is missing, unknown, deleted, expired, or lacks the right. Give the device a key that is alive."],
    4004: ["Unknown device type or slot", "The device_model_id, the device_id or a frame's slot is not one of this account's."],
    4009: ["Superseded", "A newer connection of the same device took over."],
    4029: ["Rate limit", "The key sent more than its limit. Raise the limit or send less."],
  };
  if (code === null || code === undefined) return null;
  const [title, text] = told[code] || ["Closed", "The code is the client's own."];
  return { code, title, text };
}
