// Before the dashboard: log in, sign up, take up an invitation.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, api, me } from "../lib/api";
import { go, Link, params } from "../lib/router";
import type { Me } from "../lib/types";
import { useAction, useGet, useTitle } from "../lib/use";
import { Button, Fault, Input } from "../ui/basic";
import { Icon } from "../ui/icon";
import { ThemeSwitch } from "../ui/shell";

export const PASSWORD_MIN = 10;
export const passwordFault = (text: string) =>
  text && text.length < PASSWORD_MIN ? `At least ${PASSWORD_MIN} characters; a sentence is easy to remember.` : null;

function Frame({ title, about, children }: { title: string; about: ComponentChildren; children: ComponentChildren }) {
  useTitle(title);
  return (
    <div class="door">
      <main class="door-card">
        <p class="brand">
          <Icon name="logo" size={24} /> raeh
        </p>
        <h1>{title}</h1>
        <p class="muted">{about}</p>
        {children}
        <div class="door-foot">
          <ThemeSwitch />
        </div>
      </main>
      <div class="door-art" aria-hidden="true">
        <svg viewBox="0 0 800 400" preserveAspectRatio="xMidYMid slice">
          <path class="trace hr" d={beats(92, 60)} pathLength={100} />
          <path class="trace spo2" d={beats(214, 34)} pathLength={100} />
          <path class="trace rr" d={breaths(322)} pathLength={100} />
        </svg>
        <p>
          Raw light in, heart rate out.
          <br />A key that is deleted is dead on every socket.
        </p>
      </div>
    </div>
  );
}

function beats(y: number, height: number) {
  let d = `M0 ${y}`;
  for (let x = 0; x < 800; x += 100)
    d += ` c16 0 20 0 26 ${-height} c5 ${height * 0.8} 12 ${height * 0.5} 20 ${height * 0.45} c8 ${-height * 0.1} 14 ${height * 0.35} 24 ${height * 0.55} h30`;
  return d;
}

function breaths(y: number) {
  let d = `M0 ${y}`;
  for (let x = 0; x < 800; x += 200) d += ` c40 0 60 -44 100 -44 s60 44 100 44`;
  return d;
}

const arrive = (who: Me) => {
  me.value = who;
  const to = params.value.get("to");
  go(to && /^\/(?![/\\])/.test(to) ? to : "/", { replace: true });
};

// Somebody who is logged in has no business at the door.
function useGoneIn() {
  useEffect(() => {
    if (me.value) go("/", { replace: true });
  }, []);
}

export function LoginPage() {
  useGoneIn();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signup = useGet<{ open: boolean }>("/v1/signup");
  const login = useAction(async () => arrive(await api.post<Me>("/v1/login", { email, password })));
  const submit = (event: Event) => {
    event.preventDefault();
    login.run();
  };
  return (
    <Frame title="Log in" about="Welcome back.">
      <form onSubmit={submit} class="stack">
        <Input label="E-mail" type="email" autocomplete="username" required autofocus value={email} onInput={setEmail} />
        <Input label="Password" type="password" autocomplete="current-password" required value={password} onInput={setPassword} />
        {login.error && <Fault error={login.error.status === 401 ? wrong : login.error} />}
        <Button kind="primary" type="submit" busy={login.busy}>
          Log in
        </Button>
      </form>
      <p class="muted door-else">
        {signup.data?.open === false ? (
          <>Sign-up is closed here. Ask an owner for an invitation.</>
        ) : (
          <>
            New here? <Link href="/signup">Create an account</Link>
          </>
        )}
      </p>
    </Frame>
  );
}

const wrong = new ApiError(401, "Wrong e-mail or password", "The e-mail or the password is wrong. Who forgot theirs asks the operator for `raeh account reset-password`", null, null);

interface NewUserProps {
  button: string;
  send: (email: string, password: string) => Promise<Me>;
}

function NewUser({ button, send }: NewUserProps) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const action = useAction(async () => arrive(await send(email, password)));
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!passwordFault(password)) action.run();
  };
  return (
    <form onSubmit={submit} class="stack">
      <Input label="E-mail" type="email" autocomplete="username" required autofocus value={email} onInput={setEmail} />
      <Input
        label="Password"
        type="password"
        autocomplete="new-password"
        required
        value={password}
        onInput={setPassword}
        hint={`At least ${PASSWORD_MIN} characters.`}
        error={tried ? passwordFault(password) : null}
      />
      {action.error && <Fault error={action.error} />}
      <Button kind="primary" type="submit" busy={action.busy}>
        {button}
      </Button>
    </form>
  );
}

export function SignupPage() {
  useGoneIn();
  const signup = useGet<{ open: boolean }>("/v1/signup");
  const closed = signup.data?.open === false;
  return (
    <Frame title="Create an account" about={closed ? "Sign-up is closed on this server. Ask an owner for an invitation." : "From nothing to a live heart rate in five minutes."}>
      {!closed && <NewUser button="Create account" send={(email, password) => api.post<Me>("/v1/signup", { email, password })} />}
      <p class="muted door-else">
        Already here? <Link href="/login">Log in</Link>
      </p>
    </Frame>
  );
}

export function InvitePage({ token }: { token: string }) {
  return (
    <Frame title="Join the account" about="You were invited. Choose how you will log in.">
      <NewUser button="Join" send={(email, password) => api.post<Me>("/v1/invites/accept", { token, email, password })} />
    </Frame>
  );
}
