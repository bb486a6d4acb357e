// Devices: the types that are registered, and the physical units that have connected.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { useClock } from "../lib/clock";
import { modalityName, plural } from "../lib/format";
import { go, Link, params, setParams } from "../lib/router";
import type { Device, DeviceModel } from "../lib/types";
import { useAction, useGet, usePages, useTitle } from "../lib/use";
import { Absent, Badge, Button, Card, Dialog, Empty, Fault, Id, Input, NotFound, PageHead, Pager, Rows, Tabs, Time, toast } from "../ui/basic";
import { Icon } from "../ui/icon";
import { RegisterDialog } from "../ui/model-form";
import { SessionsTable } from "./sessions";

export function DevicesPage() {
  useTitle("Devices");
  const tab = params.value.get("tab") === "units" ? "units" : "types";
  const [registering, setRegistering] = useState(false);
  return (
    <>
      <PageHead title="Devices" about="A device type says which sensors a hardware has. A device of it appears by itself when it first connects.">
        <Button kind="primary" icon="plus" onClick={() => setRegistering(true)}>
          Register Device Type
        </Button>
      </PageHead>
      <Tabs label="Devices" tabs={[["types", "Device types"], ["units", "Physical devices"]]} at={tab} onPick={(next) => setParams({ tab: next === "types" ? null : next })} />
      {tab === "types" ? <Types onRegister={() => setRegistering(true)} /> : <Units />}
      {registering && <RegisterDialog onClose={() => setRegistering(false)} onMade={(model) => go(`/devices/types/${model.id}`)} />}
    </>
  );
}

function Types({ onRegister }: { onRegister: () => void }) {
  const models = usePages<DeviceModel>("/v1/device-models?limit=50");
  if (models.error && !models.data) return <Fault error={models.error} retry={models.reload} />;
  if (!models.data) return <Card flush><Rows /></Card>;
  if (!models.data.length && models.page === 1)
    return (
      <Card>
        <Empty icon="devices" title="Register the first device type" action={<Button kind="primary" icon="plus" onClick={onRegister}>Register Device Type</Button>}>
          Name the hardware and list its sensors, with rate and bits. Its Device Model ID goes into
          the firmware.
        </Empty>
      </Card>
    );
  return (
    <Card flush>
      <div class="table-scroll" role="region" aria-label="Device types" tabIndex={0}>
        <table class="table cards">
          <thead>
            <tr>
              <th>Name</th>
              <th>Sensors</th>
              <th class="wide-only">Firmware</th>
              <th>Device Model ID</th>
              <th class="wide-only">Registered</th>
            </tr>
          </thead>
          <tbody>
            {models.data.map((model) => (
              <tr key={model.id}>
                <td>
                  <Link href={`/devices/types/${model.id}`} class="row-link">
                    {model.name}
                  </Link>
                </td>
                <td class="small-text" data-label="Sensors">
                  {model.modality_channels.length ? [...new Set(model.modality_channels.map((one) => modalityName(one.modality)))].join(", ") : <span class="muted">none yet</span>}
                </td>
                <td class="wide-only">{model.firmware_version || <span class="muted">–</span>}</td>
                <td data-label="Device Model ID">
                  <Id value={model.id} label="Device Model ID" short />
                </td>
                <td class="wide-only">
                  <Time at={model.created_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager of={models} />
    </Card>
  );
}

export const isOnline = (device: Device) => Boolean(device.online);

function Units() {
  const units = usePages<Device>("/v1/devices?limit=50", 5000);
  const models = useGet<DeviceModel[]>("/v1/device-models");
  const typeOf = (id: string | null) => models.data?.find((model) => model.id === id)?.name || "–";
  if (units.error && !units.data)
    return units.error.absent ? <Card><Absent what="The list of physical devices" /></Card> : <Fault error={units.error} retry={units.reload} />;
  if (!units.data) return <Card flush><Rows /></Card>;
  if (!units.data.length && units.page === 1)
    return (
      <Card>
        <Empty icon="devices" title="No device has connected yet" action={<Link class="button plain" href="/quickstart">Open the quickstart</Link>}>
          A device appears here when it opens its first session, under the device_id that it names.
        </Empty>
      </Card>
    );
  return (
    <Card flush>
      <div class="table-scroll" role="region" aria-label="Physical devices" tabIndex={0}>
        <table class="table cards">
          <thead>
            <tr>
              <th>Device</th>
              <th>Type</th>
              <th>Last seen</th>
              <th title="How the device's clock ran in its last session, against the server's">Clock</th>
              <th class="wide-only">Last session</th>
            </tr>
          </thead>
          <tbody>
            {units.data.map((unit) => (
              <tr key={unit.device_id}>
                <td>
                  <span class={`presence${isOnline(unit) ? " on" : ""}`} role="img" aria-label={isOnline(unit) ? "online" : "offline"} />
                  <Link href={`/devices/${encodeURIComponent(unit.device_id)}`} class="row-link">
                    {unit.device_id}
                  </Link>
                </td>
                <td data-label="Type">{unit.device_model_id ? <Link href={`/devices/types/${unit.device_model_id}`}>{typeOf(unit.device_model_id)}</Link> : "–"}</td>
                <td data-label="Last seen">{isOnline(unit) ? <Badge tone="good">online</Badge> : <Time at={unit.last_seen_at} />}</td>
                <td class="clock" data-label="Clock">
                  <ClockHealth of={unit} />
                </td>
                <td class="wide-only">{unit.last_session_id ? <Link href={`/sessions/${unit.last_session_id}`}>Open</Link> : <span class="muted">none</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager of={units} />
    </Card>
  );
}

function ClockHealth({ of }: { of: Device }) {
  const verdict = useClock(of.last_session_id, isOnline(of));
  if (verdict === undefined) return <span class="bone inline" aria-hidden="true" />;
  if (verdict === null) return <span class="muted" title="Not known (yet): it takes a minute of live samples.">–</span>;
  return (
    <span title={verdict.more}>
      <Badge tone={verdict.good ? "good" : "warn"}>
        <Icon name={verdict.good ? "check" : "alert"} size={12} />
        {verdict.text}
      </Badge>
    </span>
  );
}

export function DevicePage({ id }: { id: string }) {
  useTitle(id);
  const device = useGet<Device>(`/v1/devices/${encodeURIComponent(id)}`, 5000);
  const [deleting, setDeleting] = useState(false);
  if (device.error?.status === 404) return <NotFound what="device" back={{ href: "/devices?tab=units", label: "All devices" }} />;
  const unit = device.data;
  return (
    <>
      <PageHead
        title={
          <>
            {id} {unit && <Badge tone={isOnline(unit) ? "good" : "neutral"} dot={isOnline(unit)}>{isOnline(unit) ? "online" : "offline"}</Badge>}
          </>
        }
        back={{ href: "/devices?tab=units", label: "Physical devices" }}
        about={unit && !isOnline(unit) ? <>Last seen <Time at={unit.last_seen_at} /></> : undefined}
      >
        {unit && (
          <Button kind="danger" icon="trash" onClick={() => setDeleting(true)}>
            Delete its data
          </Button>
        )}
      </PageHead>
      <SessionsTable title="Sessions of this device" filter={{ device_id: id }} />
      {deleting && <DeleteDevice id={id} onClose={() => setDeleting(false)} />}
    </>
  );
}

function DeleteDevice({ id, onClose }: { id: string; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const remove = useAction(async () => {
    const removed = await api.del<Record<string, number> | undefined>(`/v1/devices/${encodeURIComponent(id)}`);
    const parts = Object.entries(removed || {}).filter(([, n]) => typeof n === "number").map(([name, n]) => plural(n, name.replace(/s$/, "")));
    toast(parts.length ? `Deleted: ${parts.join(", ")}` : "Deleted");
    go("/devices?tab=units", { replace: true });
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (typed === id) remove.run();
  };
  return (
    <Dialog title={`Delete everything of “${id}”`} onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <p>Its open session is closed; its sessions, raw samples and insights are removed for good.</p>
        <Input label={`Type “${id}” to confirm`} value={typed} onInput={setTyped} data-first autocomplete="off" spellcheck={false} />
        {remove.error && <Fault error={remove.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" type="submit" busy={remove.busy} disabled={typed !== id}>
            Delete its data
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
