// Registering a device type: its name, and a row for each sensor.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { modalityName } from "../lib/format";
import type { DeviceModel, NewChannel } from "../lib/types";
import { useAction } from "../lib/use";
import { Button, Dialog, Fault, IconButton, Input } from "./basic";

export const known = ["ppg_green", "ppg_red", "ppg_ir", "acc_3axis"];

export function defaultsOf(modality: string): NewChannel {
  const axes = modality === "acc_3axis";
  return { modality, sample_rate_hz: axes ? 50 : 100, bit_depth: 16, num_channels: axes ? 3 : 1 };
}

const presets: [string, string[]][] = [
  ["Green PPG", ["ppg_green"]],
  ["Green PPG + motion", ["ppg_green", "acc_3axis"]],
  ["Pulse oximeter", ["ppg_red", "ppg_ir"]],
];

interface RowProps {
  at: number;
  channel: NewChannel;
  onChange: (channel: NewChannel) => void;
  onRemove?: () => void;
}

// One sensor. Another modality brings its own defaults.
export function SensorRow({ at, channel, onChange, onRemove }: RowProps) {
  const own = !known.includes(channel.modality);
  const number = (name: keyof NewChannel, label: string, min: number, max: number, step: number | "any") => (
    <label>
      <span>{label}</span>
      <input
        class="input"
        type="number"
        required
        min={min}
        max={max}
        step={step}
        aria-label={`${label}, sensor ${at + 1}`}
        value={Number.isNaN(channel[name]) ? "" : channel[name]}
        onInput={(event) => onChange({ ...channel, [name]: event.currentTarget.valueAsNumber })}
      />
    </label>
  );
  return (
    <div class="sensor-row">
      <label class="sensor-what">
        <span>Sensor</span>
        <select class="input" aria-label={`Modality of sensor ${at + 1}`} value={own ? "other" : channel.modality} onChange={(event) => onChange(event.currentTarget.value === "other" ? { ...channel, modality: "" } : defaultsOf(event.currentTarget.value))}>
          {known.map((modality) => (
            <option key={modality} value={modality}>
              {modalityName(modality)}
            </option>
          ))}
          <option value="other">Other…</option>
        </select>
      </label>
      {own && (
        <label class="sensor-what">
          <span>Name</span>
          <input class="input" required pattern="[a-z0-9_]{1,32}" title="Small letters, digits and _, at most 32" aria-label={`Name of sensor ${at + 1}`} value={channel.modality} onInput={(event) => onChange({ ...channel, modality: event.currentTarget.value })} placeholder="eda" />
        </label>
      )}
      {number("sample_rate_hz", "Rate, Hz", 0.1, 10000, "any")}
      {number("bit_depth", "Bits", 1, 32, 1)}
      {number("num_channels", "Channels", 1, 16, 1)}
      {onRemove && <IconButton icon="trash" label={`Remove sensor ${at + 1}`} onClick={onRemove} />}
    </div>
  );
}

interface Props {
  onClose: () => void;
  onMade: (model: DeviceModel) => void;
  name?: string;
}

export function RegisterDialog({ onClose, onMade, name: first = "" }: Props) {
  const [name, setName] = useState(first);
  const [description, setDescription] = useState("");
  const [firmware, setFirmware] = useState("");
  const [channels, setChannels] = useState<NewChannel[]>([defaultsOf("ppg_green")]);
  const register = useAction(async () => {
    onMade(
      await api.post<DeviceModel>("/v1/device-models", {
        name: name.trim(),
        description,
        firmware_version: firmware,
        modality_channels: channels,
      }),
    );
    onClose();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    register.run();
  };
  const change = (at: number, channel: NewChannel) => setChannels(channels.map((one, i) => (i === at ? channel : one)));
  return (
    <Dialog title="Register Device Type" onClose={onClose} wide>
      <form onSubmit={submit} class="stack">
        <div class="two">
          <Input label="Name" required maxLength={128} value={name} onInput={setName} data-first placeholder="e.g. Wristband 2" />
          <Input label="Firmware version" maxLength={128} value={firmware} onInput={setFirmware} placeholder="optional" />
        </div>
        <Input label="Description" maxLength={1024} value={description} onInput={setDescription} placeholder="optional" />
        <fieldset class="field">
          <legend>Sensors</legend>
          <div class="presets">
            <span class="muted small-text">Start from</span>
            {presets.map(([title, modalities]) => (
              <Button key={title} small kind="quiet" onClick={() => setChannels(modalities.map(defaultsOf))}>
                {title}
              </Button>
            ))}
          </div>
          {channels.map((channel, i) => (
            <SensorRow key={i} at={i} channel={channel} onChange={(next) => change(i, next)} onRemove={channels.length > 1 ? () => setChannels(channels.filter((_, at) => at !== i)) : undefined} />
          ))}
          <Button small icon="plus" disabled={channels.length >= 64} onClick={() => setChannels([...channels, defaultsOf(known.find((one) => !channels.some((c) => c.modality === one)) || "ppg_green")])}>
            Add a sensor
          </Button>
          <p class="field-hint">Each sensor is a slot of the frames, in this order, from 0. Heart and breathing rate need one PPG; oxygen saturation needs red and infrared.</p>
        </fieldset>
        {register.error && <Fault error={register.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={register.busy} disabled={!name.trim()}>
            Register
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
