// The form of an API key: raeh_ + 30 random characters + a checksum of 6. Checked here, in the
// browser, so that a key that somebody pastes never leaves it: its hint alone is looked for.

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function crc32(text: string) {
  let crc = ~0;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function base62(n: number) {
  let text = "";
  for (let i = 0; i < 6; i++) {
    text = digits[n % 62] + text;
    n = Math.floor(n / 62);
  }
  return text;
}

export const looksLikeKey = (text: string) => /^raeht?_/.test(text.trim());

// The 4 characters that a key is known by, or null where a character is wrong or missing.
export function hintOfKey(text: string): string | null {
  const key = text.trim();
  if (!/^raeh_[0-9A-Za-z]{36}$/.test(key)) return null;
  return base62(crc32(key.slice(0, 35))) === key.slice(35) ? key.slice(5, 9) : null;
}
