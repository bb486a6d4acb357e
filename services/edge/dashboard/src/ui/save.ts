// Tables as files, made in the browser.
import { everyRow } from "../lib/api";
import { exact } from "../lib/format";
import { toast } from "./basic";

const MOST = 10000;

export function save(name: string, text: string, type = "text/csv") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// A spreadsheet must not take what somebody wrote for a formula.
function cell(value: unknown) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "number" ? String(value) : String(value).replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Every row of a list as a file, page after page; the newest ones when there are very many.
export async function saveList(name: string, path: string) {
  try {
    const { rows, whole } = await everyRow<Record<string, unknown>>(path, MOST);
    const names = Object.keys(rows[0] || {});
    const lines = rows.map((row) => names.map((column) => cell(row[column])).join());
    save(name, [names.join(), ...lines, ""].join("\n"));
    if (!whole) toast(`These are the newest ${exact(MOST)}. Narrow the filter for the others.`, true);
  } catch {
    toast("The list could not be read. Try again.", true);
  }
}
