// Settings: the password, who else may log in, how it looks, and the end of the account.
import { useState } from "preact/hooks";
import { api, loadMe, me } from "../lib/api";
import { go } from "../lib/router";
import type { Invite, User } from "../lib/types";
import { useAction, useGet, useTitle } from "../lib/use";
import { Absent, Badge, Button, Card, Dialog, Fault, Id, IconButton, Input, PageHead, Rows, Select, Time, toast } from "../ui/basic";
import { Line } from "../ui/code";
import { ThemeSwitch } from "../ui/shell";
import { passwordFault } from "./login";

export function SettingsPage() {
  useTitle("Settings");
  const who = me.value;
  if (!who) return null;
  const owner = who.user.role === "owner";
  return (
    <>
      <PageHead title="Settings" about={who.user.email} />
      <div class="columns">
        <Password />
        <Card title="This account">
          <dl class="facts">
            <dt>Account id</dt>
            <dd>
              <Id value={who.account.id} label="account id" short />
            </dd>
            <dt>Created</dt>
            <dd>
              <Time at={who.account.created_at} relative={false} />
            </dd>
            <dt>Your role</dt>
            <dd>{who.user.role}</dd>
            <dt>Server</dt>
            <dd>raeh {who.version}</dd>
            <dt>Theme</dt>
            <dd>
              <ThemeSwitch />
            </dd>
          </dl>
        </Card>
      </div>
      <Users owner={owner} />
      {owner && <Invites />}
      {owner && <DeleteAccount />}
    </>
  );
}

function Password() {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [tried, setTried] = useState(false);
  const change = useAction(async () => {
    await api.post("/v1/me/password", { current, new: next });
    await loadMe(); // the login is a new one, and so is its token
    setCurrent("");
    setNext("");
    setTried(false);
    toast("The password is changed; every other login is ended");
  });
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!passwordFault(next)) change.run();
  };
  return (
    <Card title="Password">
      <form onSubmit={submit} class="stack">
        <input type="text" class="offscreen" autocomplete="username" value={me.value?.user.email} readOnly tabIndex={-1} aria-hidden="true" />
        <Input label="Current password" type="password" autocomplete="current-password" required value={current} onInput={setCurrent} />
        <Input label="New password" type="password" autocomplete="new-password" required value={next} onInput={setNext} error={tried ? passwordFault(next) : null} hint="At least 10 characters." />
        {change.error && <Fault error={change.error} />}
        <div>
          <Button type="submit" busy={change.busy} disabled={!current || !next}>
            Change password
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Users({ owner }: { owner: boolean }) {
  const users = useGet<User[]>("/v1/users");
  const [removing, setRemoving] = useState<User | null>(null);
  return (
    <Card flush title="People" about="Everybody here sees and may change everything of the account; owners also invite and remove.">
      {users.error ? (
        users.error.absent ? <Absent what="The list of people" /> : <Fault error={users.error} retry={users.reload} />
      ) : !users.data ? (
        <Rows n={2} />
      ) : (
        <div class="table-scroll" role="region" aria-label="People" tabIndex={0}>
          <table class="table cards">
            <thead>
              <tr>
                <th>E-mail</th>
                <th>Role</th>
                <th>Since</th>
                <th>
                  <span class="offscreen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {users.data.map((user) => (
                <tr key={user.id}>
                  <td>
                    {user.email} {user.id === me.value?.user.id && <Badge tone="info">you</Badge>}
                  </td>
                  <td data-label="Role">{user.role}</td>
                  <td data-label="Since">
                    <Time at={user.created_at} />
                  </td>
                  <td class="row-actions">{owner && user.id !== me.value?.user.id && <IconButton icon="trash" label={`Remove ${user.email}`} onClick={() => setRemoving(user)} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {removing && <RemoveUser of={removing} onClose={() => setRemoving(null)} onGone={users.reload} />}
    </Card>
  );
}

function RemoveUser({ of, onClose, onGone }: { of: User; onClose: () => void; onGone: () => void }) {
  const remove = useAction(async () => {
    await api.del(`/v1/users/${of.id}`);
    onGone();
    onClose();
  });
  return (
    <Dialog title={`Remove ${of.email}?`} onClose={onClose}>
      <p>Their logins end at once. Keys that they made live on.</p>
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

function Invites() {
  const invites = useGet<Invite[]>("/v1/invites");
  const [role, setRole] = useState("member");
  const [email, setEmail] = useState("");
  const [link, setLink] = useState<string | null>(null);
  const invite = useAction(async () => {
    const made = await api.post<Invite>("/v1/invites", email ? { role, email } : { role });
    setLink(location.origin + made.url_path);
    setEmail("");
    invites.reload();
  });
  const withdraw = useAction(async (id: string) => {
    await api.del(`/v1/invites/${id}`);
    invites.reload();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    invite.run();
  };
  if (invites.error?.absent) return <Card title="Invite"><Absent what="Inviting" /></Card>;
  return (
    <Card title="Invite" about="A link that works once, for seven days.">
      <form class="invite-form" onSubmit={submit}>
        <Input label="E-mail" type="email" value={email} onInput={setEmail} placeholder="anybody with the link" />
        <Select label="Role" value={role} onChange={setRole} options={[["member", "Member"], ["owner", "Owner"]]} />
        <Button type="submit" busy={invite.busy}>
          Make a link
        </Button>
      </form>
      {invite.error && <Fault error={invite.error} />}
      {link && (
        <div role="status">
          <p>Send this to whom you invite. It is shown once.</p>
          <Line text={link} label="invitation" />
        </div>
      )}
      {withdraw.error && <Fault error={withdraw.error} />}
      {invites.data && invites.data.length > 0 && (
        <ul class="plain-list">
          {invites.data.map((one) => (
            <li key={one.id}>
              <span>
                {one.email || "Anybody with the link"} <Badge>{one.role}</Badge>{" "}
                <span class="muted">
                  ends <Time at={one.expires_at} />
                </span>
              </span>
              <Button small kind="quiet" onClick={() => withdraw.run(one.id)}>
                Withdraw
              </Button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function DeleteAccount() {
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState("");
  const [typed, setTyped] = useState("");
  const email = me.value?.user.email || "";
  const remove = useAction(async () => {
    await api.del("/v1/account", { password });
    me.value = null;
    go("/login", { replace: true });
    toast("The account and everything of it are deleted");
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (typed === email) remove.run();
  };
  const close = () => {
    setOpen(false);
    setPassword("");
    setTyped("");
    remove.clear();
  };
  return (
    <Card title="Delete the account" about="Every key, device, session and insight, for everybody in it. This cannot be undone." actions={<Button kind="danger" onClick={() => setOpen(true)}>Delete the account…</Button>}>
      {open && (
        <Dialog title="Delete the account" onClose={close}>
          <form onSubmit={submit} class="stack">
            <p>All sockets are closed at once, then everything that was stored is removed.</p>
            <Input label={`Type “${email}” to confirm`} value={typed} onInput={setTyped} data-first autocomplete="off" spellcheck={false} />
            <Input label="Your password" type="password" autocomplete="current-password" required value={password} onInput={setPassword} />
            {remove.error && <Fault error={remove.error} />}
            <div class="dialog-foot">
              <Button onClick={close}>Cancel</Button>
              <Button kind="danger" type="submit" busy={remove.busy} disabled={typed !== email || !password}>
                Delete everything
              </Button>
            </div>
          </form>
        </Dialog>
      )}
    </Card>
  );
}
