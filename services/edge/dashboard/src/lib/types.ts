// The objects of the REST interface, as docs/reference.md names them.

export interface Me {
  user: { id: string; email: string; role: "owner" | "member" };
  account: { id: string; created_at: string };
  csrf: string;
  signup: "open" | "closed";
  version: string;
  ingest_url: string | null;
}

export interface Channel {
  id: string;
  modality: string;
  sample_rate_hz: number;
  bit_depth: number;
  num_channels: number;
}

export type NewChannel = Omit<Channel, "id">;

export interface DeviceModel {
  id: string;
  name: string;
  description: string;
  firmware_version: string;
  modality_channels: Channel[];
  spo2_calibration: number[] | null;
  created_at: string;
  updated_at: string;
}

export interface Device {
  device_id: string;
  device_model_id: string | null;
  online: boolean;
  last_seen_at: string | null;
  last_session_id: string | null;
  created_at: string | null;
}

export interface Session {
  id: string;
  device_id: string;
  device_model_id: string;
  status: "open" | "closed";
  started_at: string;
  ended_at: string | null;
  frames?: number;
  bytes?: number;
  close_code?: number | null;
  close_reason?: string | null;
  last_insights?: Insight[] | null;
}

export interface Insight {
  type: string;
  value: number;
  unit: string;
  ts: number; // published, ms
  t: number; // the session's own time at the end of the window, ms
  id: string;
  session_id: string;
  device_id: string;
  confidence: number;
  sqi_class: "excellent" | "acceptable" | "unfit";
}

export type Scope = "ingest" | "subscribe" | "read" | "write" | "keys";

export interface Limits {
  requests_per_s: number | null;
  bytes_per_s: number | null;
  connections_per_s: number | null;
  open_sockets: number | null;
}

export interface Key {
  id: string;
  label: string;
  hint: string;
  scopes: Scope[];
  device_id: string | null;
  external_id: string | null;
  metadata: Record<string, unknown> | null;
  rate_limit: number | null;
  limits: Limits | null;
  disabled: boolean;
  minted_by: string | null;
  expires_at: string | null;
  created_at: string;
  last_used_at: string | null;
  last_used_address?: string | null;
  last_used_agent?: string | null;
  rotated_to?: string | null;
  rotates_out_at?: string | null;
  key?: string; // in the answer to minting and rotating alone
}

export interface Receipt {
  revoked_at: string;
  sockets_closed: { ingest: number; subscribe: number };
  edges_acked: number;
  edges_total: number;
  elapsed_ms: number;
}

export interface User {
  id: string;
  email: string;
  role: "owner" | "member";
  created_at: string;
}

export interface Invite {
  id: string;
  email: string | null;
  role: "owner" | "member";
  url_path?: string;
  expires_at: string;
}
