// A snippet to copy, with a tab for each language; the choice is remembered.
import { signal } from "@preact/signals";
import c from "../snippets/device.c?raw";
import js from "../snippets/device.js?raw";
import python from "../snippets/device.py?raw";
import { Copy, Tabs } from "./basic";

const languages: [string, string][] = [
  ["python", "Python"],
  ["javascript", "JavaScript"],
  ["c", "C"],
];
const sources: Record<string, string> = { python, javascript: js, c };
const chosen = signal("python");

export function DeviceSnippet({ modelId }: { modelId: string | null }) {
  const text = sources[chosen.value]
    .replaceAll("@URL@", location.origin)
    .replaceAll("@MODEL_ID@", modelId || "<your device type's id>");
  return (
    <div class="snippet">
      <div class="snippet-head">
        <Tabs label="Language" tabs={languages} at={chosen.value} onPick={(tab) => (chosen.value = tab)} />
        <Copy text={text} label="Copy the program" />
      </div>
      <pre tabIndex={0} role="region" aria-label={`Program in ${chosen.value}`}>
        <code>{text}</code>
      </pre>
    </div>
  );
}

export function Line({ text, label }: { text: string; label: string }) {
  return (
    <div class="line">
      <code tabIndex={0} role="region" aria-label={label}>{text}</code>
      <Copy text={text} label={`Copy ${label}`} />
    </div>
  );
}
