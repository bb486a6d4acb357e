// Light, dark, or as the system is; kept in this browser.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const stored = () => {
  try {
    const theme = localStorage.getItem("raeh-theme");
    return theme === "light" || theme === "dark" ? theme : "system";
  } catch {
    return "system";
  }
};

export const theme = signal<Theme>(stored());
// Counts up whenever the colours change: what is drawn on a canvas is drawn again.
export const repaint = signal(0);

export function setTheme(next: Theme) {
  theme.value = next;
  const root = document.documentElement;
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("raeh-theme");
    else localStorage.setItem("raeh-theme", next);
  } catch {
    // A browser that keeps nothing: the choice holds until the page is closed.
  }
  repaint.value++;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint.value++);

const colors = new Map<string, string>();
let colorsOf = -1; // which repaint they were read for

// Asked many times a frame, so it is kept.
export function color(name: string) {
  if (colorsOf !== repaint.peek()) {
    colors.clear();
    colorsOf = repaint.peek();
  }
  let value = colors.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colors.set(name, value);
  }
  return value;
}

export const colorOf = (type: string) =>
  color(["hr", "spo2", "rr"].includes(type) ? type : "other");
