// One device type: its Device Model ID, and its sensors.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { modalityName } from "../lib/format";
import { go } from "../lib/router";
import type { Channel, DeviceModel, NewChannel } from "../lib/types";
import { useAction, useGet, useTitle } from "../lib/use";
import { Button, Card, Copy, Dialog, Fault, Id, IconButton, Input, Loading, NotFound, PageHead, Time, toast } from "../ui/basic";
import { DeviceSnippet } from "../ui/code";
import { SensorRow, defaultsOf } from "../ui/model-form";

type Open = null | "edit" | "delete" | { channel: Channel | null; remove?: boolean };

export function ModelPage({ id }: { id: string }) {
  const where = `/v1/device-models/${encodeURIComponent(id)}`;
  const loaded = useGet<DeviceModel>(where);
  const [open, setOpen] = useState<Open>(null);
  const model = loaded.data;
  useTitle(model?.name || "Device type");
  if (loaded.error && !model)
    return [400, 404].includes(loaded.error.status) ? <NotFound what="device type" back={{ href: "/devices", label: "All device types" }} /> : <Fault error={loaded.error} retry={loaded.reload} />;
  if (!model) return <Loading back={{ href: "/devices", label: "Devices" }} />;
  const close = () => setOpen(null);
  return (
    <>
      <PageHead title={model.name} about={model.description} back={{ href: "/devices", label: "Devices" }}>
        <Button icon="edit" onClick={() => setOpen("edit")}>
          Edit
        </Button>
        <Button kind="danger" icon="trash" onClick={() => setOpen("delete")}>
          Delete
        </Button>
      </PageHead>
      <Card>
        <div class="model-id">
          <div>
            <h2>Device Model ID</h2>
            <code class="big-id">{model.id}</code>
          </div>
          <Copy text={model.id} label="Copy Device Model ID" wide />
        </div>
        <dl class="facts across">
          <dt>Firmware</dt>
          <dd>{model.firmware_version || <span class="muted">not said</span>}</dd>
          <dt>Registered</dt>
          <dd>
            <Time at={model.created_at} />
          </dd>
          <dt>Changed</dt>
          <dd>
            <Time at={model.updated_at} />
          </dd>
        </dl>
      </Card>
      <Card
        flush
        title="Sensors"
        about="A removed sensor's slot is never used again; sessions that are open keep the slots of their handshake."
        actions={
          <Button small icon="plus" onClick={() => setOpen({ channel: null })}>
            Add a sensor
          </Button>
        }
      >
        <Sensors of={model} onEdit={(channel) => setOpen({ channel })} onRemove={(channel) => setOpen({ channel, remove: true })} />
      </Card>
      <Card title="Stream from it" about="Save as device.py, device.js or device.c; the key comes from RAEH_KEY.">
        <DeviceSnippet modelId={model.id} />
      </Card>
      {open === "edit" && <EditModel of={model} where={where} onClose={close} onSaved={loaded.set} />}
      {open === "delete" && <DeleteModel of={model} where={where} onClose={close} />}
      {open && typeof open === "object" && (open.remove && open.channel ? <RemoveChannel of={open.channel} where={where} onClose={close} onDone={loaded.reload} /> : <ChannelDialog of={open.channel} where={where} onClose={close} onDone={loaded.reload} />)}
    </>
  );
}

function Sensors({ of, onEdit, onRemove }: { of: DeviceModel; onEdit: (channel: Channel) => void; onRemove: (channel: Channel) => void }) {
  if (!of.modality_channels.length) return <p class="no-rows muted">No sensor yet. A device of this type cannot connect before it has one.</p>;
  return (
    <div class="table-scroll" role="region" aria-label="Sensors" tabIndex={0}>
      <table class="table cards">
        <thead>
          <tr>
            <th>Sensor</th>
            <th class="num">Rate</th>
            <th class="num">Bits</th>
            <th class="num">Channels</th>
            <th class="wide-only">Modality channel id</th>
            <th>
              <span class="offscreen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {of.modality_channels.map((channel) => (
            <tr key={channel.id}>
              <td>
                {modalityName(channel.modality)} <code class="muted">{channel.modality}</code>
              </td>
              <td class="num" data-label="Rate">{Number(channel.sample_rate_hz.toFixed(3))} Hz</td>
              <td class="num" data-label="Bits">{channel.bit_depth}</td>
              <td class="num" data-label="Channels">{channel.num_channels}</td>
              <td class="wide-only">
                <Id value={channel.id} label="modality channel id" short />
              </td>
              <td class="row-actions">
                <IconButton icon="edit" label={`Edit ${modalityName(channel.modality)}`} onClick={() => onEdit(channel)} />
                <IconButton icon="trash" label={`Remove ${modalityName(channel.modality)}`} onClick={() => onRemove(channel)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface ModelDialogProps {
  of: DeviceModel;
  where: string;
  onClose: () => void;
}

function EditModel({ of, where, onClose, onSaved }: ModelDialogProps & { onSaved: (model: DeviceModel) => void }) {
  const [name, setName] = useState(of.name);
  const [description, setDescription] = useState(of.description);
  const [firmware, setFirmware] = useState(of.firmware_version);
  const save = useAction(async () => {
    onSaved(await api.put<DeviceModel>(where, { name: name.trim(), description, firmware_version: firmware }));
    toast("Saved");
    onClose();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    save.run();
  };
  return (
    <Dialog title="Edit device type" onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <Input label="Name" required maxLength={128} value={name} onInput={setName} data-first />
        <Input label="Description" maxLength={1024} value={description} onInput={setDescription} />
        <Input label="Firmware version" maxLength={128} value={firmware} onInput={setFirmware} />
        {save.error && <Fault error={save.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={save.busy} disabled={!name.trim()}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function DeleteModel({ of, where, onClose }: ModelDialogProps) {
  const remove = useAction(async () => {
    await api.del(where);
    toast(`“${of.name}” is deleted`);
    go("/devices", { replace: true });
  });
  return (
    <Dialog title={`Delete “${of.name}”?`} onClose={onClose}>
      <p>A type can be deleted while no device refers to it. Firmware that names its id gets 4004 from then on.</p>
      {remove.error && <Fault error={remove.error} />}
      {remove.error?.status === 409 && <p class="muted">Delete the data of its devices first (Devices → Physical devices).</p>}
      <div class="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="danger" busy={remove.busy} onClick={() => remove.run()}>
          Delete
        </Button>
      </div>
    </Dialog>
  );
}

interface ChannelProps {
  of: Channel | null;
  where: string;
  onClose: () => void;
  onDone: () => void;
}

function ChannelDialog({ of, where, onClose, onDone }: ChannelProps) {
  const [channel, setChannel] = useState<NewChannel>(of || defaultsOf("ppg_green"));
  const save = useAction(async () => {
    const { modality, sample_rate_hz, bit_depth, num_channels } = channel;
    const body = { modality, sample_rate_hz, bit_depth, num_channels };
    if (of) await api.put(`${where}/modalities/${of.id}`, body);
    else await api.post(`${where}/modalities`, body);
    onDone();
    onClose();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    save.run();
  };
  return (
    <Dialog title={of ? "Edit sensor" : "Add a sensor"} onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <SensorRow at={0} channel={channel} onChange={setChannel} />
        {save.error && <Fault error={save.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={save.busy}>
            {of ? "Save" : "Add"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function RemoveChannel({ of, where, onClose, onDone }: Omit<ChannelProps, "of"> & { of: Channel }) {
  const remove = useAction(async () => {
    await api.del(`${where}/modalities/${of.id}`);
    onDone();
    onClose();
  });
  return (
    <Dialog title={`Remove ${modalityName(of.modality)}?`} onClose={onClose}>
      <p>New sessions no longer have its slot. A frame that an open session still sends on it closes that session with 4004.</p>
      {remove.error && <Fault error={remove.error} />}
      <div class="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="danger" busy={remove.busy} onClick={() => remove.run()}>
          Remove
        </Button>
      </div>
    </Dialog>
  );
}
