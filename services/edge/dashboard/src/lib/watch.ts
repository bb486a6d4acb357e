// The watch in the browser: it goes on while its person looks at other pages. The key that it
// streams with is made for it, ends within the hour whatever happens, and is deleted when it stops.
import { signal } from "@preact/signals";
import { api, delOnLeaving, type ApiError } from "./api";
import { startWatch } from "./frame";
import type { DeviceModel, Key } from "./types";
import { asError } from "./use";

export const WATCH_MARK = "watch-in-the-browser"; // the external id of its keys
const KEY_LIFE_MS = 3600_000;
const KEPT = 4000; // samples, for its picture

export const watchState = signal<"off" | "starting" | "on">("off");
export const watchSession = signal<string | null>(null);
export const watchError = signal<ApiError | null>(null);
export const watchEnded = signal("");
export const watchTrace = { t: [] as number[], v: [] as number[], period: 0 };

let running: { stop: () => void; keyId: string } | null = null;

export function stopWatch() {
  const was = running;
  running = null;
  watchState.value = "off";
  watchSession.value = null;
  if (!was) return;
  was.stop();
  api.del(`/v1/keys/${was.keyId}`).catch(() => undefined); // it ends by itself
}

addEventListener("pagehide", () => {
  if (running) delOnLeaving(`/v1/keys/${running.keyId}`);
});

function draw(wave: number, rate: number) {
  const { t, v } = watchTrace;
  watchTrace.period = 1000 / rate;
  t.push((t[t.length - 1] ?? Date.now() - 200) + 1000 / rate);
  v.push(wave);
  if (t.length > KEPT) {
    t.splice(0, KEPT / 2);
    v.splice(0, KEPT / 2);
  }
}

export async function playWatch(model: DeviceModel) {
  watchState.value = "starting";
  watchError.value = null;
  watchEnded.value = "";
  watchTrace.t.length = watchTrace.v.length = 0;
  try {
    const made = await api.post<Key>("/v1/keys", {
      label: "Watch in the browser",
      scopes: ["ingest"],
      external_id: WATCH_MARK,
      expires_at: new Date(Date.now() + KEY_LIFE_MS).toISOString(),
    });
    const rate = model.modality_channels[0].sample_rate_hz;
    const watch = startWatch(made.key as string, model.id, "watch-in-browser", {
      onSession: (id) => {
        watchSession.value = id;
        watchState.value = "on";
      },
      onWave: (wave) => draw(wave, rate),
      onClose: (code, reason) => {
        if (running?.keyId !== made.id) return;
        watchEnded.value = `The server closed it with ${code}${reason ? `: ${reason}` : ""}.`;
        stopWatch();
      },
    });
    running = { stop: watch.stop, keyId: made.id };
  } catch (cause) {
    watchError.value = asError(cause);
    watchState.value = "off";
  }
}
